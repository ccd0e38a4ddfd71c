"""Every command's options: frozen, typed, checked once. Their defaults are the only defaults.

Imports no torch, so that `ncaudit --help` stays fast. Choices are enums; numbers carry their unit in the name.
"""

from ncaudit.options.audit import AuditOptions
from ncaudit.options.bench import MISMATCH_KINDS, BenchOptions
from ncaudit.options.corrupt import CorruptKind, CorruptOptions
from ncaudit.options.demo import DemoOptions
from ncaudit.options.embed import EmbedOptions, Layout
from ncaudit.options.evaluate import EvalRetrievalOptions, EvalScoresOptions
from ncaudit.options.filter import RANKING_RULES, ROW_RULES, FilterForm, FilterOptions, Verdict
from ncaudit.options.inspect import InspectOptions
from ncaudit.options.labels import LabelsOptions
from ncaudit.options.report import ReportOptions
from ncaudit.options.sample import REVIEW_SUFFIXES, SampleOptions
from ncaudit.options.scoring import (
    SETTINGS,
    Align,
    Correlation,
    Loss,
    Mixture,
    ScoreOptions,
    ScorerOptions,
    Siblings,
    Variant,
)
from ncaudit.options.shared.common import AUTO_SCORER, USUAL_WEIGHTS, Precision
from ncaudit.options.shared.engines import EngineKind
from ncaudit.options.shared.inputs import DataOptions, ModelOptions
from ncaudit.options.shared.limits import MAX_ROW_BYTES
from ncaudit.options.shared.streams import STREAM, TABLE_SUFFIX, StreamFormat
from ncaudit.options.show import Against, Reason, ShowOptions
from ncaudit.options.status import StatusOptions
from ncaudit.options.train import (
    AUTO_OBJECTIVE,
    CLASS_PACE,
    CLASS_TOWERS_PACE,
    CO_TEACHING_PACE,
    HEADS,
    HEADS_PACE,
    LAST,
    OBJECTIVE_SETTINGS,
    OBJECTIVES,
    SOFT_LABEL,
    STAGES,
    TOWERS,
    TOWERS_PACE,
    WARMUP_OF_EPOCHS,
    HeadKind,
    HeadStart,
    Negatives,
    Pace,
    TrainingRecipe,
    TrainOptions,
)

__all__ = [
    "AUTO_OBJECTIVE",
    "AUTO_SCORER",
    "CLASS_PACE",
    "CLASS_TOWERS_PACE",
    "CO_TEACHING_PACE",
    "HEADS",
    "HEADS_PACE",
    "LAST",
    "MAX_ROW_BYTES",
    "MISMATCH_KINDS",
    "OBJECTIVES",
    "OBJECTIVE_SETTINGS",
    "RANKING_RULES",
    "REVIEW_SUFFIXES",
    "ROW_RULES",
    "SETTINGS",
    "SOFT_LABEL",
    "STAGES",
    "STREAM",
    "TABLE_SUFFIX",
    "TOWERS",
    "TOWERS_PACE",
    "USUAL_WEIGHTS",
    "WARMUP_OF_EPOCHS",
    "Against",
    "Align",
    "AuditOptions",
    "BenchOptions",
    "Correlation",
    "CorruptKind",
    "CorruptOptions",
    "DataOptions",
    "DemoOptions",
    "EmbedOptions",
    "EngineKind",
    "EvalRetrievalOptions",
    "EvalScoresOptions",
    "FilterForm",
    "FilterOptions",
    "HeadKind",
    "HeadStart",
    "InspectOptions",
    "LabelsOptions",
    "Layout",
    "Loss",
    "Mixture",
    "ModelOptions",
    "Negatives",
    "Pace",
    "Precision",
    "Reason",
    "ReportOptions",
    "SampleOptions",
    "ScoreOptions",
    "ScorerOptions",
    "ShowOptions",
    "Siblings",
    "StatusOptions",
    "StreamFormat",
    "TrainOptions",
    "TrainingRecipe",
    "Variant",
    "Verdict",
]

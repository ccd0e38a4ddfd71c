"""Options of `audit`: those of `embed`, `score` and `labels` that people set, and where each step's output lies."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Annotated, Any

from ncaudit.options.embed import EmbedOptions
from ncaudit.options.labels import LabelsOptions
from ncaudit.options.report import ReportOptions
from ncaudit.options.scoring import ScoreOptions
from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.checks import compatible, require, require_share, settle_places
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.options.shared.inputs import DataOptions, ModelOptions
from ncaudit.options.shared.streams import is_folder

EMBEDDINGS, SCORES, LABELS = "embeddings", "scores", "labels"  # folders below OUT
REPORT, LABELS_REPORT = "report.html", "labels.html"  # pages there


@dataclass(frozen=True, kw_only=True)
class AuditOptions(ModelOptions, DataOptions, EngineOptions):
    """`ncaudit audit`: a dataset to embeddings, scores, judged classes and the report."""

    sources: common.Dataset
    out: Annotated[
        str,
        About(
            "Folder for all that is made: embeddings/, scores/, labels/ and report.html.",
            Panel.output, metavar="PATH", is_path=True,
        ),
    ]  # fmt: skip
    label_column: Annotated[
        str | None,
        About(
            "Column with classes, of text, whole numbers or lists of them: they are judged, too.",
            Panel.classes, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    columns: common.Columns = EmbedOptions.columns
    batch_pairs: common.BatchPairs = EmbedOptions.batch_pairs
    workers: common.Workers = EmbedOptions.workers
    threads: common.Threads = EmbedOptions.threads
    devices: common.Devices = EmbedOptions.devices  # for embedding
    scorer: common.Scorer = ScoreOptions.scorer
    stratify: common.Stratify = ScoreOptions.stratify
    noisy_precision: common.NoisyPrecision = ScoreOptions.noisy_precision
    verdicts: common.Verdicts = ScoreOptions.verdicts
    check: common.Check = ScoreOptions.check
    suggest: common.Suggest = ScoreOptions.suggest
    seed: common.Seed = ScoreOptions.seed
    refit: Annotated[
        bool,
        About("Fit anew: score all pairs and judge all classes again. Embeddings are kept.", Panel.output),
    ] = ScoreOptions.refit
    max_failed: common.MaxFailed = ScoreOptions.max_failed
    overwrite: common.Overwrite = ScoreOptions.overwrite
    prune: common.Prune = ScoreOptions.prune

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        DataOptions.__post_init__(self)
        settle_places(self, "out")
        require(is_folder(self.out), f"--out is {self.out}, and audit writes a folder", "give a folder with --out")
        require_share("--max-failed", self.max_failed, zero=True)
        if isinstance(self.devices, str):
            object.__setattr__(self, "devices", tuple(self.devices.split(",")))
        kept = self.columns is None or self.label_column is None or self.label_column in self.columns
        compatible(kept, f"--columns leaves out the --label-column {self.label_column}", "name it with --columns, too")
        self.check_engine()
        _ = self.of_embed, self.of_score, self.of_labels, self.of_report  # what they refuse is told before any work
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What its steps do not look at."""
        yield from self.of_embed.unread()
        yield from self.of_score.unread()

    def at(self, name: str) -> str:
        """Where a step's output lies."""
        return os.path.join(self.out, name)

    @property
    def of_embed(self) -> EmbedOptions:
        """The first step's."""
        return EmbedOptions(**{**self._shared_with(EmbedOptions), "out": self.at(EMBEDDINGS)})

    @property
    def of_score(self) -> ScoreOptions:
        """The second step's: which columns there are, the tables say themselves, and the model is in them."""
        told = self._shared_with(ScoreOptions)
        own = {"embeddings": [self.at(EMBEDDINGS)], "out": self.at(SCORES), "columns": None, "model": None}
        return ScoreOptions(**{**told, **own})

    @property
    def of_labels(self) -> LabelsOptions | None:
        """Those of the judgement of classes; None where there are none."""
        if self.label_column is None:
            return None
        told = self._shared_with(LabelsOptions)
        own = {"embeddings": [self.at(EMBEDDINGS)], "out": self.at(LABELS), "redo": self.refit, "model": None}
        return LabelsOptions(**{**told, **own})

    @property
    def of_report(self) -> ReportOptions:
        """Those of the page about the pairs."""
        return self._page(SCORES, REPORT)

    @property
    def of_labels_report(self) -> ReportOptions | None:
        """Those of the page about the classes; None where there are none."""
        return None if self.label_column is None else self._page(LABELS, LABELS_REPORT)

    def _page(self, tables: str, name: str) -> ReportOptions:
        """With the pairs found by shard and row: they are named by a key only if one is good for it."""
        own = {"scores": [self.at(tables)], "data": list(self.sources), "out": self.at(name), "key": None}
        return ReportOptions(**{**self._shared_with(ReportOptions), **own})

    def _shared_with(self, kind: type[Any]) -> dict[str, Any]:
        names = {field.name for field in fields(kind)}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name in names}

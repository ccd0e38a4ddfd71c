"""ncaudit audits and cleans noisy correspondence in image-text datasets.

The verbs are plain functions, options in and one result out, and are loaded when first used, so that
`import ncaudit` costs no torch:

    import ncaudit
    ncaudit.embed(ncaudit.EmbedOptions(sources=["data/"], out="embeddings"))
    ncaudit.score(ncaudit.ScoreOptions(embeddings=["embeddings"], out="scores"))

For arrays already in memory: `ncaudit.soft_labels(image, text)`. A verb tells nothing while it works, unless asked:

    with ncaudit.live_progress() as progress:
        ncaudit.score(ncaudit.ScoreOptions(embeddings=["embeddings"], out="scores"), progress)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ncaudit.cli.shared.live import live_progress
    from ncaudit.errors import NcauditError
    from ncaudit.options import (
        AuditOptions,
        BenchOptions,
        CorruptOptions,
        DemoOptions,
        EmbedOptions,
        EvalRetrievalOptions,
        EvalScoresOptions,
        FilterOptions,
        InspectOptions,
        LabelsOptions,
        ReportOptions,
        SampleOptions,
        ScoreOptions,
        ScorerOptions,
        ShowOptions,
        TrainOptions,
    )
    from ncaudit.version import __version__

_VERBS = {
    "audit": "ncaudit.verbs.audit.audit",
    "inspect": "ncaudit.verbs.inspect.inspect",
    "embed": "ncaudit.verbs.embed.embed",
    "score": "ncaudit.verbs.score.score",
    "filter_pairs": "ncaudit.verbs.filter.filter",
    "train": "ncaudit.verbs.train.train",
    "eval_retrieval": "ncaudit.verbs.evaluate.retrieval",
    "eval_scores": "ncaudit.verbs.evaluate.scores",
    "show": "ncaudit.verbs.show.show",
    "labels": "ncaudit.verbs.labels.labels",
    "sample": "ncaudit.verbs.sample",
    "report": "ncaudit.verbs.report.report",
    "corrupt": "ncaudit.verbs.corrupt.captions",
    "corrupt_labels": "ncaudit.verbs.corrupt.classes",
    "bench": "ncaudit.verbs.bench",
    "demo": "ncaudit.verbs.demo",
    "soft_labels": "ncaudit.judging.soft_labels",
}
_LIVE = "ncaudit.cli.shared.live"  # draws on a terminal or in a notebook, as a command does

__all__ = [
    "AuditOptions",
    "BenchOptions",
    "CorruptOptions",
    "DemoOptions",
    "EmbedOptions",
    "EvalRetrievalOptions",
    "EvalScoresOptions",
    "FilterOptions",
    "InspectOptions",
    "LabelsOptions",
    "NcauditError",
    "ReportOptions",
    "SampleOptions",
    "ScoreOptions",
    "ScorerOptions",
    "ShowOptions",
    "TrainOptions",
    "__version__",
    "live_progress",
    *_VERBS,
]

# where each name is: the package itself loads nothing, so that a command minds Ctrl-C from its first moment on
_HOMES = {
    **_VERBS,
    **{name: "ncaudit.options" for name in __all__ if name.endswith("Options")},
    "NcauditError": "ncaudit.errors",
    "__version__": "ncaudit.version",
    "live_progress": _LIVE,
}
_MODULES = ("errors", "options")  # that a notebook finds in the package without importing them


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"ncaudit.{name}")
    raise AttributeError(f"module 'ncaudit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

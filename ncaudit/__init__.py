"""ncaudit audits and cleans noisy correspondence in image-text datasets.

The verbs are plain functions, options in and one result out, and are loaded when first used, so that
`import ncaudit` costs no torch:

    import ncaudit
    ncaudit.embed("data/", out="embeddings")
    ncaudit.score("embeddings", out="scores", check=False)

For arrays already in memory: `ncaudit.soft_labels(image, text)`. A verb tells nothing while it works, unless asked:

    with ncaudit.live_progress() as progress:
        ncaudit.score(ncaudit.ScoreOptions(embeddings=["embeddings"], out="scores"), progress)

What a verb would do, without doing it: `ncaudit.plan(options)`.
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
        StatusOptions,
        TrainOptions,
    )
    from ncaudit.planned import Plan
    from ncaudit.version import __version__

_VERBS = {  # where each is, and the options it takes
    "audit": ("ncaudit.verbs.audit.audit", "AuditOptions"),
    "inspect": ("ncaudit.verbs.inspect.inspect", "InspectOptions"),
    "embed": ("ncaudit.verbs.embed.embed", "EmbedOptions"),
    "score": ("ncaudit.verbs.score.score", "ScoreOptions"),
    "filter_pairs": ("ncaudit.verbs.filter.filter", "FilterOptions"),
    "train": ("ncaudit.verbs.train.train", "TrainOptions"),
    "eval_retrieval": ("ncaudit.verbs.evaluate.retrieval", "EvalRetrievalOptions"),
    "eval_scores": ("ncaudit.verbs.evaluate.scores", "EvalScoresOptions"),
    "show": ("ncaudit.verbs.show.show", "ShowOptions"),
    "status": ("ncaudit.verbs.status", "StatusOptions"),
    "labels": ("ncaudit.verbs.labels.labels", "LabelsOptions"),
    "sample": ("ncaudit.verbs.sample", "SampleOptions"),
    "report": ("ncaudit.verbs.report.report", "ReportOptions"),
    "corrupt": ("ncaudit.verbs.corrupt.captions", "CorruptOptions"),
    "corrupt_labels": ("ncaudit.verbs.corrupt.classes", "CorruptOptions"),
    "bench": ("ncaudit.verbs.bench", "BenchOptions"),
    "demo": ("ncaudit.verbs.demo", "DemoOptions"),
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
    "Plan",
    "ReportOptions",
    "SampleOptions",
    "ScoreOptions",
    "ScorerOptions",
    "ShowOptions",
    "StatusOptions",
    "TrainOptions",
    "__version__",
    "live_progress",
    "plan",
    "soft_labels",
    *_VERBS,
]

# where each name is: the package itself loads nothing, so that a command minds Ctrl-C from its first moment on
_HOMES = {
    "plan": "ncaudit.verbs.plan",
    "soft_labels": "ncaudit.judging.in_memory.soft_labels",
    **{name: "ncaudit.options" for name in __all__ if name.endswith("Options")},
    "NcauditError": "ncaudit.errors",
    "Plan": "ncaudit.planned",
    "__version__": "ncaudit.version",
    "live_progress": _LIVE,
}
_MODULES = ("errors", "options")  # that a notebook finds in the package without importing them


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        home, options = _VERBS[name]
        from ncaudit.notebook.verbs import public

        globals()[name] = public(getattr(import_module(home), name), getattr(import_module("ncaudit.options"), options))
        return globals()[name]
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"ncaudit.{name}")
    raise AttributeError(f"module 'ncaudit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""ncaudit audits and cleans noisy correspondence in image-text datasets.

The verbs are plain functions, options in and one result out, and are loaded when first used, so that
`import ncaudit` costs no torch:

    import ncaudit
    ncaudit.embed(ncaudit.EmbedOptions(sources=["data/"], out="embeddings"))
    ncaudit.score(ncaudit.ScoreOptions(embeddings=["embeddings"], out="scores"))

For arrays already in memory: `ncaudit.soft_labels(image, text)`.
"""

from importlib import import_module
from typing import Any

from ncaudit.errors import NcauditError
from ncaudit.options import (
    BenchOptions,
    CorruptOptions,
    DemoOptions,
    EmbedOptions,
    EvalRetrievalOptions,
    EvalScoresOptions,
    FilterOptions,
    InspectOptions,
    LabelsOptions,
    SampleOptions,
    ScoreOptions,
    ScorerOptions,
    TrainOptions,
)

__version__ = "0.1.0"

_VERBS = {
    "inspect": "ncaudit.verbs.inspect",
    "embed": "ncaudit.verbs.embed",
    "score": "ncaudit.verbs.score",
    "filter_pairs": "ncaudit.verbs.filter",
    "train": "ncaudit.verbs.train",
    "eval_retrieval": "ncaudit.verbs.evaluate",
    "eval_scores": "ncaudit.verbs.evaluate",
    "labels": "ncaudit.verbs.labels",
    "sample": "ncaudit.verbs.sample",
    "corrupt": "ncaudit.verbs.corrupt",
    "corrupt_labels": "ncaudit.verbs.corrupt_labels",
    "bench": "ncaudit.verbs.bench",
    "demo": "ncaudit.verbs.demo",
    "soft_labels": "ncaudit.verbs.soft_labels",
}

__all__ = [
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
    "SampleOptions",
    "ScoreOptions",
    "ScorerOptions",
    "TrainOptions",
    "__version__",
    *_VERBS,
]


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return getattr(import_module(_VERBS[name]), name)
    raise AttributeError(f"module 'ncaudit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

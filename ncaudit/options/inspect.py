"""Options of `inspect`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.inputs import DataOptions


@dataclass(frozen=True, kw_only=True)
class InspectOptions(DataOptions):
    """`ncaudit inspect`: what is this, and what to do with it."""

    UNASKED = ("max_image_pixels",)

    sources: Annotated[
        Sequence[str],
        About(
            "A dataset, tables of ncaudit, embeddings, a model, heads or a fit: files, folders or globs.",
            Panel.input, metavar="PATH", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    features: common.Features = None

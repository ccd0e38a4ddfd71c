"""Options of `inspect`."""

from collections.abc import Sequence
from dataclasses import dataclass

from ncaudit.options.shared.inputs import DataOptions


@dataclass(frozen=True, kw_only=True)
class InspectOptions(DataOptions):
    """`ncaudit inspect`: what is this, and what to do with it."""

    sources: Sequence[str]
    features: str | None = None  # as in ScoreOptions

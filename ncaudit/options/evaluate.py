"""Options of `eval retrieval` and `eval scores`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ncaudit.options.shared.checks import compatible, require_at_least
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes


@dataclass(frozen=True, kw_only=True)
class EvalRetrievalOptions:
    """`ncaudit eval retrieval`: recall of captions by images and of images by captions."""

    embeddings: Sequence[str]
    features: str | None = None  # as in ScoreOptions
    model: str | None = None  # a folder of heads, that all embeddings go through first
    label_column: str | None = None  # classes: then mean average precision is measured too
    map_at: int = 50  # how many of the first items the second mean average precision looks at
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked
    device: str = "auto"

    def __post_init__(self) -> None:
        require_at_least("--map-at", self.map_at, 1)
        require_row_bytes(self.max_row_bytes)
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        if self.label_column is None:
            yield Unread(("map_at",), "is about classes, and there are none", "name their column with --label-column")


@dataclass(frozen=True, kw_only=True)
class EvalScoresOptions:
    """`ncaudit eval scores`: how well the scores find known mismatches, and how they stand to prior scores."""

    scores: Sequence[str]
    truth: str | None = None  # boolean or 0/1 column: true where image and caption belong together
    truth_table: str | None = None  # a parquet or CSV with pair_id and the truth column; None: in the score tables
    against: Sequence[str] = ()  # columns of numbers that the pairs came with; NAME means input_NAME too
    bins: int = 10
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked

    def __post_init__(self) -> None:
        require_at_least("--bins", self.bins, 2)
        require_row_bytes(self.max_row_bytes)
        compatible(
            self.truth is not None or bool(self.against), "there is neither a truth nor another score to compare with",
            "name a column with --truth, or one with --against",
        )  # fmt: skip
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        if self.truth is None:
            yield Unread(("truth_table",), "has no column named", "name its truth column with --truth")
            yield Unread(("bins",), "cuts the calibration error, which takes a truth", "leave it out, or give --truth")

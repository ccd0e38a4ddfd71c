"""Options of `eval retrieval` and `eval scores`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Options, Panel
from ncaudit.options.shared.checks import compatible, require_at_least
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes


@dataclass(frozen=True, kw_only=True)
class EvalRetrievalOptions(Options):
    """`ncaudit eval retrieval`: recall of captions by images and of images by captions."""

    embeddings: common.EmbeddingTables
    features: common.Features = None
    model: common.Heads = None
    label_column: Annotated[
        str | None,
        About(
            "Column with classes, of text, whole numbers or lists of them: adds the mean average precision.",
            Panel.classes, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    map_at: Annotated[
        int,
        About(
            "Also tell the mean average precision of so many of the first items, 1 or more.",
            Panel.classes, metavar="COUNT",
        ),
    ] = 50  # fmt: skip
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    device: common.Device = "auto"
    threads: common.Threads = None

    def __post_init__(self) -> None:
        require_at_least("--map-at", self.map_at, 1)
        require_at_least("--threads", self.threads, 1)
        require_row_bytes(self.max_row_bytes)
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        if self.label_column is None:
            yield Unread(("map_at",), "is about classes, and there are none", "name their column with --label-column")


@dataclass(frozen=True, kw_only=True)
class EvalScoresOptions(Options):
    """`ncaudit eval scores`: how well the scores find known mismatches, and how they stand to prior scores."""

    scores: common.ScoreTables
    truth: Annotated[
        str | None,
        About(
            "Column that says whether image and caption belong together: boolean, 0 or 1, or true or false.",
            Panel.judged, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    truth_table: Annotated[
        str | None,
        About(
            "Parquet or CSV file with pair_id and the --truth column. By default the score tables have it.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    against: Annotated[
        Sequence[str],
        About(
            "Column of numbers that the pairs came with, such as another score: tells how far it ranks the pairs as "
            "ours does, and on which they disagree. NAME means input_NAME too, the input's own column.",
            Panel.judged, metavar="COLUMN",
        ),
    ] = ()  # fmt: skip
    bins: Annotated[
        int,
        About(
            "Bins of the calibration error, of about equal numbers of pairs; 2 or more.",
            Panel.judged, rare=True, metavar="COUNT",
        ),
    ] = 10  # fmt: skip
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES

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

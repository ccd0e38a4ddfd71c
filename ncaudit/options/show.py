"""Options of `show`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Options, Panel
from ncaudit.options.shared.checks import choose, compatible, require_at_least, settle_places
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.inputs import DataOptions
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes


class Reason(StrEnum):
    """Why `score` says that a pair is worth a look."""

    mismatch = "mismatch"
    generic_caption = "generic_caption"
    placeholder_image = "placeholder_image"
    duplicate = "duplicate"


class Against(StrEnum):
    """What the label is held against."""

    similarity = "similarity"


OF_DATA = ("key", "image_column", "caption_column", "caption_lines", "image_root", "max_row_bytes")


@dataclass(frozen=True, kw_only=True)
class ShowOptions(Options):
    """`ncaudit show`: some pairs of score tables, in the terminal."""

    scores: Annotated[
        Sequence[str],
        About(
            "Score tables (what `ncaudit score` wrote), or label tables; or - for standard input.",
            Panel.input, metavar="SCORES", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    worst: Annotated[
        int, About("How many pairs are shown of each list, the worst first; 1 or more.", Panel.judged, metavar="COUNT")
    ] = 20
    unsure: Annotated[
        bool,
        About("Show pairs called neither clean nor noisy, those with a soft label nearest to 0.5 first.", Panel.judged),
    ] = False
    reason: Annotated[
        Reason | None,
        About(
            "Show pairs with this reason, the lowest soft labels first: mismatch, generic_caption, placeholder_image "
            "or duplicate.",
            Panel.judged, metavar="NAME",
        ),
    ] = None  # fmt: skip
    against: Annotated[
        Against | None,
        About(
            "Give similarity for the pairs on which soft label and cosine disagree: noisy but close, and clean but "
            "far; --worst of each.",
            Panel.judged, metavar="NAME",
        ),
    ] = None  # fmt: skip
    data: Annotated[
        Sequence[str] | None,
        About(
            "The dataset that was scored: for captions that the tables lack, and for --images.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    images: Annotated[
        str | None,
        About(
            "Folder to write the pictures to, as they are in --data, named by pair.",
            Panel.output, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    key: common.PairIds = None
    image_column: common.ImageColumn = DataOptions.image_column
    caption_column: common.CaptionColumn = DataOptions.caption_column
    caption_lines: common.CaptionLines = DataOptions.caption_lines
    image_root: common.ImageRoot = DataOptions.image_root
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        require_at_least("--worst", self.worst, 1)
        if self.reason is not None:
            choose(self, reason=Reason)
        if self.against is not None:
            choose(self, against=Against)
        one = sum([self.unsure, self.reason is not None, self.against is not None]) <= 1
        compatible(one, "--unsure, --reason and --against are lists of their own", "give one of them")
        require_row_bytes(self.max_row_bytes)
        settle_places(self, "images")
        there = self.images is None or bool(self.data)
        compatible(there, "--images needs the dataset, which holds the pictures", "name it with --data")
        refuse_changed(self)

    @property
    def of_data(self) -> DataOptions:
        """How the dataset is read."""
        return DataOptions(**{name: getattr(self, name) for name in OF_DATA})

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        if not self.data:
            reason, fix = "says how the dataset is read, and none is named", "leave it out, or name one with --data"
            yield Unread(OF_DATA, reason, fix)
        if self.images is None:
            yield Unread(("overwrite",), "is about files, and none is written", "leave it out, or give --images")

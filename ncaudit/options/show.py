"""Options of `show`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncaudit.options.shared.checks import choose, compatible, require_at_least, require_local
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
class ShowOptions:
    """`ncaudit show`: some pairs of score tables, in the terminal."""

    scores: Sequence[str]
    worst: int = 20  # pairs shown, of each list
    unsure: bool = False
    reason: Reason | None = None
    against: Against | None = None
    data: Sequence[str] | None = None  # the dataset: of captions that the tables lack, and of pictures
    images: str | None = None  # a folder that the pictures are written to
    key: str | None = None  # column of the dataset that holds the pair_ids; None: pairs are found by shard and row
    image_column: str | None = DataOptions.image_column
    caption_column: str | None = DataOptions.caption_column
    caption_lines: bool = DataOptions.caption_lines
    image_root: str | None = DataOptions.image_root
    max_row_bytes: int = MAX_ROW_BYTES
    overwrite: bool = False  # replace files of others in `images`, too; never an input

    def __post_init__(self) -> None:
        require_at_least("--worst", self.worst, 1)
        if self.reason is not None:
            choose(self, reason=Reason)
        if self.against is not None:
            choose(self, against=Against)
        one = sum([self.unsure, self.reason is not None, self.against is not None]) <= 1
        compatible(one, "--unsure, --reason and --against are lists of their own", "give one of them")
        require_row_bytes(self.max_row_bytes)
        require_local("--images", self.images)
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

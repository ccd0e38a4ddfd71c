"""Options of `report`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ncaudit.options.shared.checks import compatible, require, require_at_least, require_local, require_positive
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.inputs import DataOptions
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.streams import STREAM

PAGES = (".html", ".htm")
NAMED = "write what comes to a file, and name that"
OF_DATA = ("key", "image_column", "caption_column", "caption_lines", "image_root", "max_image_pixels", "max_row_bytes")
OF_GALLERIES = ("cards", "by", "truth", "truth_table")


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """`ncaudit report`: score tables, or label tables, to one page that shows the pairs."""

    scores: Sequence[str]  # score tables or label tables, of one kind
    out: str = "report.html"  # one file, NAME.html
    data: Sequence[str] | None = None  # the dataset that was scored: without it there are no pictures
    key: str | None = None  # column of the dataset that holds the pair_ids; None: pairs are found by shard and row
    image_column: str | None = None
    caption_column: str | None = None
    caption_lines: bool = DataOptions.caption_lines
    image_root: str | None = None  # folder that relative image paths start from; None: the shard's own
    max_image_pixels: int = DataOptions.max_image_pixels
    max_row_bytes: int = MAX_ROW_BYTES
    cards: int = 16  # pairs shown of each gallery
    by: str = "shard"  # column of the tables whose values are compared with each other
    truth: str | None = None  # column that tells which pairs match; None: is_match, where the tables have it
    truth_table: str | None = None  # a file with pair_id and the truth column, such as a filled-in review
    judge: int = 200  # pairs to be judged on the page; 0: none
    judge_only: bool = False
    seed: int = 0  # of the draw of these pairs
    max_mib: float = 8.0  # of the page: pictures shrink until it is no larger
    workers: int | None = None  # decoding processes
    overwrite: bool = False  # replace a file of others, too; never an input

    def __post_init__(self) -> None:
        require(self.out.endswith(PAGES), f"--out is {self.out}", "give a name that ends in .html")
        require_local("--out", self.out)
        require(STREAM not in self.scores, f"{STREAM} is no score table: report reads them more than once", NAMED)
        require_at_least("--cards", self.cards, 1)
        require_at_least("--judge", self.judge, 0)
        require(self.judge != 1, "--judge is 1", "give 0 for none, or at least 2")
        require_at_least("--max-image-pixels", self.max_image_pixels, 1)
        require_at_least("--workers", self.workers, 0)
        require_row_bytes(self.max_row_bytes)
        require_positive("--max-mib", self.max_mib)
        compatible(
            not self.judge_only or self.judge > 0, "--judge-only with --judge 0 leaves nothing",
            "leave out --judge",
        )  # fmt: skip
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        if not self.data:
            reason, fix = "says how the dataset is read, and none is named", "leave it out, or name one with --data"
            yield Unread((*OF_DATA, "workers"), reason, fix)
        if self.judge_only:
            yield Unread(OF_GALLERIES, "is about galleries, and --judge-only makes none")
        if not self.judge:
            yield Unread(("seed",), "draws the pairs to judge, and there are none")
        if self.truth is None:
            yield Unread(("truth_table",), "has no column named", "name its truth column with --truth")

    @property
    def of_data(self) -> DataOptions:
        """How the dataset is read."""
        return DataOptions(**{name: getattr(self, name) for name in OF_DATA})

"""Options of `report`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.checks import compatible, require, require_at_least, require_positive, settle_places
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.options.shared.inputs import DataOptions
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.streams import STREAM

PAGES = (".html", ".htm")
NAMED = "write what comes to a file, and name that"
OF_DATA = ("key", "image_column", "caption_column", "caption_lines", "image_root", "max_image_pixels", "max_row_bytes")
OF_GALLERIES = ("cards", "by", "truth", "truth_table")


@dataclass(frozen=True, kw_only=True)
class ReportOptions(EngineOptions):
    """`ncaudit report`: score tables, or label tables, to one page that shows the pairs."""

    UNASKED = ("gpus_per_actor",)

    scores: Annotated[
        Sequence[str],
        About(
            "Score tables (what `ncaudit score` wrote), or label tables (of `ncaudit labels`), of one kind.",
            Panel.input, metavar="SCORES", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    out: Annotated[
        str,
        About(
            "NAME.html: one file that holds everything. A report of ours there is replaced.",
            Panel.output, metavar="PATH", is_path=True,
        ),
    ] = "report.html"  # fmt: skip
    data: Annotated[
        Sequence[str] | None,
        About(
            "The dataset that was scored, in any format that embed reads: where the pictures are.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    key: common.PairIds = None
    image_column: common.ImageColumn = None
    caption_column: common.CaptionColumn = None
    caption_lines: common.CaptionLines = DataOptions.caption_lines
    image_root: common.ImageRoot = None
    max_image_pixels: common.MaxImagePixels = DataOptions.max_image_pixels
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    cards: Annotated[int, About("Pairs shown of each gallery, 1 or more.", Panel.judged, metavar="COUNT")] = 16
    by: Annotated[
        str, About("Column of the tables whose values are compared with each other.", Panel.judged, metavar="COLUMN")
    ] = "shard"
    truth: Annotated[
        str | None,
        About(
            "Column that tells which pairs match. By default is_match, where the tables have it.",
            Panel.judged, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    truth_table: Annotated[
        str | None,
        About(
            "File with pair_id and the --truth column, such as a review that people filled in.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    judge: Annotated[
        int,
        About(
            "Pairs to be judged on the page, drawn as `ncaudit sample` draws them; 2 or more, or 0 for none.",
            Panel.judged, metavar="COUNT",
        ),
    ] = 200  # fmt: skip
    judge_only: Annotated[
        bool, About("Show nothing but these pairs, for people who should see no score.", Panel.judged)
    ] = False
    seed: common.Seed = 0  # of the draw of these pairs
    max_mib: Annotated[
        float,
        About(
            "Size of the page in MiB, above 0: pictures shrink until it is no larger.", Panel.output, metavar="NUMBER"
        ),
    ] = 8.0
    workers: common.Workers = None
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        require(self.out.endswith(PAGES), f"--out is {self.out}", "give a name that ends in .html")
        settle_places(self, "out")
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
        self.check_engine()
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from self.unread_of_engine("")
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

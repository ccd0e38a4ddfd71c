"""Options of `sample`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Options, Panel
from ncaudit.options.shared.checks import require, require_at_least, settle_places
from ncaudit.options.shared.effect import Unread, of_files, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes

REVIEW_SUFFIXES = (".csv", ".parquet", ".jsonl")


@dataclass(frozen=True, kw_only=True)
class SampleOptions(Options):
    """`ncaudit sample`: pairs for people to judge, drawn so that their verdicts tell the rate of mismatches."""

    scores: common.ScoreTables
    out: Annotated[
        str,
        About(
            "Where the pairs go: NAME.csv, NAME.parquet or NAME.jsonl, or - for CSV on standard output.",
            Panel.output, metavar="PATH", is_path=True,
        ),
    ]  # fmt: skip
    n: Annotated[int, About("Pairs to draw, 2 or more.", Panel.judged, metavar="COUNT")] = 200
    strata: Annotated[
        int,
        About(
            "Ranges of the score, of equal numbers of pairs, that are drawn from separately; 1 or more.",
            Panel.judged, metavar="COUNT",
        ),
    ] = 10  # fmt: skip
    seed: common.Seed = 0
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        require_at_least("--n", self.n, 2)
        settle_places(self, "out")
        require_at_least("--strata", self.strata, 1)
        require_row_bytes(self.max_row_bytes)
        known = self.out == "-" or self.out.endswith(REVIEW_SUFFIXES)
        require(known, f"--out is {self.out}", f"give a name that ends in {', '.join(REVIEW_SUFFIXES)}, or -")
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out)

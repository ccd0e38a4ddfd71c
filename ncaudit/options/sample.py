"""Options of `sample`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ncaudit.options.shared.checks import require, require_at_least, require_local
from ncaudit.options.shared.effect import Unread, of_files, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes

REVIEW_SUFFIXES = (".csv", ".parquet", ".jsonl")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """`ncaudit sample`: pairs for people to judge, drawn so that their verdicts tell the rate of mismatches."""

    scores: Sequence[str]
    out: str  # NAME.csv, NAME.parquet or NAME.jsonl, or - for CSV on standard output
    n: int = 200
    strata: int = 10  # ranges of the score with equal numbers of pairs
    seed: int = 0
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked
    overwrite: bool = False  # replace files of others that are in the way, too; never an input

    def __post_init__(self) -> None:
        require_at_least("--n", self.n, 2)
        require_local("--out", self.out)
        require_at_least("--strata", self.strata, 1)
        require_row_bytes(self.max_row_bytes)
        known = self.out == "-" or self.out.endswith(REVIEW_SUFFIXES)
        require(known, f"--out is {self.out}", f"give a name that ends in {', '.join(REVIEW_SUFFIXES)}, or -")
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out)

"""Options of `bench`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ncaudit.options.sample import REVIEW_SUFFIXES
from ncaudit.options.scoring import ScorerOptions
from ncaudit.options.shared.checks import require, require_at_least, require_local
from ncaudit.options.shared.effect import Unread, of_files, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.streams import STREAM

MISMATCH_KINDS = ("random", "topic", "near")


@dataclass(frozen=True, kw_only=True)
class BenchOptions(ScorerOptions):
    """`ncaudit bench`: how well scorers find mismatches made for the purpose. `scorer` and `stratify` are not used."""

    embeddings: Sequence[str]
    features: str | None = None  # as in ScoreOptions
    scorers: Sequence[str] = ("bicro", "csls", "clip-score")
    kinds: Sequence[str] = MISMATCH_KINDS
    rates: Sequence[float] = (0.2, 0.4)  # shares of the pairs whose caption is swapped
    seeds: int = 3  # runs of every setting: `seed` and those after it
    pairs: int = 4_096  # size of the seeded sample that everything is measured on
    out: str | None = None  # every run as a row of NAME.csv, NAME.parquet or NAME.jsonl
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked
    overwrite: bool = False  # replace files of others that are in the way, too; never an input

    def __post_init__(self) -> None:
        super().__post_init__()
        require_local("--out", self.out)
        for name in ("scorers", "kinds", "rates"):
            given = tuple(dict.fromkeys(getattr(self, name)))
            require(bool(given), f"--{name} is empty", "give at least one, or leave it out")
            object.__setattr__(self, name, given)
        for kind in self.kinds:
            require(kind in MISMATCH_KINDS, f"--kinds is {kind}", f"give one of: {', '.join(MISMATCH_KINDS)}")
        for rate in self.rates:
            require(0 < rate < 1, f"--rates is {rate}, but it is a share", "give a number above 0 and below 1")
        require_at_least("--seeds", self.seeds, 1)
        require_at_least("--pairs", self.pairs, 50)
        require_row_bytes(self.max_row_bytes)
        known = self.out is None or self.out.endswith(REVIEW_SUFFIXES)
        require(known, f"--out is {self.out}", f"give a name that ends in {', '.join(REVIEW_SUFFIXES)}")
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out or STREAM)

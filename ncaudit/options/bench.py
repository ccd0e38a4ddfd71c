"""Options of `bench`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from ncaudit.nearest import one_of
from ncaudit.options.sample import REVIEW_SUFFIXES
from ncaudit.options.scoring import ScorerOptions
from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.checks import require, require_at_least, settle_places
from ncaudit.options.shared.effect import Unread, of_files, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.streams import STREAM

MISMATCH_KINDS = ("random", "topic", "near")


@dataclass(frozen=True, kw_only=True)
class BenchOptions(ScorerOptions):
    """`ncaudit bench`: how well scorers find mismatches made for the purpose. `scorer` and `stratify` are not used."""

    UNASKED = ("scorer", "stratify", "fit_pairs", "bank_pairs", "max_anchors", "anchor_threshold", "center")

    embeddings: common.EmbeddingTables
    features: common.Features = None
    scorers: Annotated[
        Sequence[str],
        About(
            "Scorer to compare; `ncaudit scorers` lists them.",
            Panel.judged, metavar="NAME", among=common.scorers,
        ),
    ] = ("bicro", "csls", "clip-score")  # fmt: skip
    kinds: Annotated[
        Sequence[str],
        About(
            "Which captions are swapped: any ones (random), those of the same cluster of images (topic), or those of "
            "the nearest images (near).",
            Panel.judged, metavar="NAME", among=lambda: MISMATCH_KINDS,
        ),
    ] = MISMATCH_KINDS  # fmt: skip
    rates: Annotated[
        Sequence[float],
        About(
            "Share of the pairs whose caption is swapped, above 0 and below 1.",
            Panel.judged, metavar="SHARE",
        ),
    ] = (0.2, 0.4)  # fmt: skip
    seeds: Annotated[int, About("Runs of each setting, from --seed on; 1 or more.", Panel.judged, metavar="COUNT")] = 3
    pairs: Annotated[
        int,
        About("Pairs of the sample on which everything is measured, 50 or more.", Panel.judged, metavar="COUNT"),
    ] = 4_096
    out: Annotated[
        str | None,
        About(
            "Write every run as a row of NAME.csv, NAME.parquet or NAME.jsonl.", Panel.output, metavar="PATH",
            is_path=True,
        ),
    ] = None  # fmt: skip
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    threads: common.Threads = None
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        super().__post_init__()
        settle_places(self, "out")
        for name in ("scorers", "kinds", "rates"):
            given = tuple(dict.fromkeys(getattr(self, name)))
            require(bool(given), f"--{name} is empty", "give at least one, or leave it out")
            object.__setattr__(self, name, given)
        for kind in self.kinds:
            require(
                kind in MISMATCH_KINDS,
                f"--kinds is {kind}",
                one_of(kind, MISMATCH_KINDS),
            )
        for rate in self.rates:
            require(0 < rate < 1, f"--rates is {rate}, but it is a share", "give a number above 0 and below 1")
        require_at_least("--seeds", self.seeds, 1)
        require_at_least("--pairs", self.pairs, 50)
        require_at_least("--threads", self.threads, 1)
        require_row_bytes(self.max_row_bytes)
        known = self.out is None or self.out.endswith(REVIEW_SUFFIXES)
        require(known, f"--out is {self.out}", f"give a name that ends in {', '.join(REVIEW_SUFFIXES)}")
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out or STREAM)

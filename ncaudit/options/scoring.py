"""Options of `score`, and of scorers wherever they are used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncaudit.options.shared.checks import (
    choose,
    compatible,
    require,
    require_at_least,
    require_below_one,
    require_local,
    require_share,
)
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.streams import STREAM, StreamFormat, is_folder, streams_csv


class Variant(StrEnum):
    """Whose BiCro: ours (many anchors, standardised), the paper's (distances), the released code's (cosines)."""

    robust = "robust"
    paper = "paper"
    released = "released"


class Loss(StrEnum):
    """The per-pair loss whose mixture finds the anchors."""

    ranking = "ranking"
    infonce = "infonce"


class Mixture(StrEnum):
    """The two components fitted to the losses."""

    beta = "beta"
    gaussian = "gaussian"


class Align(StrEnum):
    """Where image and caption are compared: `cca` learns the space from the data; `auto` where they share none."""

    auto = "auto"
    none = "none"
    cca = "cca"


class Siblings(StrEnum):
    """Whether several captions of one photo vouch for each other; `auto`: where there are enough of them."""

    auto = "auto"
    use = "use"
    ignore = "ignore"


class Correlation(StrEnum):
    """How `structure` compares two rows of similarities: by value, or by rank."""

    pearson = "pearson"
    spearman = "spearman"


AUTO_SCORER = "auto"
# what the scorers are set by, and what the calibration of a fit is
SETTINGS = (
    *("variant", "k", "align", "siblings", "loss", "mixture", "anchor_threshold", "center", "csls_k", "temperature"),
    *("correlation", "max_anchors", "bank_pairs"),
)
OF_A_FIT = (*SETTINGS, "noisy_precision", "stratify")


@dataclass(frozen=True, kw_only=True)
class ScorerOptions:
    """What a score depends on: recorded in every score table, and enough to score arrays in memory."""

    scorer: str = "bicro"  # or auto: the one that tells observed from random pairs best on these data
    variant: Variant = Variant.robust
    k: int | None = None  # nearest anchors per direction; None: 1 as in the paper, for robust 10 or 5, by the data
    align: Align = Align.auto
    siblings: Siblings = Siblings.auto
    loss: Loss = Loss.infonce  # its mixture finds the anchors better than the paper's ranking loss: see CHANGELOG.md
    mixture: Mixture = Mixture.beta
    anchor_threshold: float = 0.5  # P(clean) above which a pair is an anchor
    center: bool = True  # subtract each modality's mean first: in CLIP's narrow cone raw ratios saturate near 1
    csls_k: int = 10  # neighbours that measure crowding
    temperature: float | None = None  # logits are cosine / temperature, 0.001 to 10; None: the likeliest on the bank
    correlation: Correlation = Correlation.pearson
    max_anchors: int = 20_000
    fit_pairs: int = 50_000  # size of the seeded sample that everything global is fitted on
    bank_pairs: int = 1_024  # fixed negatives that a pair's loss is measured against
    stratify: str = "auto"  # calibrate per source: auto (shards, else image clusters), none, or a column of the tables
    noisy_precision: float | None = None  # share of mismatches among the pairs called noisy; None: label below .5
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.noisy_precision is not None:
            require_share("--noisy-precision", self.noisy_precision)
        choose(self, variant=Variant, loss=Loss, mixture=Mixture, correlation=Correlation)
        choose(self, align=Align, siblings=Siblings)
        require_at_least("--k", self.k, 1)
        require_at_least("--csls-k", self.csls_k, 1)
        if self.temperature is not None:
            fits = 0.001 <= self.temperature <= 10
            require(fits, f"--temperature is {self.temperature}", "give a number from 0.001 to 10 (CLIP: 0.01)")
        require_at_least("--max-anchors", self.max_anchors, 2)
        require_at_least("--fit-pairs", self.fit_pairs, 2)
        require_at_least("--bank-pairs", self.bank_pairs, 2)
        require_below_one("--anchor-threshold", self.anchor_threshold, "probability")


@dataclass(frozen=True, kw_only=True)
class ScoreOptions(ScorerOptions):
    """`ncaudit score`: embedding tables to score tables."""

    embeddings: Sequence[str]
    out: str  # a folder, a NAME.parquet, or - for standard output
    features: str | None = None  # the arrays X_img and X_txt of the .npz beside a table; None: l14, or the only ones
    model: str | None = None  # a folder of heads, that all embeddings go through first; None: they are used as they are
    data: Sequence[str] | None = None  # write this dataset back with ncaudit_ columns instead of score tables
    join: Sequence[str] | None = None  # a table whose columns come beside the scores, a file or many
    join_key: str | None = None  # KEY of the embedding tables, or KEY=COLUMN where the joined table calls it otherwise
    # people's judgements (pair_id, is_match), a file of each judge: correct the labels and the noise rate
    verdicts: Sequence[str] | None = None
    check: bool = True  # measure the audit's own power on these data
    suggest: bool = False  # look for a caption among the clean pairs for every noisy one
    fit: str | None = None
    save_fit: str | None = None
    refit: bool = False
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula
    columns: Sequence[str] | None = None
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked
    max_failed: float = 1.0
    overwrite: bool = False  # replace files of others that are in the way, too; never an input
    prune: bool = False  # remove tables that this command wrote and whose input is gone

    def __post_init__(self) -> None:
        super().__post_init__()
        require_local("--out", self.out)
        choose(self, format=StreamFormat)
        require_share("--max-failed", self.max_failed, zero=True)
        require_row_bytes(self.max_row_bytes)
        if isinstance(self.verdicts, str):  # one judge, in a notebook
            object.__setattr__(self, "verdicts", (self.verdicts,))
        judges = self.verdicts or ()
        once = len(set(judges)) == len(judges)
        compatible(once, "--verdicts names one file twice", "give the file of each judge once")
        compatible(not (self.fit and self.refit), "--fit and --refit contradict each other", "give one of them")
        _check_join(self)
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at; what a scorer does not, `scorers.refuse_unread` knows."""
        yield from of_files(self.out)
        yield from of_streams(self.out, stream=self.out == STREAM, csv=streams_csv(self.out, self.format))
        if self.fit:
            yield Unread(OF_A_FIT, "is of fitting, and --fit scores with a fit that is there", "leave out one of them")
            if self.check:  # --no-check says what is the case
                yield Unread(("check",), "measures where a fit is made, and --fit scores with one that is there")
        if self.data:
            yield Unread(("columns",), "says what score tables carry, and --data writes the dataset with all it has")
        if not self.join:
            yield Unread(("join_key",), "joins a table, and there is none", "name it with --join")
        if not is_folder(self.out):
            yield Unread(
                ("refit",), f"redoes what is finished in a folder, and --out {self.out} is written anew anyway"
            )


def _check_join(options: ScoreOptions) -> None:
    if not options.join:
        return
    named = all((options.join_key or "").split("=", 1))
    compatible(
        named, "--join does not say by which key", "give --join-key KEY, or KEY=COLUMN where the two tables differ"
    )
    compatible(
        not options.data, "--join brings columns to score tables, and --data writes the dataset with its own",
        "give one of them",
    )  # fmt: skip

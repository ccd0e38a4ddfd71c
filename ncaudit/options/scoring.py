"""Options of `score`, and of scorers wherever they are used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Options, Panel
from ncaudit.options.shared.checks import (
    choose,
    compatible,
    require,
    require_at_least,
    require_below_one,
    require_share,
    settle_places,
)
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.slices import SliceOptions
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


BICRO, OTHERS = "scorer bicro", "other scorers"  # that a setting is of
# what the scorers are set by, and what the calibration of a fit is
SETTINGS = (
    *("variant", "k", "align", "siblings", "loss", "mixture", "anchor_threshold", "center", "csls_k", "temperature"),
    *("correlation", "max_anchors", "bank_pairs"),
)
OF_A_FIT = (*SETTINGS, "noisy_precision", "stratify")


@dataclass(frozen=True, kw_only=True)
class ScorerOptions(Options):
    """What a score depends on: recorded in every score table, and enough to score arrays in memory."""

    scorer: common.Scorer = "bicro"
    variant: Annotated[
        Variant,
        About(
            "Whose BiCro: robust has many anchors and standardises, paper has the paper's distances, released the "
            "cosines of that paper's code.",
            Panel.judged, rare=True, of=BICRO, metavar="NAME",
        ),
    ] = Variant.robust  # fmt: skip
    k: Annotated[
        int | None,
        About(
            "Nearest anchors per direction, 1 or more. By default 5 or 10, chosen from the data; for the variants "
            "paper and released 1.",
            Panel.judged, rare=True, of=BICRO, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    align: Annotated[
        Align,
        About(
            "Where image and caption are compared: cca learns a common space from the pairs, none takes the embeddings "
            "as they are, auto learns one where they share none.",
            Panel.judged, rare=True, of=BICRO, metavar="NAME",
        ),
    ] = Align.auto  # fmt: skip
    siblings: Annotated[
        Siblings,
        About(
            "Whether several captions of one photo vouch for each other: use, ignore, or auto, where there are enough.",
            Panel.judged, rare=True, of=BICRO, metavar="NAME",
        ),
    ] = Siblings.auto  # fmt: skip
    # its mixture finds the anchors better than the paper's ranking loss: see CHANGELOG.md
    loss: Annotated[
        Loss,
        About(
            "The loss of each pair that finds the anchors: infonce, or ranking, which is the paper's.",
            Panel.judged, rare=True, of=BICRO, metavar="NAME",
        ),
    ] = Loss.infonce  # fmt: skip
    mixture: Annotated[
        Mixture,
        About(
            "The two components that are fitted to the losses: beta or gaussian.",
            Panel.judged, rare=True, of=BICRO, metavar="NAME",
        ),
    ] = Mixture.beta  # fmt: skip
    anchor_threshold: Annotated[
        float,
        About(
            "Pairs above this probability of being clean are anchors; 0 to below 1.",
            Panel.judged, rare=True, of=BICRO, metavar="SHARE",
        ),
    ] = 0.5  # fmt: skip
    # in CLIP's narrow cone raw ratios saturate near 1
    center: Annotated[
        bool,
        About(
            "Subtract each modality's mean before anchors are compared.",
            Panel.judged, rare=True, of=BICRO, off="--no-center",
        ),
    ] = True  # fmt: skip
    csls_k: Annotated[
        int,
        About(
            "Neighbours that measure how crowded a place is, for the scorer csls; 1 or more.",
            Panel.judged, rare=True, of=OTHERS, metavar="COUNT",
        ),
    ] = 10  # fmt: skip
    temperature: Annotated[
        float | None,
        About(
            "The model's temperature, for the scorers neg-clip-loss and ncr: 0.001 to 10 (CLIP's is 0.01). By default "
            "the likeliest on these data.",
            Panel.judged, rare=True, of=OTHERS, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    correlation: Annotated[
        Correlation,
        About(
            "How two rows of similarities are compared, for the scorer structure: by value (pearson) or by rank "
            "(spearman).",
            Panel.judged, rare=True, of=OTHERS, metavar="NAME",
        ),
    ] = Correlation.pearson  # fmt: skip
    max_anchors: Annotated[
        int,
        About("Anchors that are kept in the fit, 2 or more.", Panel.judged, rare=True, of=BICRO, metavar="COUNT"),
    ] = 20_000
    fit_pairs: Annotated[
        int,
        About(
            "Pairs of the seeded sample on which everything global is fitted, 2 or more.",
            Panel.judged, rare=True, metavar="COUNT",
        ),
    ] = 50_000  # fmt: skip
    bank_pairs: Annotated[
        int,
        About(
            "Fixed negatives against which every pair's loss is measured, 2 or more.",
            Panel.judged, rare=True, of=BICRO, metavar="COUNT",
        ),
    ] = 1_024  # fmt: skip
    stratify: common.Stratify = "auto"
    noisy_precision: common.NoisyPrecision = None
    seed: common.Seed = 0
    device: common.Device = "auto"

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
class ScoreOptions(ScorerOptions, SliceOptions, EngineOptions):
    """`ncaudit score`: embedding tables to score tables."""

    embeddings: Annotated[
        Sequence[str],
        About(
            "Embedding tables, from `ncaudit embed` or any with both embeddings; a clip-retrieval folder; DataComp's "
            "metadata beside its .npz; two .npy files, images first; or - for a stream on standard input.",
            Panel.input, metavar="EMBEDDINGS", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    out: common.OutFolderFileStream
    features: common.Features = None
    model: common.Heads = None
    data: Annotated[
        Sequence[str] | None,
        About(
            "The dataset that was embedded: it is written back with ncaudit_ columns, instead of score tables.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    join: Annotated[
        Sequence[str] | None,
        About(
            "A table whose light columns come beside the scores, such as earlier scores; of those the ones that "
            "--columns names. Repeatable, for a table of many files.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    join_key: Annotated[
        str | None,
        About(
            "With --join: the column of the embedding tables that has its keys (pair_id, or one of your own), or "
            "KEY=COLUMN where that table calls it otherwise.",
            Panel.input, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    verdicts: common.Verdicts = None
    check: common.Check = True
    suggest: common.Suggest = False
    fit: Annotated[
        str | None,
        About("Score with this saved fit instead of fitting anew.", Panel.input, metavar="PATH", is_path=True),
    ] = None
    save_fit: Annotated[
        str | None,
        About("Folder to save the fit in, for later shards.", Panel.output, metavar="PATH", is_path=True),
    ] = None
    refit: Annotated[
        bool,
        About("Fit anew and score every shard again that score itself has written.", Panel.output),
    ] = False
    fit_only: Annotated[
        bool,
        About(
            "Only fit, and count repeats, and keep both in --out: what all parts of --slice go by. No row is scored.",
            Panel.output, rare=True,
        ),
    ] = False  # fmt: skip
    format: common.Format = StreamFormat.arrow
    csv_safe: common.CsvSafe = False
    columns: common.Columns = None
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    threads: common.Threads = None
    max_failed: common.MaxFailed = 1.0
    overwrite: common.Overwrite = False
    prune: common.Prune = False

    def __post_init__(self) -> None:
        super().__post_init__()
        settle_places(self, "out", "save_fit")
        choose(self, format=StreamFormat)
        require_share("--max-failed", self.max_failed, zero=True)
        require_at_least("--threads", self.threads, 1)
        require_row_bytes(self.max_row_bytes)
        judges = self.verdicts or ()
        once = len(set(judges)) == len(judges)
        compatible(once, "--verdicts names one file twice", "give the file of each judge once")
        compatible(not (self.fit and self.refit), "--fit and --refit contradict each other", "give one of them")
        _check_join(self)
        self.check_engine()
        refuse_changed(self)
        _ = self.part

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at; what a scorer does not, `scorers.refuse_unread` knows."""
        yield from of_files(self.out)
        yield from self.unread_of_slices(self.out)
        yield from self.unread_of_engine(self.out)
        yield from self.unread_of_fitting()
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

    def unread_of_fitting(self) -> Iterator[Unread]:
        """What a part leaves to the run that fits, and that run to the parts."""
        if self.slice:
            shared = "is of fitting, and a part scores with the fit that is there"
            yield Unread(("refit",), shared, "give it with --fit-only, before the parts")
            yield Unread(("verdicts",), "speak for all shards at once, and --slice does a part of them",
                         "correct the fit first: --fit-only --verdicts FILE --save-fit FIT; then --fit FIT, --slice")
            yield Unread(("fit_only",), "fits for all parts, and --slice does one of them", "give one of them")
        elif self.fit_only and not self.save_fit:
            yield Unread(("verdicts",), "correct what --fit-only fits, and nothing keeps that for the parts",
                         "add --save-fit FIT, and give the parts --fit FIT")
        if not is_folder(self.out):
            yield Unread(("fit_only",), f"keeps the fit in a folder, and --out is {self.out}", "give a folder")


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

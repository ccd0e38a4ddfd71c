"""Every command's options: frozen, typed, checked once. Their defaults are the only defaults.

Imports no torch, so that `ncaudit --help` stays fast. Choices are enums; numbers carry their unit in the name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ncaudit.errors import NcauditError, UsageError
from ncaudit.objectives import by_class


class Precision(StrEnum):
    """What the encoders compute in: `auto` takes bfloat16 where the hardware is faster with it."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class StreamFormat(StrEnum):
    """How `--out -` writes rows on standard output."""

    arrow = "arrow"
    jsonl = "jsonl"
    csv = "csv"


class Layout(StrEnum):
    """How `embed` writes embeddings to a folder."""

    parquet = "parquet"  # a table per shard, with every row
    clip_retrieval = "clip-retrieval"  # img_emb/, text_emb/ and metadata/: the rows that have embeddings


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


class HeadKind(StrEnum):
    """A projection head: a linear map, or one with a residual two-layer branch."""

    linear = "linear"
    mlp = "mlp"


class HeadStart(StrEnum):
    """Where heads begin: at the canonical correlations, as the identity, or `auto`: by whether a space is shared."""

    auto = "auto"
    cca = "cca"
    identity = "identity"


class TrainingRecipe(StrEnum):
    """How training treats noise: `simple` believes the labels it is given, `bicro` finds its own in two networks."""

    simple = "simple"
    bicro = "bicro"


class CorruptKind(StrEnum):
    """Which captions are swapped: any, those of the same image cluster, or the nearest ones; or which labels change:
    to any class, or each class to one other."""

    shuffle = "shuffle"
    topic = "topic"
    near = "near"
    label_symmetric = "label-symmetric"
    label_asymmetric = "label-asymmetric"

    @property
    def of_labels(self) -> bool:
        """Whether it changes labels and leaves the captions as they are."""
        return self in (CorruptKind.label_symmetric, CorruptKind.label_asymmetric)


def _require(holds: bool, what: str, fix: str) -> None:
    if not holds:
        raise NcauditError(what, fix=fix)


def _compatible(holds: bool, what: str, fix: str) -> None:
    if not holds:
        raise UsageError(what, fix=fix)


def _share(flag: str, value: float, *, zero: bool = False) -> None:
    low = "0 or more" if zero else "above 0"
    inside = (0 <= value if zero else 0 < value) and value <= 1
    _require(inside, f"{flag} is {value}, but it is a share", f"give a number {low}, at most 1")


def _below_one(flag: str, value: float, what: str) -> None:
    _require(0 <= value < 1, f"{flag} is {value}, but it is a {what}", "give a number from 0 to below 1")


def _written_here(flag: str, path: str | None) -> None:
    what = f"{flag} {path} is an address, and outputs are written to local files only"
    _require(path is None or "://" not in path, what, "give a local folder, and copy it where it is to be")


def _at_least(flag: str, value: int | None, low: int) -> None:
    _require(value is None or value >= low, f"{flag} is {value}", f"give a whole number of at least {low}")


def _choose(options: object, **kinds: type[StrEnum]) -> None:
    """Let a notebook write variant="paper": words become members of their enum, unknown words an error."""
    for name, kind in kinds.items():
        given = getattr(options, name)
        known = [member.value for member in kind]
        _require(given in known, f"--{name.replace('_', '-')} is {given}", f"give one of: {', '.join(known)}")
        object.__setattr__(options, name, kind(given))


def _check_csv_safe(options: "EmbedOptions | ScoreOptions | LabelsOptions | FilterOptions") -> None:
    rows = options.out == STREAM and options.format is StreamFormat.csv
    if isinstance(options, FilterOptions):
        rows = rows and options.write_as is FilterForm.rows
    _compatible(
        rows or not options.csv_safe, "--csv-safe is about rows as CSV on standard output, and there are none",
        "leave it out, or give --out - --format csv",
    )  # fmt: skip


def _positive(flag: str, value: float) -> None:
    _require(value > 0, f"{flag} is {value}", "give a number above 0")


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which encoder, and how it computes: shared by every command that loads one."""

    model: str = "ViT-B-32"  # an open_clip name, hf-hub:NAME, local-dir:PATH, or a matcher folder that `train` wrote
    pretrained: str = "laion2b_s34b_b79k"  # open_clip's tag, or a weights file; unused for hf-hub: and model folders
    device: str = "auto"
    precision: Precision = Precision.auto

    def __post_init__(self) -> None:
        _choose(self, precision=Precision)


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the pairs are in the user's dataset: columns are found by themselves unless named."""

    image_column: str | None = None
    caption_column: str | None = None
    key: str | None = None
    # folder that relative image paths start from; default: the shard's own, for standard input the working folder
    image_root: str | None = None
    max_image_pixels: int = 100_000_000  # refused before decoding: a bomb of a few KiB can ask for GiBs

    def __post_init__(self) -> None:
        _at_least("--max-image-pixels", self.max_image_pixels, 1)


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(ModelOptions, DataOptions):
    """`ncaudit embed`: raw shards to embedding tables."""

    sources: Sequence[str]  # or - for a stream on standard input
    out: str  # a folder, or - for standard output
    layout: Layout = Layout.parquet
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula
    devices: Sequence[str] | None = None  # names or "A,B": one process each; "all": every GPU; None: here, on `device`
    columns: Sequence[str] | None = None  # light columns to carry; None: all that are not images or nested data
    batch_pairs: int | None = None  # None: found once from the model and the device, and recorded in _run.json
    workers: int | None = None  # decoding processes; None: one per core, at most 16; 0: decode in this process
    max_failed: float = 1.0  # share of rows

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        DataOptions.__post_init__(self)
        _written_here("--out", self.out)
        _at_least("--batch-pairs", self.batch_pairs, 1)
        _at_least("--workers", self.workers, 0)
        _share("--max-failed", self.max_failed, zero=True)
        _choose(self, format=StreamFormat, layout=Layout)
        stream = self.out == STREAM and self.layout is not Layout.parquet
        _compatible(not stream, f"--layout {self.layout} is of files, and --out - is one stream", "give a folder")
        _check_csv_safe(self)
        if isinstance(self.devices, str):
            object.__setattr__(self, "devices", tuple(self.devices.split(",")))
        _check_devices(self)


def _check_devices(options: EmbedOptions) -> None:
    if options.devices is None:
        return
    one = "--devices writes a table per shard, and --out - is one stream"
    _compatible(options.out != STREAM, one, "give --device, or a folder with --out")
    named = options.device != ModelOptions.device
    _compatible(not named, "--device and --devices both say where to compute", "give one of them")
    wanted = "give names with commas between, such as cuda:0,cuda:1, or all"
    _require(bool(options.devices) and all(options.devices), "--devices has an empty name", wanted)
    alone = "all" not in options.devices or len(options.devices) == 1
    _require(alone, "--devices names all and others", wanted)


AUTO_SCORER = "auto"


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
            _share("--noisy-precision", self.noisy_precision)
        _choose(self, variant=Variant, loss=Loss, mixture=Mixture, correlation=Correlation)
        _choose(self, align=Align, siblings=Siblings)
        _at_least("--k", self.k, 1)
        _at_least("--csls-k", self.csls_k, 1)
        if self.temperature is not None:
            fits = 0.001 <= self.temperature <= 10
            _require(fits, f"--temperature is {self.temperature}", "give a number from 0.001 to 10 (CLIP: 0.01)")
        _at_least("--max-anchors", self.max_anchors, 2)
        _at_least("--fit-pairs", self.fit_pairs, 2)
        _at_least("--bank-pairs", self.bank_pairs, 2)
        _below_one("--anchor-threshold", self.anchor_threshold, "probability")


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
    verdicts: str | None = None  # people's judgements (pair_id, is_match): correct the labels and the noise rate
    check: bool = True  # measure the audit's own power on these data
    suggest: bool = False  # look for a caption among the clean pairs for every noisy one
    fit: str | None = None
    save_fit: str | None = None
    refit: bool = False
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula
    columns: Sequence[str] | None = None
    max_failed: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _written_here("--out", self.out)
        _choose(self, format=StreamFormat)
        _share("--max-failed", self.max_failed, zero=True)
        if self.fit and self.refit:
            raise UsageError("--fit and --refit contradict each other", fix="give one of them")
        _check_csv_safe(self)
        _check_join(self)


def _check_join(options: ScoreOptions) -> None:
    if not options.join:
        _compatible(options.join_key is None, "--join-key joins a table, and there is none", "name it with --join")
        return
    named = all((options.join_key or "").split("=", 1))
    _compatible(
        named, "--join does not say by which key", "give --join-key KEY, or KEY=COLUMN where the two tables differ"
    )
    _compatible(
        not options.data, "--join brings columns to score tables, and --data writes the dataset with its own",
        "give one of them",
    )  # fmt: skip


@dataclass(frozen=True)
class Pace:
    """How fast and how long training goes where the user has not said it."""

    learning_rate: float
    batch_pairs: int
    epochs: int


TOWERS, HEADS, LAST = "towers", "heads", "last:"
TOWERS_PACE = Pace(learning_rate=1e-5, batch_pairs=128, epochs=8)
HEADS_PACE = Pace(learning_rate=1e-3, batch_pairs=1_024, epochs=20)  # a step costs a thousandth of the towers'
CO_TEACHING_PACE = Pace(learning_rate=2e-4, batch_pairs=512, epochs=20)  # at 1e-3 both fit the noise
CLASS_PACE = Pace(learning_rate=3e-2, batch_pairs=128, epochs=40)  # of heads: sets with classes are mostly small
WARMUP_OF_EPOCHS = 5  # a fifth of all epochs, as the paper's 10 of 50
# of which an objective has some or none
OBJECTIVE_SETTINGS = (
    *("margin", "margin_base", "spread", "drop_below"),
    *("cmp_weight", "class_temperature", "pseudo_label"),
)
SOFT_LABEL = "soft_label"
OBJECTIVES = {TrainingRecipe.simple: "weighted-infonce", TrainingRecipe.bicro: "bicro"}


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions, DataOptions):
    """`ncaudit train`: train a matcher on pairs weighted by their soft labels."""

    out: str
    tune: str = TOWERS  # last:N: the last N blocks of each tower; or heads: projection heads on frozen embeddings
    data: Sequence[str] | None = None  # what towers learn from
    embeddings: Sequence[str] | None = None  # what heads learn from
    features: str | None = None  # of embeddings and val_data, as in ScoreOptions
    scores: Sequence[str] | None = None  # None: every label is 1
    recipe: TrainingRecipe = TrainingRecipe.simple
    objective: str | None = None  # None: weighted-infonce, for the recipe bicro its own
    margin: float | None = None  # objectives bicro (of a pair with label 1), cmp, nirnl; None, here and below: its own
    margin_base: float | None = None  # objective bicro: m of the paper, how late the margin rises with the label
    spread: str | None = None  # objective soft-infonce: uniform or similarity
    drop_below: float | None = None  # objective drop: pairs with smaller labels are left out
    cmp_weight: float | None = None  # class objectives: of the margin loss beside that of the classes
    class_temperature: float | None = None  # class objectives: of the softmax over the classes
    pseudo_label: str | None = None  # objective nirnl: the class of noisy pairs, prediction or neighbours
    neighbours: int | None = None  # objective nirnl: that vote for a pair's class; None: chosen from the data
    label_column: str | None = None  # of the scores, in [0, 1] or boolean; None: soft_label. Class objectives: classes
    head: HeadKind | None = None  # None: as `head_kind` says
    head_start: HeadStart = HeadStart.auto
    dims: int | None = None  # of the heads' space; None: 128 for cca, the embeddings' own width for identity
    hidden: int | None = None  # width of an mlp's branch; None: 1024
    relabel_every: int | None = None  # epochs after which the labels are made anew, out of fold; None: never
    split_loss: Loss = Loss.infonce  # that warm-up and split select by; its mixture finds more of the noise
    warmup_epochs: int | None = None  # in which each network learns from its small-loss pairs; None: a fifth
    warmup_keep: float = 0.3  # share of each batch
    split_threshold: float = 0.5  # P(clean) above which a pair is trusted
    noisy_from: float = 0.5  # share of the epochs after which the noisy pairs join
    anchor_k: int = 10  # anchors per direction that a noisy pair's label rests on
    epochs: int | None = None  # None, here and in the next two: as `pace` says
    batch_pairs: int | None = None  # of all processes together
    chunk_pairs: int | None = None  # how many pairs of a batch have a graph at a time; None: all that a process holds
    learning_rate: float | None = None
    weight_decay: float = 0.05
    warmup_share: float = 0.1  # of all steps
    clip_norm: float = 1.0
    train_batchnorm: bool = False
    val_share: float = 0.05  # of the photos, held out from training
    val_data: Sequence[str] | None = None  # a set of its own for validation; then nothing is held out
    patience: int | None = None  # epochs in a row without a better rSum after which training stops; None: never
    tensorboard: bool = False  # event files in out/tensorboard
    workers: int | None = None
    seed: int = 0
    restart: bool = False

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        DataOptions.__post_init__(self)
        _written_here("--out", self.out)
        _choose(self, head_start=HeadStart, recipe=TrainingRecipe, split_loss=Loss)
        if self.head is not None:
            _choose(self, head=HeadKind)
        known = self.tune in (TOWERS, HEADS) or re.fullmatch(f"{LAST}[1-9][0-9]*", self.tune)
        _require(bool(known), f"--tune is {self.tune}", f"give one of: {HEADS}, {TOWERS}, {LAST}1, {LAST}2, …")
        _check_heads(self) if self.tune == HEADS else _check_towers(self)
        _at_least("--batch-pairs", self.batch_pairs, 2)
        for name in ("epochs", "chunk_pairs", "patience", "dims", "hidden"):
            _at_least(f"--{name.replace('_', '-')}", getattr(self, name), 1)
        if self.learning_rate is not None:
            _positive("--learning-rate", self.learning_rate)
        _positive("--clip-norm", self.clip_norm)
        _require(self.weight_decay >= 0, f"--weight-decay is {self.weight_decay}", "give 0 or more")
        _share("--warmup-share", self.warmup_share, zero=True)
        _below_one("--val-share", self.val_share, "share")
        instead = "--val-data" if self.by_class else "a --val-share above 0, or --val-data"
        _compatible(
            self.patience is None or bool(self.held_share or self.val_data),
            "--patience waits for a better validation, and there is none", f"give {instead}",
        )  # fmt: skip
        _compatible(
            self.chunk_pairs is None or not self.train_batchnorm,
            "--train-batchnorm needs whole batches, but --chunk-pairs shows it pieces", "leave out one of them",
        )  # fmt: skip
        _check_recipe(self)
        if self.by_class:
            _check_by_class(self)

    @property
    def by_class(self) -> bool:
        """Whether the objective asks for the pairs' classes."""
        return self.objective in by_class.names()

    @property
    def weight_column(self) -> str:
        """The column of labels, or of classes where the objective asks for them."""
        return self.label_column or SOFT_LABEL

    @property
    def held_share(self) -> float:
        """Share of the photos held out to validate on: none beside --val-data, and none of those with noisy classes."""
        return 0.0 if self.val_data or self.by_class else self.val_share

    @property
    def chosen_objective(self) -> str:
        """What was asked for, or what suits the recipe."""
        return self.objective or OBJECTIVES[self.recipe]

    @property
    def objective_settings(self) -> dict[str, float | str]:
        """Those of the objective's settings that were given."""
        named = {name: getattr(self, name) for name in OBJECTIVE_SETTINGS}
        return {name: given for name, given in named.items() if given is not None}

    @property
    def warming_epochs(self) -> int:
        """Epochs of the warm-up: what was asked for, or a fifth of all."""
        return self.pace.epochs // WARMUP_OF_EPOCHS if self.warmup_epochs is None else self.warmup_epochs

    @property
    def last_blocks(self) -> int | None:
        """How many blocks of each tower learn; None where all do, or heads."""
        return int(self.tune.removeprefix(LAST)) if self.tune.startswith(LAST) else None

    @property
    def head_kind(self) -> HeadKind:
        """What was asked for; else mlp for class objectives, as a linear map bends no class to its barycentre."""
        return self.head or (HeadKind.mlp if self.by_class and self.tune == HEADS else HeadKind.linear)

    @property
    def pace(self) -> Pace:
        """What was asked for, and for the rest what suits that which is tuned."""
        own = CO_TEACHING_PACE if self.recipe is TrainingRecipe.bicro else CLASS_PACE if self.by_class else HEADS_PACE
        own = own if self.tune == HEADS else TOWERS_PACE
        asked = {name: given for name in vars(own) if (given := getattr(self, name)) is not None}
        return replace(own, **asked)


def _check_heads(options: TrainOptions) -> None:
    _compatible(
        bool(options.embeddings), "--tune heads learns from embeddings, and there are none",
        "give embedding tables with --embeddings",
    )  # fmt: skip
    _compatible(
        not options.data, "--tune heads reads no images, but there is --data",
        "leave out --data, or give --tune towers without --embeddings",
    )  # fmt: skip
    _compatible(
        (options.model, options.pretrained) == (ModelOptions.model, ModelOptions.pretrained),
        "--model and --pretrained are for --tune towers", "leave them out: heads learn from the embeddings as they are",
    )  # fmt: skip
    _compatible(not options.train_batchnorm, "--train-batchnorm is for --tune towers", "leave it out")
    linear = options.head_kind is HeadKind.linear and options.hidden is not None
    _compatible(not linear, "--hidden is for --head mlp", "leave it out, or give --head mlp")
    same = options.head_start is HeadStart.identity and options.dims is not None
    _compatible(not same, "--head-start identity keeps the width of the embeddings", "leave out --dims")


STAGES = ("split_loss", "warmup_epochs", "warmup_keep", "split_threshold", "noisy_from", "anchor_k")


def _check_recipe(options: TrainOptions) -> None:
    bicro, relabels = options.recipe is TrainingRecipe.bicro, options.relabel_every is not None
    for flag, given in (("--recipe bicro", bicro), ("--relabel-every", relabels)):
        _compatible(
            not given or options.tune == HEADS, f"{flag} is for --tune heads, not for --tune {options.tune}",
            "train heads first, score with them, and give the scores to the towers with --scores",
        )  # fmt: skip
    _compatible(
        not (bicro and relabels), "--recipe bicro makes its own labels in every epoch", "leave out --relabel-every"
    )
    _compatible(not (bicro and options.scores), "--recipe bicro finds its own labels", "leave out --scores")
    _at_least("--relabel-every", options.relabel_every, 1)
    for name in () if bicro else STAGES:
        flag, default = f"--{name.replace('_', '-')}", getattr(TrainOptions, name)
        _compatible(getattr(options, name) == default, f"{flag} is for --recipe bicro", "leave it out")
    if bicro:
        _check_stages(options)


def _check_stages(options: TrainOptions) -> None:
    _at_least("--warmup-epochs", options.warmup_epochs, 0)
    _at_least("--anchor-k", options.anchor_k, 1)
    _share("--warmup-keep", options.warmup_keep)
    _below_one("--split-threshold", options.split_threshold, "probability")
    _share("--noisy-from", options.noisy_from, zero=True)
    epochs, kept = options.pace.epochs, round(options.warmup_keep * options.pace.batch_pairs)
    _require(
        options.warming_epochs < epochs, f"--warmup-epochs is {options.warming_epochs} of {epochs} epochs",
        "give fewer, or more --epochs: the split comes after the warm-up",
    )  # fmt: skip
    _require(
        kept >= 2, f"--warmup-keep {options.warmup_keep:g} of --batch-pairs {options.pace.batch_pairs} is less than two"
        " pairs, and a pair's negatives are the others", "give more of one of them",
    )  # fmt: skip


def _check_by_class(options: TrainOptions) -> None:
    given = f"--objective {options.objective}"
    where = "embedding tables" if options.tune == HEADS else "dataset, or of its score tables,"
    _compatible(
        bool(options.label_column), f"{given} learns from classes, and no column holds them",
        f"name the class column of the {where} with --label-column",
    )  # fmt: skip
    _compatible(
        options.tune != HEADS or not options.scores,
        f"{given} learns from the classes of the embedding tables, not from --scores",
        "leave out --scores, or give an objective that uses soft labels",
    )  # fmt: skip
    _compatible(
        options.recipe is TrainingRecipe.simple and options.relabel_every is None,
        f"--recipe bicro and --relabel-every make soft labels, and {given} asks for classes", "leave them out",
    )  # fmt: skip
    _at_least("--neighbours", options.neighbours, 1)


def _check_towers(options: TrainOptions) -> None:
    _compatible(
        bool(options.data), f"--tune {options.tune} learns from images, and there is no --data",
        "give the dataset with --data, or --tune heads with --embeddings",
    )  # fmt: skip
    _compatible(
        not options.embeddings, f"--embeddings is for --tune heads, not for --tune {options.tune}",
        "leave it out, or give --tune heads",
    )  # fmt: skip
    for name in ("head", "head_start", "dims", "hidden", "features"):
        flag = f"--{name.replace('_', '-')}"
        _compatible(
            getattr(options, name) == getattr(TrainOptions, name), f"{flag} is for --tune heads", "leave it out"
        )


@dataclass(frozen=True, kw_only=True)
class EvalRetrievalOptions:
    """`ncaudit eval retrieval`: recall of captions by images and of images by captions."""

    embeddings: Sequence[str]
    features: str | None = None  # as in ScoreOptions
    model: str | None = None  # a folder of heads, that all embeddings go through first
    label_column: str | None = None  # classes: then mean average precision is measured too
    map_at: int = 50  # how many of the first items the second mean average precision looks at
    device: str = "auto"

    def __post_init__(self) -> None:
        _at_least("--map-at", self.map_at, 1)
        alone = self.label_column is None and self.map_at != EvalRetrievalOptions.map_at
        _compatible(not alone, "--map-at is about classes, and there are none", "name their column with --label-column")


@dataclass(frozen=True, kw_only=True)
class EvalScoresOptions:
    """`ncaudit eval scores`: how well the scores find known mismatches, and how they stand to prior scores."""

    scores: Sequence[str]
    truth: str | None = None  # boolean or 0/1 column: true where image and caption belong together
    truth_table: str | None = None  # a parquet or CSV with pair_id and the truth column; None: in the score tables
    against: Sequence[str] = ()  # columns of numbers that the pairs came with; NAME means input_NAME too
    bins: int = 10

    def __post_init__(self) -> None:
        _at_least("--bins", self.bins, 2)
        _compatible(
            self.truth is not None or bool(self.against), "there is neither a truth nor another score to compare with",
            "name a column with --truth, or one with --against",
        )  # fmt: skip
        _compatible(
            self.truth is not None or self.truth_table is None, "--truth-table has no column named",
            "name its truth column with --truth",
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InspectOptions(DataOptions):
    """`ncaudit inspect`: what is this, and what to do with it."""

    sources: Sequence[str]
    features: str | None = None  # as in ScoreOptions


REVIEW_SUFFIXES = (".csv", ".parquet", ".jsonl")


@dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """`ncaudit sample`: pairs for people to judge, drawn so that their verdicts tell the rate of mismatches."""

    scores: Sequence[str]
    out: str  # NAME.csv, NAME.parquet or NAME.jsonl, or - for CSV on standard output
    n: int = 200
    strata: int = 10  # ranges of the score with equal numbers of pairs
    seed: int = 0

    def __post_init__(self) -> None:
        _at_least("--n", self.n, 2)
        _written_here("--out", self.out)
        _at_least("--strata", self.strata, 1)
        known = self.out == "-" or self.out.endswith(REVIEW_SUFFIXES)
        _require(known, f"--out is {self.out}", f"give a name that ends in {', '.join(REVIEW_SUFFIXES)}, or -")


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

    def __post_init__(self) -> None:
        super().__post_init__()
        _written_here("--out", self.out)
        for name in ("scorers", "kinds", "rates"):
            given = tuple(dict.fromkeys(getattr(self, name)))
            _require(bool(given), f"--{name} is empty", "give at least one, or leave it out")
            object.__setattr__(self, name, given)
        for kind in self.kinds:
            _require(kind in MISMATCH_KINDS, f"--kinds is {kind}", f"give one of: {', '.join(MISMATCH_KINDS)}")
        for rate in self.rates:
            _require(0 < rate < 1, f"--rates is {rate}, but it is a share", "give a number above 0 and below 1")
        _at_least("--seeds", self.seeds, 1)
        _at_least("--pairs", self.pairs, 50)
        known = self.out is None or self.out.endswith(REVIEW_SUFFIXES)
        _require(known, f"--out is {self.out}", f"give a name that ends in {', '.join(REVIEW_SUFFIXES)}")


@dataclass(frozen=True, kw_only=True)
class CorruptOptions(DataOptions):
    """`ncaudit corrupt`: known noise, with the truth beside it."""

    sources: Sequence[str]
    out: str
    rate: float
    kind: CorruptKind = CorruptKind.shuffle
    label_column: str | None = None  # what the label kinds change
    embeddings: Sequence[str] | None = None  # what nearness is measured with; None: TF-IDF of captions
    clusters: int = 20
    nearest: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        _written_here("--out", self.out)
        _choose(self, kind=CorruptKind)
        _share("--rate", self.rate, zero=True)
        _at_least("--clusters", self.clusters, 1)
        _at_least("--nearest", self.nearest, 1)
        if self.kind.of_labels:
            _check_label_kind(self)
        else:
            _compatible(
                self.label_column is None, f"--label-column is for label kinds, not for --kind {self.kind}",
                "leave it out, or give --kind label-symmetric or label-asymmetric",
            )  # fmt: skip


def _check_label_kind(options: CorruptOptions) -> None:
    kind = f"--kind {options.kind}"
    _compatible(options.label_column is not None, f"{kind} needs to know the labels", "name them with --label-column")
    for name in ("clusters", "nearest", "caption_column", "image_column", "image_root"):
        flag = f"--{name.replace('_', '-')}"
        same = getattr(options, name) == getattr(CorruptOptions, name)
        _compatible(same, f"{flag} is about captions, and {kind} leaves them alone", "leave it out")
    _compatible(
        options.kind is CorruptKind.label_asymmetric or not options.embeddings, f"{kind} needs no --embeddings",
        "leave it out, or give --kind label-asymmetric",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """`ncaudit demo`: the main job on the sample that ships with ncaudit."""

    out: str = "ncaudit-demo"
    seed: int = 0
    device: str = "auto"
    workers: int | None = None

    def __post_init__(self) -> None:
        _written_here("--out", self.out)


@dataclass(frozen=True, kw_only=True)
class LabelsOptions:
    """`ncaudit labels`: embedding tables with a class column to label tables."""

    embeddings: Sequence[str]
    out: str  # a folder, a NAME.parquet, or - for standard output
    label_column: str  # classes as text, whole numbers, or lists of them; null: unlabelled
    features: str | None = None  # as in ScoreOptions
    k: int | None = None  # neighbours that vote in each modality; None: 10, 20, 30 or 50, by the data
    model: str | None = None  # a folder of heads, that all embeddings go through first
    seed: int = 0
    device: str = "auto"
    redo: bool = False
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula
    max_failed: float = 1.0

    def __post_init__(self) -> None:
        _choose(self, format=StreamFormat)
        _written_here("--out", self.out)
        _at_least("--k", self.k, 1)
        _share("--max-failed", self.max_failed, zero=True)
        _check_csv_safe(self)


class FilterForm(StrEnum):
    """What `filter` writes: the rows themselves, or only which ones they are."""

    rows = "rows"
    datacomp_uids = "datacomp-uids"
    ids = "ids"
    weights = "weights"


class Verdict(StrEnum):
    """What `score` calls a pair."""

    clean = "clean"
    unsure = "unsure"
    noisy = "noisy"


ROW_RULES = ("min_soft_label", "verdict", "where")
RANKING_RULES = ("keep_share", "kept_precision")
STREAM = "-"
TABLE_SUFFIX = ".parquet"


@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """`ncaudit filter`: the pairs worth keeping. A row is kept when every rule says so; ranking rules come last."""

    scores: Sequence[str]  # score tables, or - for a stream on standard input
    out: str  # a folder, a NAME.parquet, or - for standard output; with write_as the file's name
    data: Sequence[str] | None = None  # write this dataset's rows instead of the score tables'
    min_soft_label: float | None = None
    verdict: Sequence[str] | None = None
    where: str | None = None
    keep_share: float | None = None  # of the ok rows that pass the rules above, best score first
    keep_share_by: str | None = None  # the share of each value of this column
    kept_precision: float | None = None  # smallest mean soft label of the rows kept, best label first
    write_as: FilterForm = FilterForm.rows
    key: str | None = None  # with data: the column that joins them; with write_as: the column that is written
    repeat_by_weight: str | None = None  # datacomp-uids: a column of whole numbers, how often each uid is written
    dropped: str | None = None  # a folder, or NAME.parquet where `out` is one file
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula

    def __post_init__(self) -> None:
        _choose(self, write_as=FilterForm, format=StreamFormat)
        _written_here("--out", self.out)
        _written_here("--dropped", self.dropped)
        for name in ("min_soft_label", "keep_share", "kept_precision"):
            if getattr(self, name) is not None:
                _share(f"--{name.replace('_', '-')}", getattr(self, name), zero=name == "min_soft_label")
        for word in self.verdict or ():
            _require(word in list(Verdict), f"--verdict is {word}", f"give one of: {', '.join(Verdict)}")
        _check_rules(self)
        _check_filter_places(self)
        _check_csv_safe(self)

    @property
    def one_output(self) -> bool:
        """Whether all rows go to one file or stream, not to one file per shard."""
        return self.write_as is not FilterForm.rows or self.out == STREAM or self.out.endswith(TABLE_SUFFIX)


def _check_rules(options: FilterOptions) -> None:
    asked = any(getattr(options, name) not in (None, ()) for name in ROW_RULES + RANKING_RULES)
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in ROW_RULES + RANKING_RULES)
    _compatible(asked, "no rule says which rows to keep", f"give one of {flags}")
    _compatible(
        options.keep_share is None or options.kept_precision is None,
        "--keep-share and --kept-precision both say how many rows are kept", "give one of them",
    )  # fmt: skip
    _compatible(
        options.keep_share_by is None or options.keep_share is not None,
        "--keep-share-by says of what a share is kept, but not which share", "give --keep-share too",
    )  # fmt: skip
    _compatible(
        options.repeat_by_weight is None or options.write_as is FilterForm.datacomp_uids,
        "--repeat-by-weight is for --as datacomp-uids", "leave it out",
    )  # fmt: skip


def _check_filter_places(options: FilterOptions) -> None:
    form, streams = options.write_as, STREAM in options.scores
    _compatible(not streams or len(options.scores) == 1, "- is one of several inputs", "give it alone")
    if options.data:
        _compatible(not streams, "--data is joined to score tables in files", "give their folder instead of -")
        _compatible(form is FilterForm.rows, f"--as {form} is made from the score tables", "leave out --data")
        _compatible(not options.one_output, "--data writes one file per shard", "give a folder with --out")
    else:
        used = options.key is None or form in (FilterForm.ids, FilterForm.weights, FilterForm.datacomp_uids)
        _compatible(used, "--key joins --data to the scores, and there is no --data", "leave it out")
    suffix = {FilterForm.weights: TABLE_SUFFIX, FilterForm.datacomp_uids: ".npy"}.get(form, "")
    _require(options.out.endswith(suffix), f"--as {form} with --out {options.out}", f"give a NAME{suffix}")
    _compatible(
        not streams or options.one_output, "one stream has one output", f"give NAME{TABLE_SUFFIX} or - with --out"
    )
    _check_dropped(options)


def _check_dropped(options: FilterOptions) -> None:
    if options.dropped is None:
        return
    _compatible(options.dropped != STREAM, "--dropped - is not offered", f"give a folder or NAME{TABLE_SUFFIX}")
    one_file = options.dropped.endswith(TABLE_SUFFIX)
    wanted = f"NAME{TABLE_SUFFIX}, as --out is one file" if options.one_output else "a folder, as --out is one"
    _compatible(one_file == options.one_output, f"--dropped is {options.dropped}", f"give {wanted}")

"""Options of `train`, and how fast it goes unless told otherwise."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from ncaudit import objectives
from ncaudit.nearest import did_you_mean
from ncaudit.objectives import by_class
from ncaudit.options.scoring import Loss
from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel, flag_of
from ncaudit.options.shared.checks import (
    choose,
    compatible,
    require,
    require_at_least,
    require_below_one,
    require_positive,
    require_share,
    settle_places,
)
from ncaudit.options.shared.effect import Unread, refuse_changed
from ncaudit.options.shared.inputs import DataOptions, ModelOptions


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
    """How training treats noise: `simple` believes the labels it is given, `bicro` finds its own in two networks.

    `rematch` gives the halves of noisy pairs to whom they may truly belong. `consensus` believes what the start and the
    matcher agree on. `crcl` refines its labels and begins anew with them. `gentle` hardly moves, and audits again.
    """

    simple = "simple"
    rematch = "rematch"
    consensus = "consensus"
    crcl = "crcl"
    gentle = "gentle"
    bicro = "bicro"


class Negatives(StrEnum):
    """Which pairs of a batch are told apart: `all`, or only those `allowed`, which do not compare like matches."""

    all = "all"
    allowed = "allowed"


@dataclass(frozen=True)
class Pace:
    """How fast and how long training goes where the user has not said it."""

    learning_rate: float | None  # None: chosen once it is known how many steps there are
    batch_pairs: int
    epochs: int


TOWERS, HEADS, LAST = "towers", "heads", "last:"
TOWERS_PACE = Pace(learning_rate=1e-5, batch_pairs=128, epochs=8)
HEADS_PACE = Pace(learning_rate=1e-3, batch_pairs=1_024, epochs=20)  # a step costs a thousandth of the towers'
CO_TEACHING_PACE = Pace(learning_rate=2e-4, batch_pairs=512, epochs=20)  # at 1e-3 both fit the noise
GENTLE_TOWERS_PACE = Pace(learning_rate=1e-6, batch_pairs=128, epochs=8)  # of the first epoch: the rest is found
GENTLE_HEADS_PACE = Pace(learning_rate=1e-5, batch_pairs=1_024, epochs=20)
CLASS_PACE = Pace(learning_rate=3e-2, batch_pairs=128, epochs=40)  # of heads: sets with classes are mostly small
CLASS_TOWERS_PACE = Pace(learning_rate=None, batch_pairs=128, epochs=8)
NOISY_FROM = 0.5  # of the epochs, for the recipe bicro
WARMUP_OF_EPOCHS = 5  # a fifth of all epochs, as the paper's 10 of 50
# of which an objective has some or none
OBJECTIVE_SETTINGS = (
    *("margin", "margin_base", "spread", "drop_below", "doubted"),
    *("temperature", "exponent", "negatives_weight", "reverse_weight", "complement_weight"),
    *("cmp_weight", "class_temperature", "pseudo_label"),
)
SOFT_LABEL = "soft_label"
# that an option is of
OF_OBJECTIVES, OF_HEADS, OF_RECIPE = "settings of objectives", "heads", "recipe bicro"
OF_RECIPES = "recipes"
TRUSTING = ("infonce", "cmp")  # objectives that trust all pairs alike
AUTO_OBJECTIVE = "auto"
LABELS_OR_NONE = ("crcl", "gce", "rince", "sce", "tal")  # that bound what a wrong pair does, with labels or without
PACED = ("weighted-infonce", *LABELS_OR_NONE)  # to which a label of 0 means no pull, and not a push
RCL, PUSH = "rcl", "push"  # which trusts all alike unless doubted pairs are pushed
REFUSING = ("drop",)  # objectives that choose their pairs by the labels before training
# recipes in which the matcher judges its pairs as it learns, of towers or heads
JUDGING = (TrainingRecipe.rematch, TrainingRecipe.consensus, TrainingRecipe.crcl, TrainingRecipe.gentle)
ROUNDS = 4  # of the recipe crcl: an epoch each at least
OBJECTIVES = {TrainingRecipe.bicro: "bicro", TrainingRecipe.crcl: "crcl"}  # of recipes, where it is not that of all


@dataclass(frozen=True, kw_only=True)
class TrainOptions(ModelOptions, DataOptions):
    """`ncaudit train`: train a matcher on pairs weighted by their soft labels."""

    out: Annotated[
        str,
        About(
            "Folder for the matcher. Rerunning the same command resumes in it.", Panel.output, metavar="PATH",
            is_path=True,
        ),
    ]  # fmt: skip
    tune: Annotated[
        str,
        About(
            "towers: a whole model, on --data. last:N: the last N blocks of each tower (of a ResNet or ConvNeXt: "
            "stages) and what follows them. heads: projections, on --embeddings as they are.",
            Panel.training, metavar="NAME", among=lambda: (TOWERS, HEADS, f"{LAST}1", f"{LAST}2"),
        ),
    ] = TOWERS  # fmt: skip
    data: Annotated[
        Sequence[str] | None,
        About(
            "The dataset from which towers learn: files, folders or globs.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    embeddings: Annotated[
        Sequence[str] | None,
        About(
            "Embedding tables from which heads learn, as `ncaudit embed` writes them.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    features: common.Features = None
    scores: Annotated[
        Sequence[str] | None,
        About(
            "Score tables of the same pairs, from `ncaudit score`. Without them every label is 1, or as --label-column "
            "says.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    recipe: Annotated[
        TrainingRecipe,
        About(
            "What is done about noise: simple takes labels as given; rematch also teaches noisy pairs' pictures; "
            "consensus, crcl, gentle judge pairs anew; bicro (heads) trains two networks.",
            Panel.training, metavar="NAME",
        ),
    ] = TrainingRecipe.simple  # fmt: skip
    objective: Annotated[
        str | None,
        About(
            f"The loss: {', '.join(objectives.names())}; or {AUTO_OBJECTIVE}, which compares some on pairs held out. "
            f"{' and '.join(by_class.names())} learn noisy classes. By default weighted-infonce, for the recipes bicro "
            "and crcl their own.",
            Panel.training, metavar="NAME", among=lambda: [AUTO_OBJECTIVE, *objectives.names()],
        ),
    ] = None  # fmt: skip
    margin: Annotated[
        float | None,
        About(
            "How far pairs are to lead others, above 0, at most 2. For bicro that of a pair with label 1, by default "
            "0.2; for tal by default 0.1; for cmp, nirnl, and cross-entropy with a --cmp-weight by default 0.9.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    margin_base: Annotated[
        float | None,
        About(
            "For bicro: how late the margin rises with the label, above 1. By default 10.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    spread: Annotated[
        str | None,
        About(
            "For soft-infonce: where 1 - label goes, uniform or similarity. By default uniform.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NAME", among=lambda: ("uniform", "similarity"),
        ),
    ] = None  # fmt: skip
    drop_below: Annotated[
        float | None,
        About(
            "For drop: pairs with smaller labels are left out, 0 to 1. By default 0.5.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="SHARE",
        ),
    ] = None  # fmt: skip
    doubted: Annotated[
        str | None,
        About(
            "For rcl: ignore labels, or push pairs apart as far as their labels doubt them. By default ignore.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NAME", among=lambda: ("ignore", PUSH),
        ),
    ] = None  # fmt: skip
    temperature: Annotated[
        float | None,
        About(
            "For tal and rince, whose temperature is fixed: above 0, at most 1. The lower, the more the nearest wrong "
            "pairs count. By default 0.015 for tal, 0.05 for rince.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    exponent: Annotated[
        float | None,
        About(
            "For gce and rince: above 0, where they are like infonce, to 1, where a wrong pair does the least. By "
            "default 0.5 for gce, 0.1 for rince.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    negatives_weight: Annotated[
        float | None,
        About(
            "For rince: how much the batch counts against a pair, above 0, at most 1. By default 0.01.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    reverse_weight: Annotated[
        float | None,
        About(
            "For sce: weight of the bounded term beside infonce, 0 or more. By default 16.118.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    complement_weight: Annotated[
        float | None,
        About(
            "For crcl: weight of what it says of the wrong pairs, 0 or more. By default 5.",
            Panel.training, rare=True, of=OF_OBJECTIVES, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    self_paced: Annotated[
        float | None,
        About(
            "Learn first from pairs that fit: a pair's weight falls by a cosine to 0 where its loss is NUMBER times "
            "that of one at chance, log of the batch. Above 0. By default off.",
            Panel.training, rare=True, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    structure_weight: Annotated[
        float | None,
        About(
            "Beside any objective: weight of the loss that wants captions to lie to each other as their images do. "
            "Above 0. By default off.",
            Panel.training, rare=True, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    negatives: Annotated[
        Negatives,
        About(
            "What a pair is told from: all others of its batch, or only those allowed, which do not compare like "
            "matches. The same photo or caption never counts.",
            Panel.training, rare=True, metavar="NAME",
        ),
    ] = Negatives.all  # fmt: skip
    match_share: Annotated[
        float,
        About(
            "With --negatives allowed: this share of a batch's random pairs compares best, and is taken for matches; "
            "above 0, below 1.",
            Panel.training, rare=True, metavar="SHARE",
        ),
    ] = 0.001  # fmt: skip
    cmp_weight: Annotated[
        float | None,
        About(
            "Weight of cmp's margin beside the loss of the classes, 0 or more. By default 0.9 for nirnl, 0 for "
            "cross-entropy.",
            Panel.classes, rare=True, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    class_temperature: Annotated[
        float | None,
        About(
            "Classes are the softmax of cosine / this number, 0.001 to 10. By default 0.5; the paper's is 1.",
            Panel.classes, rare=True, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    pseudo_label: Annotated[
        str | None,
        About(
            "For nirnl: the class that a noisy pair learns instead of its own, as neighbours and the audit of classes "
            "believe, or as prediction says. By default neighbours.",
            Panel.classes, rare=True, metavar="NAME", among=lambda: ("neighbours", "prediction"),
        ),
    ] = None  # fmt: skip
    neighbours: Annotated[
        int | None,
        About(
            "For nirnl: how many vote for a pair's class in each modality, 1 or more. By default chosen from the data; "
            "the paper's is 10.",
            Panel.classes, rare=True, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    label_column: Annotated[
        str | None,
        About(
            "Column of the score tables (without --scores of the data themselves) that weights pairs: in [0, 1], or "
            f"boolean; by default soft_label. For {' and '.join(by_class.names())} the column of classes, which must "
            "be given.",
            Panel.classes, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    head: Annotated[
        HeadKind | None,
        About(
            "linear is one map, mlp that map plus a small network. By default linear, for "
            f"{' and '.join(by_class.names())} mlp.",
            Panel.model, rare=True, of=OF_HEADS, metavar="NAME",
        ),
    ] = None  # fmt: skip
    head_start: Annotated[
        HeadStart,
        About(
            "identity begins at the cosine of the embeddings, cca finds a common space for unaligned ones, auto takes "
            "identity where they share one.",
            Panel.model, rare=True, of=OF_HEADS, metavar="NAME",
        ),
    ] = HeadStart.auto  # fmt: skip
    dims: Annotated[
        int | None,
        About(
            "Width of the common space of cca, 1 or more. By default 128; identity keeps the embeddings' width.",
            Panel.model, rare=True, of=OF_HEADS, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    hidden: Annotated[
        int | None,
        About(
            "Width of the mlp's hidden layer, 1 or more. By default 1024.",
            Panel.model, rare=True, of=OF_HEADS, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    relabel_every: Annotated[
        int | None,
        About(
            "Make new labels after so many epochs, 1 or more, by two heads that each learn from half of the photos and "
            "judge the other half: three times the work. rematch searches again, by default never; gentle audits "
            "again, by default about four times in all.",
            Panel.training, rare=True, of=OF_RECIPES, metavar="EPOCHS",
        ),
    ] = None  # fmt: skip
    # its mixture finds more of the noise than that of the paper's loss
    split_loss: Annotated[
        Loss,
        About(
            "The loss that tells trusted pairs from noisy ones: infonce, or ranking, which is the paper's.",
            Panel.training, rare=True, of=OF_RECIPE, metavar="NAME",
        ),
    ] = Loss.infonce  # fmt: skip
    warmup_epochs: Annotated[
        int | None,
        About(
            "Epochs that learn from pairs of small loss only, 0 or more. By default a fifth of all.",
            Panel.training, rare=True, of=OF_RECIPE, metavar="EPOCHS",
        ),
    ] = None  # fmt: skip
    warmup_keep: Annotated[
        float,
        About(
            "Share of each batch that the warm-up keeps, above 0, at most 1.",
            Panel.training, rare=True, of=OF_RECIPE, metavar="SHARE",
        ),
    ] = 0.3  # fmt: skip
    split_threshold: Annotated[
        float,
        About(
            "Probability of being clean above which a pair is trusted, 0 to below 1.",
            Panel.training, rare=True, of=OF_RECIPE, metavar="SHARE",
        ),
    ] = 0.5  # fmt: skip
    noisy_from: Annotated[
        float | None,
        About(
            "Share of the epochs after which noisy pairs join, 0 to 1; at 1 they never do. By default 0.5 for bicro, 0 "
            "for rematch.",
            Panel.training, rare=True, of=OF_RECIPES, metavar="SHARE",
        ),
    ] = None  # fmt: skip
    anchor_k: Annotated[
        int,
        About(
            "Anchors per direction behind a noisy pair's label, 1 or more; the paper's is 1.",
            Panel.training, rare=True, of=OF_RECIPE, metavar="COUNT",
        ),
    ] = 10  # fmt: skip
    epochs: Annotated[
        int | None,
        About(
            "Passes over the training pairs, 1 or more. By default 8 for towers, 20 for heads, 40 for heads by class.",
            Panel.training, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    batch_pairs: Annotated[
        int | None,
        About(
            "Pairs per step, 2 or more; a pair's negatives are the others of its batch. By default 128 for towers, "
            "1024 for heads, 512 for the recipe bicro, 128 by class. Under torchrun: of all processes together.",
            Panel.training, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    chunk_pairs: Annotated[
        int | None,
        About(
            "Pairs of a batch in memory at a time, 1 or more: the same gradients for one more forward pass. By default "
            "the whole batch.",
            Panel.speed, rare=True, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    learning_rate: Annotated[
        float | None,
        About(
            "AdamW's highest, above 0; a cosine takes it down to 0. By default 1e-5 for towers, 1e-3 for heads; "
            "recipes and classes have their own.",
            Panel.training, metavar="NUMBER",
        ),
    ] = None  # fmt: skip
    weight_decay: Annotated[
        float,
        About(
            "AdamW's weight decay, 0 or more; biases, norms and the temperature have none.",
            Panel.training, rare=True, metavar="NUMBER",
        ),
    ] = 0.05  # fmt: skip
    warmup_share: Annotated[
        float,
        About(
            "Share of all steps in which the learning rate rises, 0 to 1.", Panel.training, rare=True, metavar="SHARE"
        ),
    ] = 0.1
    clip_norm: Annotated[
        float,
        About("Longer gradients are shortened to this length, above 0.", Panel.training, rare=True, metavar="NUMBER"),
    ] = 1.0
    train_batchnorm: Annotated[
        bool,
        About("For towers: let the statistics of BatchNorm move; else they are frozen.", Panel.training, rare=True),
    ] = False
    val_share: Annotated[
        float,
        About(
            "Share of the photos held out to validate on, 0 to below 1. At 0 none is, and the last epoch is kept.",
            Panel.training, metavar="SHARE",
        ),
    ] = 0.05  # fmt: skip
    val_data: Annotated[
        Sequence[str] | None,
        About(
            "Pairs to validate on, of the same kind as those to learn from. Nothing is held out then.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    patience: Annotated[
        int | None,
        About(
            "Stop after so many epochs in a row without a better rSum, 1 or more. By default never.",
            Panel.training,
            rare=True, metavar="EPOCHS",
        ),
    ] = None  # fmt: skip
    tensorboard: Annotated[bool, About("Also write event files to tensorboard/ in --out.", Panel.output, rare=True)] = (
        False
    )
    workers: common.Workers = None
    threads: common.Threads = None
    seed: common.Seed = 0
    restart: Annotated[
        bool, About("Discard what an earlier run of train left in --out; see also --overwrite.", Panel.output)
    ] = False
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        DataOptions.__post_init__(self)
        settle_places(self, "out")
        compatible(
            not self.tensorboard or "://" not in self.out, "--tensorboard writes to files of this machine alone",
            "leave it out (metrics.jsonl in --out has the numbers), or give a folder of this machine",
        )  # fmt: skip
        choose(self, head_start=HeadStart, recipe=TrainingRecipe, split_loss=Loss, negatives=Negatives)
        if self.head is not None:
            choose(self, head=HeadKind)
        known = self.tune in (TOWERS, HEADS) or re.fullmatch(f"{LAST}[1-9][0-9]*", self.tune)
        meant = did_you_mean(self.tune, (HEADS, TOWERS))
        require(bool(known), f"--tune is {self.tune}", f"{meant}give one of: {HEADS}, {TOWERS}, {LAST}1, {LAST}2, …")
        _check_heads(self) if self.tune == HEADS else _check_towers(self)
        require_at_least("--batch-pairs", self.batch_pairs, 2)
        require_at_least("--threads", self.threads, 1)
        for name in ("epochs", "chunk_pairs", "patience", "dims", "hidden"):
            require_at_least(f"--{name.replace('_', '-')}", getattr(self, name), 1)
        if self.learning_rate is not None:
            require_positive("--learning-rate", self.learning_rate)
        require_positive("--clip-norm", self.clip_norm)
        require(self.weight_decay >= 0, f"--weight-decay is {self.weight_decay}", "give 0 or more")
        require_share("--warmup-share", self.warmup_share, zero=True)
        require_below_one("--val-share", self.val_share, "share")
        instead = "--val-data" if self.by_class else "a --val-share above 0, or --val-data"
        compatible(
            self.patience is None or bool(self.held_share or self.val_data),
            "--patience waits for a better validation, and there is none", f"give {instead}",
        )  # fmt: skip
        compatible(
            self.chunk_pairs is None or not self.train_batchnorm,
            "--train-batchnorm needs whole batches, but --chunk-pairs shows it pieces", "leave out one of them",
        )  # fmt: skip
        _check_recipe(self)
        if self.is_open:
            _check_auto(self)
        if self.by_class:
            _check_by_class(self)
        _check_labels(self)
        _check_additions(self)
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at; the settings of objectives each of them knows itself."""
        yield from _unread_of_heads(self) if self.tune == HEADS else _unread_of_towers(self)
        if self.recipe not in (TrainingRecipe.bicro, TrainingRecipe.rematch):
            yield Unread(("noisy_from",), "is for --recipe bicro and rematch")
        if self.recipe is not TrainingRecipe.bicro:
            yield Unread(STAGES, "is for --recipe bicro")
        elif not self.by_class:
            yield Unread(("label_column",), "weighs pairs, and --recipe bicro finds its own labels")
        if self.recipe in (TrainingRecipe.consensus, TrainingRecipe.crcl):
            yield Unread(("relabel_every",), f"is not for --recipe {self.recipe}, which makes labels in every epoch")
        if self.trusts_all:
            yield Unread(("label_column",), f"weighs pairs, and --objective {self.objective} trusts all alike")
        yield from _unread_additions(self)
        if self.val_data or self.by_class:
            why = "there is --val-data" if self.val_data else f"--objective {self.objective} holds nothing out"
            yield Unread(("val_share",), f"is of the training pairs, and {why}")

    @property
    def by_class(self) -> bool:
        """Whether the objective asks for the pairs' classes."""
        return self.objective in by_class.names()

    @property
    def trusts_all(self) -> bool:
        """Whether the objective that was asked for looks at no label."""
        return self.objective in TRUSTING or (self.objective == RCL and self.doubted != PUSH)

    @property
    def is_open(self) -> bool:
        """Whether the objective is to be chosen."""
        return self.objective == AUTO_OBJECTIVE

    @property
    def labelled(self) -> bool:
        """Whether anything tells soft labels."""
        return bool(self.scores or self.own_label_column)

    @property
    def soft_label_column(self) -> str:
        """The column of labels in [0, 1], for an objective that asks for them."""
        return self.label_column or SOFT_LABEL

    @property
    def own_label_column(self) -> str | None:
        """The column of labels that the data hold themselves; None where scores tell them, or nothing does."""
        return None if self.scores or self.by_class else self.label_column

    @property
    def class_column(self) -> str:
        """The column of classes, for an objective that asks for them."""
        assert self.by_class, f"{self.objective} asks for soft labels"
        assert self.label_column is not None, "it was looked for when the options were made"
        return self.label_column

    @property
    def held_share(self) -> float:
        """Share of the photos held out to validate on: none beside --val-data, and none of those with noisy classes."""
        return 0.0 if self.val_data or self.by_class else self.val_share

    @property
    def chosen_objective(self) -> str:
        """What was asked for, or what suits the recipe."""
        return self.objective or OBJECTIVES.get(self.recipe, "weighted-infonce")

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
    def noisy_after(self) -> int:
        """Epochs after which noisy pairs join."""
        return int(self.noisy_share * self.pace.epochs)

    @property
    def noisy_share(self) -> float:
        """Share of the epochs after which noisy pairs join: what was asked for, or what suits the recipe."""
        own = 0.0 if self.recipe is TrainingRecipe.rematch else NOISY_FROM
        return own if self.noisy_from is None else self.noisy_from

    @property
    def judges(self) -> bool:
        """Whether the matcher judges its pairs as it learns."""
        return self.recipe in JUDGING

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
        gentle = self.recipe is TrainingRecipe.gentle
        own = CO_TEACHING_PACE if self.recipe is TrainingRecipe.bicro else CLASS_PACE if self.by_class else HEADS_PACE
        own = GENTLE_HEADS_PACE if gentle else own
        of_towers = GENTLE_TOWERS_PACE if gentle else CLASS_TOWERS_PACE if self.by_class else TOWERS_PACE
        own = own if self.tune == HEADS else of_towers
        asked = {name: given for name in vars(own) if (given := getattr(self, name)) is not None}
        return replace(own, **asked)


def _check_heads(options: TrainOptions) -> None:
    compatible(
        bool(options.embeddings), "--tune heads learns from embeddings, and there are none",
        "give embedding tables with --embeddings",
    )  # fmt: skip
    compatible(
        not options.data, "--tune heads reads no images, but there is --data",
        "leave out --data, or give --tune towers without --embeddings",
    )  # fmt: skip
    compatible(
        (options.model, options.pretrained) == (ModelOptions.model, ModelOptions.pretrained),
        "--model and --pretrained are for --tune towers", "leave them out: heads learn from the embeddings as they are",
    )  # fmt: skip
    same = options.head_start is HeadStart.identity and options.dims is not None
    compatible(not same, "--head-start identity keeps the width of the embeddings", "leave out --dims")


def _unread_of_heads(options: TrainOptions) -> Iterator[Unread]:
    yield Unread(("train_batchnorm",), "is for --tune towers")
    yield Unread(("model", "pretrained"), "is for --tune towers", "leave it out: heads learn from the embeddings")
    dataset = ("image_column", "caption_column", "key", "image_root", "max_image_pixels", "workers")
    yield Unread(dataset, "is about images and captions, and heads learn from embeddings that are there")
    if options.head_kind is HeadKind.linear:
        yield Unread(("hidden",), "is for --head mlp", "leave it out, or give --head mlp")


def _unread_of_towers(options: TrainOptions) -> Iterator[Unread]:
    yield from options.unread_of_model()
    yield Unread(("head", "head_start", "dims", "hidden", "features"), "is for --tune heads")
    if not options.scores:
        yield Unread(("key",), "joins the dataset to --scores, and there are none")


def _check_labels(options: TrainOptions) -> None:
    """Raises UsageError where an objective that weighs pairs was asked for, and nothing weighs them."""
    known = options.objective in objectives.names()  # auto compares what it can; objectives tell what is unknown
    may_do_without = not known or options.objective in LABELS_OR_NONE or options.trusts_all or options.by_class
    labelled = options.scores or options.label_column or options.relabel_every is not None
    labelled = labelled or options.self_paced is not None
    compatible(
        may_do_without or bool(labelled) or options.recipe is not TrainingRecipe.simple,
        f"--objective {options.objective} weighs pairs by their labels, and there are none",
        "give --scores, or with --label-column a column of the data itself; or --objective infonce, which trusts all",
    )  # fmt: skip


def _check_additions(options: TrainOptions) -> None:
    for name in ("self_paced", "structure_weight"):
        if (given := getattr(options, name)) is not None:
            require_positive(flag_of(name), given)
    require_below_one("--match-share", options.match_share, "share")
    require_positive("--match-share", options.match_share)


def _unread_additions(options: TrainOptions) -> Iterator[Unread]:
    chosen = options.chosen_objective
    if chosen not in PACED:
        yield Unread(
            ("self_paced",), f"weighs pairs, and --objective {chosen} takes no weights",
            f"leave it out, or give one of: {', '.join(sorted(PACED))}",
        )  # fmt: skip
    if options.by_class:
        yield Unread(("negatives",), f"is for losses of pairs, and --objective {chosen} learns classes")
    if options.negatives is Negatives.all:
        yield Unread(("match_share",), "is for --negatives allowed", "leave it out, or give --negatives allowed")


def _check_auto(options: TrainOptions) -> None:
    compatible(
        options.recipe is TrainingRecipe.simple and options.relabel_every is None,
        "--objective auto compares objectives on pairs with the labels given, and a recipe makes its own",
        "leave out --recipe and --relabel-every, or name the objective",
    )  # fmt: skip
    settings = [*options.objective_settings, *(["neighbours"] if options.neighbours is not None else [])]
    given = next(iter(settings), None)
    compatible(
        given is None, f"{flag_of(given or '')} is of one objective, and --objective auto compares several",
        "leave it out, or name the objective",
    )  # fmt: skip


STAGES = ("split_loss", "warmup_epochs", "warmup_keep", "split_threshold", "anchor_k")


def _check_recipe(options: TrainOptions) -> None:
    bicro, relabels = options.recipe is TrainingRecipe.bicro, options.relabel_every is not None and not options.judges
    for flag, given in (("--recipe bicro", bicro), ("--relabel-every", relabels)):
        compatible(
            not given or options.tune == HEADS, f"{flag} is for --tune heads, not for --tune {options.tune}",
            "train heads first, score with them, and give the scores to the towers with --scores",
        )  # fmt: skip
    compatible(
        not (bicro and relabels), "--recipe bicro makes its own labels in every epoch", "leave out --relabel-every"
    )
    compatible(not (bicro and options.scores), "--recipe bicro finds its own labels", "leave out --scores")
    require_at_least("--relabel-every", options.relabel_every, 1)
    require_share("--noisy-from", options.noisy_share, zero=True)
    if bicro:
        _check_stages(options)
    if options.judges:
        _check_judging(options)


def _check_judging(options: TrainOptions) -> None:
    compatible(
        not options.trusts_all and options.objective not in REFUSING,
        f"--recipe {options.recipe} weighs pairs anew as it learns, and --objective {options.objective} does not "
        "look at that", "leave out --objective, or give one that weighs pairs, such as weighted-infonce",
    )  # fmt: skip
    epochs = options.pace.epochs
    compatible(
        options.recipe is not TrainingRecipe.crcl or epochs >= ROUNDS,
        f"--recipe crcl begins {ROUNDS} times, and --epochs is {epochs}", f"give {ROUNDS} --epochs or more",
    )  # fmt: skip


def _check_stages(options: TrainOptions) -> None:
    require_at_least("--warmup-epochs", options.warmup_epochs, 0)
    require_at_least("--anchor-k", options.anchor_k, 1)
    require_share("--warmup-keep", options.warmup_keep)
    require_below_one("--split-threshold", options.split_threshold, "probability")
    epochs, kept = options.pace.epochs, round(options.warmup_keep * options.pace.batch_pairs)
    require(
        options.warming_epochs < epochs, f"--warmup-epochs is {options.warming_epochs} of {epochs} epochs",
        "give fewer, or more --epochs: the split comes after the warm-up",
    )  # fmt: skip
    require(
        kept >= 2, f"--warmup-keep {options.warmup_keep:g} of --batch-pairs {options.pace.batch_pairs} is less than two"
        " pairs, and a pair's negatives are the others", "give more of one of them",
    )  # fmt: skip


def _check_by_class(options: TrainOptions) -> None:
    given = f"--objective {options.objective}"
    recipe = TrainingRecipe.bicro if options.recipe is TrainingRecipe.simple else options.recipe
    where = "embedding tables" if options.tune == HEADS else "dataset, or of its score tables,"
    compatible(
        bool(options.label_column), f"{given} learns from classes, and no column holds them",
        f"name the class column of the {where} with --label-column",
    )  # fmt: skip
    compatible(
        options.tune != HEADS or not options.scores,
        f"{given} learns from the classes of the embedding tables, not from --scores",
        "leave out --scores, or give an objective that uses soft labels",
    )  # fmt: skip
    compatible(
        options.recipe is TrainingRecipe.simple and options.relabel_every is None,
        f"--recipe {recipe} and --relabel-every make soft labels, and {given} asks for classes", "leave them out",
    )  # fmt: skip
    require_at_least("--neighbours", options.neighbours, 1)


def _check_towers(options: TrainOptions) -> None:
    compatible(
        bool(options.data), f"--tune {options.tune} learns from images, and there is no --data",
        "give the dataset with --data, or --tune heads with --embeddings",
    )  # fmt: skip
    compatible(
        not options.embeddings, f"--embeddings is for --tune heads, not for --tune {options.tune}",
        "leave it out, or give --tune heads",
    )  # fmt: skip

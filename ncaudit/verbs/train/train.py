"""`train`: a matcher from pairs weighted by their soft labels, as towers on images or as heads on embeddings.

Knows options and what makes a run the one it is; nothing of Typer, of how a step learns or of how pairs are read.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from time import monotonic
from typing import Any

import torch

from ncaudit import objectives, own_json
from ncaudit.budget import threads
from ncaudit.core.classes.votes import PARTITIONS
from ncaudit.core.device import pick_device, pick_precision
from ncaudit.core.metrics.retrieval import RetrievalMetrics
from ncaudit.counts import counted
from ncaudit.engines.local import Accounting
from ncaudit.engines.pace import computing
from ncaudit.engines.ranks import Ranks, joined, launched
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.matchers.checkpoints import RESTART
from ncaudit.matchers.curves import NO_CURVES, Curves, TensorBoard
from ncaudit.matchers.steps.optimisation import Recipe
from ncaudit.matchers.training_folder import METRICS, RUN, STATE, TrainingFolder
from ncaudit.objectives import AnyObjective, Objective
from ncaudit.objectives.additions import Additions, with_additions
from ncaudit.options import HEADS, Negatives, Precision, TrainingRecipe, TrainOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.shards.claims.claims import Claim, Place, asked
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.places import listings
from ncaudit.verbs.outputs import inputs_of
from ncaudit.verbs.train.auto.choice import Choice
from ncaudit.verbs.train.auto.choice import recorded as recorded_choice
from ncaudit.verbs.train.choosing import COMPARE, READ_SOME, made_choice
from ncaudit.verbs.train.heads import HeadsOnEmbeddings
from ncaudit.verbs.train.matcher_kind import Opened, Trained, recipe_of
from ncaudit.verbs.train.pace import class_learning_rate
from ncaudit.verbs.train.ranks import for_rank
from ncaudit.verbs.train.session import JOB, START, Course, Session, epoch_of
from ncaudit.verbs.train.towers import Towers
from ncaudit.version import told_format

# Not part of what a run is: they change no byte of the result, or are in it by content instead of by place.
NOT_RECORDED = {
    *("out", "restart", "overwrite", "workers", "threads", "device", "tensorboard"),
    *("scores", "data", "embeddings", "val_data", "model", "pretrained", "image_root"),
}
THREADS, CHOICE = "threads", "choice"
SUMMARY: own_json.Shape = {  # what a finished run tells of itself
    **{name: int for name in ("kept_epoch", "train_pairs", "val_pairs", "val_photos", "dropped_pairs", "shards")},
    **{"unlabelled_pairs": int, "mean_label": (None, float), "statuses": {...: int}},
}
# younger than runs that may still be resumed: told where they are not at their default
RECORDED_WHERE_ON = {
    *("caption_lines", "max_row_bytes"),
    *("doubted", "temperature", "exponent", "negatives_weight", "reverse_weight", "complement_weight"),
    *("self_paced", "structure_weight", "negatives", "match_share"),
}
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainResult(
    Readable, first=("kept.rsum", "kept_map", "kept_epoch", "epochs", "loss", "train_pairs", "out", "seconds")
):
    """What `train` did. Rows in = training pairs + validation pairs held out of them + dropped pairs + rows left out.

    `accounting` says why rows were left out; the dropped pairs count as ok there.
    """

    out: str
    tune: str
    objective: str
    epochs: int  # that were done: fewer than asked for where patience ended them
    kept_epoch: int  # whose weights are in `out`: the best on the validation pairs, or the last without any
    steps: int
    train_pairs: int
    val_pairs: int
    val_photos: int
    dropped_pairs: int  # those that the objective does not train on
    labelled: bool  # whether there were scores, or training made labels; else every label is 1
    mean_label: float  # over the pairs trained on; of labels that training made, those of the last epoch
    loss: float  # mean over the last epoch's steps
    start: RetrievalMetrics | None  # on the validation pairs, before training; None without validation
    kept: RetrievalMetrics | None
    accounting: Accounting
    recipe: str = TrainingRecipe.simple
    clean_pairs: Sequence[int] | None = None  # that each network of the recipe bicro trusted in the last epoch
    unlabelled_pairs: int = 0  # training pairs without a class, for an objective that asks for classes
    parts: Mapping[str, float] | None = None  # shares of pure, hard and noisy pairs when the last epoch began
    neighbours: int | None = None  # that voted for a pair's class
    start_map: float | None = None  # by class, mean of both ways, in [0, 1]; None without validation classes
    kept_map: float | None = None
    choice: Choice | None = None  # of --objective auto: what was taken, why, and what was compared
    noisy_pairs: int | None = None  # that the recipe rematch looked for captions for
    rematched: int | None = None  # of them, those that found any; None where nothing was looked for
    rematch_chance: float | None = None  # that what a noisy picture learnt is right, in the mean
    half_there: float | None = None  # how often their true captions are among those of the others, in [0, 1]
    agreement: Mapping[str, int] | None = None  # pairs that both, one and none of consensus' views call clean
    stopped_early: bool = False
    finished_earlier: bool = False
    resumed_after_epoch: int | None = None
    seconds: float = 0.0
    pairs_per_s: float = 0.0  # of the training steps alone


def train(options: TrainOptions, progress: Progress = SILENT) -> TrainResult:
    """Train; `options.out` becomes a folder that every command loads as a model (stock open_clip, too, for towers).

    Rerunning goes on after the last finished epoch; a finished run is not done again. Processes that torchrun started
    make one run together: the first writes, each returns what the run has come to.
    Raises NcauditError when scores and data do not belong together, labels are missing or outside [0, 1], there are
    too few pairs, the folder holds another run, or the loss stops being a number.
    """
    ranks = launched()
    asked_for, options = options, for_rank(options, ranks)
    device = pick_device(options.device)
    if ranks.count > 1 and device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        with made_by(asked_for), joined(ranks, cuda=device.type == "cuda"):
            return _train(options, progress if ranks.is_first else SILENT, ranks)
    finally:
        listings.forget(options.out)


def _train(options: TrainOptions, progress: Progress, ranks: Ranks) -> TrainResult:
    begun = monotonic()
    # an unknown name, or a setting that it has not, is told before anything is read
    asked_for = ranks.together(lambda: None if options.is_open else objective_of(options))
    trained = ranks.together(lambda: kind_of(options))
    folder = folder_of(options, trained)
    run, summary = ranks.on_first(lambda: _recorded(options, trained, folder))
    if summary is not None:
        metrics = ranks.on_first(partial(left_whole, options, trained, folder, summary))
        ranks.on_first(folder.drop_state)
        return _result(options, run, summary, metrics, finished_earlier=True)
    with ExitStack() as stack:
        stack.enter_context(computing(_goes_on_with(options, run, progress)))
        stack.enter_context(folder.kept())
        ranks.on_first(lambda: stack.enter_context(folder.at_work(without_choice(run))))
        # how long an epoch takes, nothing tells before the first one
        choosing = [READ_SOME, COMPARE] if options.is_open and CHOICE not in run else []
        before, last = dict.fromkeys([*choosing, *trained.stages(), START], 0.0), options.pace.epochs
        progress.job(JOB, before | {epoch_of(epoch, last): 1.0 for epoch in range(1, last + 1)})
        if choosing:
            run = _with_choice(options, trained, folder, run, ranks, progress)
        objective = asked_for or _named(options, run[CHOICE]["objective"])
        opened = ranks.together(lambda: stack.enter_context(trained.opened(objective, progress)))
        course, recipe = _course(options, opened)
        if options.pace.learning_rate is None:
            progress.note(f"learning rate {recipe.learning_rate:g}: chosen for {counted(recipe.total_steps, 'step')}")
        learner = ranks.together(lambda: opened.learner(recipe, getattr(torch, run["precision"])))
        curves = ranks.together(lambda: _curves(options, ranks))
        ranks.on_first(lambda: _claim(options, folder, run, opened))
        session = Session(
            course, learner, opened.pairs, folder, progress, lessons=opened.lessons, ranks=ranks, curves=curves
        )
        session.run()
    summary = _summary(session, opened)
    ranks.on_first(lambda: folder.finish(run, summary))
    return _result(
        options, run, summary, session.metrics, seconds=monotonic() - begun, pairs_per_s=session.pairs_per_s,
        resumed_after_epoch=session.resumed_after,
    )  # fmt: skip


def _with_choice(
    options: TrainOptions, trained: Trained, folder: TrainingFolder, run: Json, ranks: Ranks, progress: Progress
) -> Json:
    """The run with the objective that was chosen for it, recorded before anything else is done: a rerun goes by it."""
    precision, get = getattr(torch, run["precision"]), partial(_named, options)
    made = ranks.together(lambda: made_choice(options, trained, precision, ranks, progress, get))
    chosen = {**run, CHOICE: ranks.on_first(lambda: made.as_json())}
    ranks.on_first(lambda: folder.claim(chosen, restart=options.restart))
    return chosen


def _goes_on_with(options: TrainOptions, run: Json, progress: Progress) -> int | None:
    """The threads that the run began with: its last bits depend on them. None: a run that is older than that record."""
    wanted, recorded = threads(options.threads), run.get(THREADS)
    if recorded is None:
        return options.threads
    if recorded != wanted:
        progress.note(
            f"this run began with {counted(recorded, 'thread')} and goes on with as many, not {wanted}: what it learns "
            "depends on that"
        )
    return int(recorded)


def objective_of(options: TrainOptions) -> AnyObjective:
    """Raises NcauditError for an unknown name, or a setting that it has not."""
    found = objectives.get_any(options.chosen_objective, **options.objective_settings)
    if options.neighbours is not None and not getattr(found, "partitions", False):
        raise UsageError(f"objective {found.name!r} asks no neighbours", fix="leave out --neighbours")
    return with_additions(found, _additions(options))


def _named(options: TrainOptions, name: str) -> Objective:
    """One that is compared, as it would be trained with."""
    found = with_additions(objectives.get(name), _additions(options))
    assert isinstance(found, Objective), "classes are not asked for"
    return found


def _additions(options: TrainOptions) -> Additions:
    likely = options.match_share if options.negatives is Negatives.allowed else None
    return Additions(
        self_paced=options.self_paced, null_share=likely, structure_weight=options.structure_weight
    )


def folder_of(options: TrainOptions, trained: Trained) -> TrainingFolder:
    """Where this run keeps what it has come to."""
    return TrainingFolder(options.out, trained.save_weights, trained.require_whole)


def kind_of(options: TrainOptions) -> Trained:
    """What is trained. Raises NcauditError for a start model that is not there."""
    return HeadsOnEmbeddings(options) if options.tune == HEADS else Towers(options)


def _recorded(options: TrainOptions, trained: Trained, folder: TrainingFolder) -> tuple[Json, Json | None]:
    """As `recorded` has it; what is not whole in the folder is swept."""
    claim, run, summary = recorded(options, trained, folder)
    claim.take()
    return run, summary


def recorded(options: TrainOptions, trained: Trained, folder: TrainingFolder) -> tuple[Claim, Json, Json | None]:
    """What may be written, what this run is, and the summary that it left when it is finished already."""
    if not options.overwrite:
        folder.require_known_run()
    claim = _claim_place(options, trained, folder)
    run = _describe(options, trained, None if options.restart else folder.recorded_run())
    return claim, run, None if options.restart else folder.summary_of(run)


def left_whole(options: TrainOptions, trained: Trained, folder: TrainingFolder, summary: Json) -> list[Json]:
    """The epochs of a finished run. Raises BadTable when anything that it left is damaged."""
    metrics = folder.metrics()
    if not own_json.fits(summary, SUMMARY) or not 0 <= summary["kept_epoch"] < len(metrics):
        raise BadTable(f"{join(options.out, RUN)} is damaged: it does not say how the run ended", fix=RESTART)
    try:
        trained.require_whole(options.out)
    except (NcauditError, OSError) as error:
        raise BadTable(f"what was trained in {options.out} is damaged: {error}", fix=RESTART) from error
    return metrics


def _claim_place(options: TrainOptions, trained: Trained, folder: TrainingFolder) -> Claim:
    """Raises NcauditError where training would write over an input, or over files that no run of ours has left."""
    files = dict.fromkeys([RUN, METRICS, STATE, *trained.files()])
    place = Place("--out", options.out, tuple(files), None, proven=lambda path: folder.is_ours())
    named = [getattr(options, name) for name in ("data", "embeddings", "scores", "val_data")]
    inputs = inputs_of(*(find_shards(sources) for sources in named if sources))
    return asked("train", [place], [*inputs, *trained.inputs()], overwrite=options.overwrite)


def _claim(options: TrainOptions, folder: TrainingFolder, run: Json, opened: Opened) -> None:
    folder.claim(run, restart=options.restart)
    opened.describe(options.out)


def _curves(options: TrainOptions, ranks: Ranks) -> Curves:
    return TensorBoard(options.out) if options.tensorboard and ranks.is_first else NO_CURVES


def _course(options: TrainOptions, opened: Opened) -> tuple[Course, Recipe]:
    """How long and how fast; of towers by class the pairs decide that, where nobody else did."""
    pace = options.pace
    given = pace.learning_rate
    course = Course(
        epochs=pace.epochs, batch_pairs=pace.batch_pairs, seed=options.seed, learning_rate=given or 0.0,
        patience=options.patience,
    )  # fmt: skip
    steps = course.epochs * course.steps_per_epoch(opened.pairs, opened.lessons.networks)
    rate = class_learning_rate(steps, opened.start["image_dims"]) if given is None else given
    return replace(course, learning_rate=rate), recipe_of(options, steps, rate)


def _describe(options: TrainOptions, trained: Trained, recorded: Json | None) -> Json:
    """What makes this run the one it is; paths, workers and timings are not in it."""
    column = options.class_column if options.by_class else options.soft_label_column
    chosen: Json = {"objective": options.chosen_objective, "label_column": column, "head": options.head_kind}
    chosen["noisy_from"] = options.noisy_share
    given = {**asdict(options), **vars(options.pace), **chosen}
    unsaid = NOT_RECORDED | {name for name in RECORDED_WHERE_ON if given[name] == getattr(TrainOptions, name)}
    named = {name: value for name, value in given.items() if name not in unsaid}
    asked = {"options": json.loads(json.dumps(named)), "device": pick_device(options.device).type}
    run = {
        **told_format("train"),
        **asked,
        "precision": _precision(options, asked, recorded),
        **_threads(options, asked, recorded),
        "model": trained.identity(),
        **{name: _contents(getattr(options, name)) for name in ("data", "embeddings", "scores", "val_data")},
    }
    return {**run, **_choice_of(run, recorded)} if options.is_open else run


def _choice_of(run: Json, recorded: Json | None) -> Json:
    """The objective that this very run has chosen before, with what it was compared with."""
    same = recorded is not None and without_choice(recorded) == json.loads(json.dumps(run))
    return {CHOICE: recorded[CHOICE]} if recorded and same and recorded_choice(recorded.get(CHOICE)) else {}


def _precision(options: TrainOptions, asked: Json, recorded: Json | None) -> str:
    """What the towers compute in: what was picked when the run began, for a busy machine may pick otherwise later."""
    if recorded is not None and all(recorded.get(name) == value for name, value in asked.items()):
        told = recorded.get("precision")  # by a file that may be damaged: anything, and not all of it can be hashed
        if told in (str(Precision.float32), str(Precision.bfloat16)):
            return str(told)
    return str(pick_precision(pick_device(options.device), str(options.precision))).removeprefix("torch.")


def _threads(options: TrainOptions, asked: Json, recorded: Json | None) -> Json:
    """How many compute: as many as when the run began. Runs that are older than this record go on without one."""
    if recorded is not None and all(recorded.get(name) == value for name, value in asked.items()):
        told = recorded.get(THREADS)
        if told is None or (isinstance(told, int) and told > 0):
            return {} if told is None else {THREADS: told}
    return {THREADS: threads(options.threads)}


def without_choice(run: Json) -> Json:
    """What makes a run the one it is before it has chosen its objective."""
    return {name: value for name, value in run.items() if name != CHOICE}


def _contents(sources: Sequence[str] | None) -> list[Json] | None:
    if not sources:
        return None
    return [{"name": shard.name, "fingerprint": fingerprint(shard)} for shard in find_shards(sources)]


def _summary(session: Session, opened: Opened) -> Json:
    """What a rerun of the finished run tells again, and which model it started from."""
    pairs = opened.pairs
    return {
        "start_model": opened.start, "kept_epoch": session.kept_epoch, "train_pairs": len(pairs.train),
        "val_pairs": len(pairs.val) if pairs.val is not None else 0, "val_photos": pairs.val_photos,
        "mean_label": pairs.mean_label, "statuses": dict(sorted(pairs.statuses.items())), "shards": pairs.shards,
        "dropped_pairs": pairs.dropped, "unlabelled_pairs": pairs.unlabelled,
    }  # fmt: skip


def _result(options: TrainOptions, run: Json, summary: Json, metrics: Sequence[Json], **more: Any) -> TrainResult:
    choice = recorded_choice(run.get(CHOICE))
    kept = metrics[summary["kept_epoch"]]
    told = {
        name: summary[name] for name in ("train_pairs", "val_pairs", "val_photos", "dropped_pairs", "unlabelled_pairs")
    }
    told["mean_label"] = metrics[-1].get("mean_label", summary["mean_label"])
    return TrainResult(
        out=options.out, tune=options.tune, recipe=options.recipe, choice=choice,
        objective=options.chosen_objective if choice is None else choice.objective,
        epochs=metrics[-1]["epoch"], clean_pairs=metrics[-1].get("clean_pairs"),
        stopped_early=metrics[-1]["epoch"] < options.pace.epochs, kept_epoch=summary["kept_epoch"],
        steps=metrics[-1]["step"], labelled=_labelled(options, metrics),
        loss=metrics[-1]["loss"], start=_retrieval(metrics[0]["val"]), kept=_retrieval(kept["val"]),
        accounting=Accounting(summary["shards"], 0, (), summary["statuses"]), **_of_classes(metrics, kept),
        **_of_recipe(options, metrics[-1]), **told, **more,
    )  # fmt: skip


def _labelled(options: TrainOptions, metrics: Sequence[Json]) -> bool:
    """Whether anything told labels: scores, a column of the data itself, or training."""
    return bool(options.scores or options.own_label_column) or "mean_label" in metrics[-1]


def _of_classes(metrics: Sequence[Json], kept: Json) -> dict[str, Any]:
    last, start = metrics[-1], metrics[0]["val"] or {}
    parts = {name: last[name] for name in PARTITIONS if name in last}
    maps = {"start_map": start.get("map"), "kept_map": (kept["val"] or {}).get("map")}
    return {"parts": parts or None, "neighbours": last.get("neighbours"), **maps}


def _of_recipe(options: TrainOptions, last: Json) -> dict[str, Any]:
    """What the last epoch tells of rematched pairs, or of two views."""
    if options.recipe is TrainingRecipe.rematch:
        return {name: last.get(name) for name in ("noisy_pairs", "rematched", "rematch_chance", "half_there")}
    agreed = {name: last[name] for name in ("agreed_clean", "disagreed", "agreed_noisy") if name in last}
    return {"agreement": agreed or None}


def _retrieval(values: Mapping[str, Any] | None) -> RetrievalMetrics | None:
    if values is None:
        return None
    return RetrievalMetrics(**{field.name: values[field.name] for field in fields(RetrievalMetrics)})

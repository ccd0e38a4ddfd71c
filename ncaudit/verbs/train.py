"""`train`: fine-tune an open_clip model on the user's shards, every pair weighted by its soft label.

Knows options and what makes a run the one it is; nothing of Typer, of how a step learns or of how pairs are read.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from time import monotonic
from typing import Any

import torch

from ncaudit import objectives
from ncaudit.core.device import pick_device, pick_precision
from ncaudit.core.retrieval import RetrievalMetrics
from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.open_clip import Encoder, ModelSource, load_encoder, model_source
from ncaudit.engines.local import Accounting
from ncaudit.errors import NcauditError
from ncaudit.matchers.fine_tuning import FineTuner
from ncaudit.matchers.optimisation import Recipe
from ncaudit.matchers.towers import save_description
from ncaudit.matchers.training_folder import TrainingFolder
from ncaudit.options import Precision, TrainOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.provenance import fingerprint
from ncaudit.shards.sources import find_shards
from ncaudit.verbs.training_pairs import open_training_set
from ncaudit.verbs.training_session import Course, Session

# Not part of what a run is: they change no byte of the result, or are in it by content instead of by place.
NOT_RECORDED = {
    *("out", "restart", "workers", "device"),
    *("scores", "data", "val_data", "model", "pretrained", "image_root"),
}
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What `train` did. Rows in = training pairs + validation pairs held out of them + rows left out, with why."""

    out: str
    objective: str
    epochs: int
    kept_epoch: int  # whose weights are in `out`: the best on the validation pairs, or the last without any
    steps: int
    train_pairs: int
    val_pairs: int
    val_photos: int
    mean_label: float  # over the pairs trained on
    loss: float  # mean over the last epoch's steps
    start: RetrievalMetrics | None  # on the validation pairs, before training; None without validation
    kept: RetrievalMetrics | None
    accounting: Accounting
    finished_earlier: bool = False
    resumed_after_epoch: int | None = None
    seconds: float = 0.0
    pairs_per_s: float = 0.0  # of the training steps alone

    def lines(self) -> list[str]:
        """The summary for people."""
        if self.finished_earlier:
            return [f"{self.out} already holds this run, finished: nothing to do (--restart does it again)"]
        pairs = f"{self.train_pairs:,} pairs (mean label {self.mean_label:.2f}), {self.pairs_per_s:,.0f} pairs/s"
        head = f"{self.objective}: {self.epochs} epochs, {self.steps:,} steps on {pairs}"
        kept = f"matcher of epoch {self.kept_epoch} in {self.out}; use it with --model {self.out}"
        return [head, self._validation(), kept]

    def _validation(self) -> str:
        if self.start is None or self.kept is None:
            return "no validation: the last epoch is kept"
        before, after = self.start, self.kept
        i2t = f"image to caption {before.i2t_r1:.1f} -> {after.i2t_r1:.1f}"
        t2i = f"caption to image {before.t2i_r1:.1f} -> {after.t2i_r1:.1f}"
        rsum = f"rSum {before.rsum:.1f} -> {after.rsum:.1f}"
        worse = "" if after.rsum > before.rsum else " (no epoch is better than the start model)"
        return f"R@1 on {self.val_pairs:,} validation pairs: {i2t}, {t2i}; {rsum}{worse}"


def train(options: TrainOptions, progress: Progress = SILENT) -> TrainResult:
    """Fine-tune; `options.out` becomes a folder that every command and stock open_clip load as a model.

    Rerunning goes on after the last finished epoch; a finished run is not done again.
    Raises NcauditError when scores and data do not belong together, labels are missing or outside [0, 1], there are
    too few pairs, the folder holds another run, or the loss stops being a number.
    """
    begun = monotonic()
    objectives.get(options.objective)  # an unknown name is told before anything is read
    source = model_source(options)
    _refuse_own_start(options, source)
    folder = TrainingFolder(options.out)
    run = _describe(options, source, None if options.restart else folder.recorded_run())
    summary = None if options.restart else folder.summary_of(run)
    if summary is not None:
        folder.drop_state()
        return _result(options, summary, folder.metrics(), finished_earlier=True)
    with DecodePool(options.workers) as pool:
        encoder = load_encoder(replace(options, precision=Precision.float32))
        pairs = open_training_set(options, encoder, pool, progress)
        folder.claim(run, restart=options.restart)
        save_description(encoder.model, source, options.out)
        course = _course(options)
        learner = FineTuner(
            encoder, objectives.get(options.objective).batch_loss, _recipe(options, course.steps_per_epoch(pairs)),
            getattr(torch, run["precision"]), train_batchnorm=options.train_batchnorm,
        )  # fmt: skip
        session = Session(course, learner, pairs, folder, progress)
        session.run()
    summary = _summary(session, encoder)
    folder.finish(run, summary)
    return _result(
        options, summary, session.metrics, seconds=monotonic() - begun, pairs_per_s=session.pairs_per_s,
        resumed_after_epoch=session.resumed_after,
    )  # fmt: skip


def _course(options: TrainOptions) -> Course:
    return Course(
        epochs=options.epochs, batch_pairs=options.batch_pairs, seed=options.seed, learning_rate=options.learning_rate
    )


def _recipe(options: TrainOptions, steps_per_epoch: int) -> Recipe:
    return Recipe(
        learning_rate=options.learning_rate, weight_decay=options.weight_decay, warmup_share=options.warmup_share,
        clip_norm=options.clip_norm, total_steps=steps_per_epoch * options.epochs,
    )  # fmt: skip


def _describe(options: TrainOptions, source: ModelSource, recorded: Json | None) -> Json:
    """What makes this run the one it is; paths, workers and timings are not in it."""
    named = {name: value for name, value in asdict(options).items() if name not in NOT_RECORDED}
    asked = {"options": json.loads(json.dumps(named)), "device": pick_device(options.device).type}
    return {
        **asked,
        "precision": _precision(options, asked, recorded),
        "model": {"name": source.name, "fingerprint": source.fingerprint()},
        "data": _contents(options.data),
        "scores": _contents(options.scores),
        "val_data": _contents(options.val_data) if options.val_data else None,
    }


def _precision(options: TrainOptions, asked: Json, recorded: Json | None) -> str:
    """What the towers compute in: what was picked when the run began, for a busy machine may pick otherwise later."""
    if recorded is not None and all(recorded.get(name) == value for name, value in asked.items()):
        return str(recorded["precision"])
    return str(pick_precision(pick_device(options.device), str(options.precision))).removeprefix("torch.")


def _contents(sources: Sequence[str]) -> list[Json]:
    return [{"name": shard.name, "fingerprint": fingerprint(shard.path)} for shard in find_shards(sources)]


def _refuse_own_start(options: TrainOptions, source: ModelSource) -> None:
    if source.folder is not None and os.path.realpath(source.folder) == os.path.realpath(options.out):
        raise NcauditError(
            f"{options.out} is both --model and --out",
            fix="give another folder with --out: the start model is not overwritten",
        )


def _summary(session: Session, encoder: Encoder) -> Json:
    """What a rerun of the finished run tells again, and which model it started from."""
    pairs = session.pairs
    return {
        "start_model": encoder.identity.as_dict(), "kept_epoch": session.kept_epoch, "train_pairs": len(pairs.train),
        "val_pairs": len(pairs.val) if pairs.val is not None else 0, "val_photos": pairs.val_photos,
        "mean_label": pairs.mean_label, "statuses": dict(sorted(pairs.statuses.items())), "shards": pairs.shards,
    }  # fmt: skip


def _result(options: TrainOptions, summary: Json, metrics: Sequence[Json], **more: Any) -> TrainResult:
    kept = metrics[summary["kept_epoch"]]
    return TrainResult(
        out=options.out, objective=options.objective, epochs=options.epochs, kept_epoch=summary["kept_epoch"],
        steps=metrics[-1]["step"], train_pairs=summary["train_pairs"], val_pairs=summary["val_pairs"],
        val_photos=summary["val_photos"], mean_label=summary["mean_label"], loss=metrics[-1]["loss"],
        start=_retrieval(metrics[0]["val"]), kept=_retrieval(kept["val"]),
        accounting=Accounting(summary["shards"], 0, (), summary["statuses"]), **more,
    )  # fmt: skip


def _retrieval(values: Mapping[str, Any] | None) -> RetrievalMetrics | None:
    return None if values is None else RetrievalMetrics(**values)

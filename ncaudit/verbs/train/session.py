"""The epochs of one training run: learn, validate, keep the best, go on from where an earlier run stopped.

Knows a learner, its pairs and a folder; nothing of what is learnt, or of how pairs are read.
"""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

import numpy as np
import torch

from ncaudit.core.metrics.retrieval import retrieval_metrics
from ncaudit.engines.ranks import ALONE, Ranks
from ncaudit.errors import NcauditError
from ncaudit.matchers.curves import NO_CURVES, Curves
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Learner
from ncaudit.matchers.training_folder import TrainingFolder
from ncaudit.progress import Progress
from ncaudit.verbs.train.class_validation import class_maps
from ncaudit.verbs.train.data.training_set import TrainingSet, vanished
from ncaudit.verbs.train.lessons.lessons import AsGiven, Lessons

# Between the seeds of ranks: no epoch of one has the numbers of another, also where a generator takes 32 bits of it.
# Multiples of 2^32 over the golden ratio lie far apart, however many there are
RANK_STRIDE = 0x9E3779B1
PAIRS_NAMED = 3  # of a batch that ends the run
ENCODE_PAIRS = 256  # of the validation pairs at once
JOB, START = "train", "validate the start"
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How long a session learns, how fast, and in which order."""

    epochs: int
    batch_pairs: int
    seed: int
    learning_rate: float  # the peak, which the learner knows too
    patience: int | None = None  # epochs without a better rSum after which training stops; None: never

    def steps_per_epoch(self, pairs: TrainingSet, networks: int = 1) -> int:
        """Whole batches of one pass over the training pairs, for each of the networks that learn in turn."""
        return networks * (len(pairs.train) // self.batch_pairs)


class Session:
    """The epochs of one run, from where an earlier one stopped."""

    def __init__(
        self,
        course: Course,
        learner: Learner,
        pairs: TrainingSet,
        folder: TrainingFolder,
        progress: Progress,
        *,
        lessons: Lessons | None = None,
        ranks: Ranks = ALONE,
        curves: Curves = NO_CURVES,
    ) -> None:
        """lessons: what each step teaches; None: the pairs as given. curves: for people.

        ranks: every one learns from its rows of each batch; the first validates and writes.
        """
        self._course, self._learner, self._folder, self._progress = course, learner, folder, progress
        self._ranks, self._curves = ranks, curves
        self.pairs = pairs
        self._lessons = AsGiven(pairs.train) if lessons is None else lessons
        self._steps = course.steps_per_epoch(pairs, self._lessons.networks)
        self.metrics: list[Json] = []
        self.kept_epoch = 0
        self.resumed_after: int | None = None
        self._busy_s, self._learnt = 0.0, 0
        self._start = deepcopy(learner.state_dict()) if self._lessons.restarts else None

    @property
    def pairs_per_s(self) -> float:
        """Training pairs per second of the steps that this call made."""
        return self._learnt / self._busy_s if self._busy_s else 0.0

    def run(self) -> None:
        """All epochs that are not done yet, each saved as soon as it ends.

        Raises NcauditError when a step is not finite: the epoch before is kept.
        """
        state = self._folder.load_state()
        if state is None:
            self._progress.stage(START, self._to_encode(), "images and captions")
            val = self._ranks.on_first(lambda: self._validate(self._progress.advance))
            self.metrics = [{"epoch": 0, "scale": self._learner.scale, "val": val}]
            self._curves.epoch(self.metrics[0])
        else:
            with self._folder.going_on():
                self._learner.load_state_dict(state)
                self._lessons.load_state_dict(state["lessons"])
            self._ranks.on_first(lambda: self._folder.restore(state))
            self.metrics, self.kept_epoch, self.resumed_after = state["metrics"], state["kept_epoch"], state["epoch"]
        left = range(len(self.metrics), self._course.epochs + 1)
        self._progress.job(JOB, {epoch_of(epoch, self._course.epochs): 1.0 for epoch in left})
        for epoch in left:
            if self._is_stalled():
                break
            self._epoch(epoch)

    def _epoch(self, epoch: int) -> None:
        if epoch in self._lessons.restarts and self._start is not None:
            self._lessons.finish_round(self._course.batch_pairs)
            self._learner.load_state_dict(deepcopy(self._start))
        losses = self._learn(epoch)
        loss = f"loss {math.fsum(losses) / len(losses):.3f}"
        self._progress.status(loss if self.pairs.val is None else f"{loss}, validating")
        number = epoch * self._steps
        self.metrics.append(
            {
                "epoch": epoch, "step": number, "pairs": self._steps * self._course.batch_pairs,
                "loss": math.fsum(losses) / len(losses), **self._lessons.told(losses),
                "learning_rate": self._learner.learning_rate(number - 1), "scale": self._learner.scale,
                "val": self._ranks.on_first(self._validate),
            }
        )  # fmt: skip
        self._progress.status(", ".join([loss, *self._recall()]))
        better = self._is_best()
        self.kept_epoch = epoch if better else self.kept_epoch
        learnt = self._learner.state_dict()
        session = {"epoch": epoch, "kept_epoch": self.kept_epoch, "metrics": self.metrics}
        state = {**learnt, **session, "lessons": self._lessons.state_dict()}
        weights = learnt["model"] if better else None
        self._ranks.on_first(lambda: self._folder.save_epoch(state, self.metrics, weights))
        self._curves.epoch(self.metrics[-1])

    def _learn(self, epoch: int) -> list[float]:
        """One pass; the losses of its steps."""
        size, seed = self._course.batch_pairs, self._course.seed
        self._progress.stage(epoch_of(epoch, self._course.epochs), self._steps * size, "pairs")
        losses, begun = [], monotonic()
        with torch.random.fork_rng(devices=_random_devices()):
            torch.manual_seed(seed + epoch + RANK_STRIDE * self._ranks.rank)  # dropout, where the model has any
            for i, batch in enumerate(self._batches(epoch)):
                number = (epoch - 1) * self._steps + i
                step = self._learner.step(batch, number)
                if not step.finite:
                    raise self._ranks.told(self._diverged(number, epoch, step.loss, batch))
                losses.append(step.loss)
                self._curves.step(number + 1, step.loss, self._learner.learning_rate(number))
                self._progress.status(", ".join([f"loss {step.loss:.3f}", *self._recall()]))
                self._progress.advance(size)
        self._busy_s += monotonic() - begun
        self._learnt += len(losses) * size
        return losses

    def _batches(self, epoch: int) -> Iterator[Batch]:
        """This rank's rows of every batch: together the ranks take each row once."""
        size, rows = self._course.batch_pairs, self._ranks.share(self._course.batch_pairs)
        for batch in self._lessons.batches(epoch, batch_pairs=size, seed=self._course.seed, rows=rows):
            missing = size // self._ranks.count - len(batch)
            if missing and self._ranks.count > 1:  # the others would wait for its rows without end
                raise vanished(missing)
            yield batch

    def _to_encode(self) -> int:
        """How many images and captions validation looks at."""
        return 0 if self.pairs.val is None else self.pairs.val_photos + len(self.pairs.val)

    def _validate(self, told: Callable[[int], None] = lambda done: None) -> Json | None:
        """told: after each batch, how many images or captions it was."""
        val = self.pairs.val
        if val is None:
            return None
        _, first, image_of_text = np.unique(val.photo.numpy(), return_index=True, return_inverse=True)
        images = val.image[torch.from_numpy(first)]
        image = _encoded(self._learner.encode_images, images, told)
        text = _encoded(self._learner.encode_captions, val.text, told)
        owner = torch.from_numpy(image_of_text.reshape(-1)).to(image.device)
        found = asdict(retrieval_metrics(image, text, owner))
        carried = self.pairs.val_carried
        return found if carried is None else found | class_maps(image, text, owner, carried.to(image.device))

    def _is_best(self) -> bool:
        """Whether the epoch just ended is to be kept: the start model does not compete, training was asked for."""
        now = self.metrics[-1]["val"]
        return now is None or all(_worth(line["val"]) < _worth(now) for line in self.metrics[1:-1])

    def _is_stalled(self) -> bool:
        patience, last = self._course.patience, self.metrics[-1]["epoch"]
        begun = max(self._lessons.restarts, default=1) - 1  # rounds before the last are short, and not what is kept
        return patience is not None and last - max(self.kept_epoch, begun) >= patience

    def _recall(self) -> list[str]:
        """R@1 of the last validation, image to caption and back."""
        val = self.metrics[-1]["val"]
        return [f"R@1 {val['i2t_r1']:.1f}/{val['t2i_r1']:.1f}"] if val else []

    def _diverged(self, number: int, epoch: int, loss: float, batch: Batch) -> NcauditError:
        kept = f"the matcher of epoch {self.kept_epoch} is kept" if self.kept_epoch else "no epoch was finished"
        what = f"the loss is {loss}" if not math.isfinite(loss) else "the gradient is not finite"
        return NcauditError(
            f"{what} at step {number + 1:,}, in epoch {epoch}{_first_pairs(batch)}; {kept}",
            fix=f"give a --learning-rate below {self._course.learning_rate:g}, and another --out or --restart",
        )


def _encoded(encode: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, told: Callable[[int], None]) -> Any:
    parts = []
    for part in torch.split(rows, ENCODE_PAIRS):
        parts.append(encode(part))
        told(len(part))
    return torch.cat(parts)


def epoch_of(epoch: int, epochs: int) -> str:
    """What the stage of one epoch is called."""
    return f"epoch {epoch} of {epochs}"


def _worth(val: Json) -> float:
    """What the best epoch has most of: MAP by class where classes are known, else rSum."""
    return float(val["map"] if "map" in val else val["rsum"])


def _random_devices() -> list[int]:
    """The GPU in use, if any: fork_rng would take those of other processes, too, and complain."""
    in_use: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [torch.cuda.current_device()] if in_use else []


def _first_pairs(batch: Batch) -> str:
    named = ", ".join(batch.pair_id[:PAIRS_NAMED])
    return f", on the batch that begins with {named}" if named else ""

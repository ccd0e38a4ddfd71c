"""`--recipe gentle`: audit with the model as it came, learn so slowly that it stays that model, audit again.

A large pre-trained model tells mismatches well, and unlearns it while it fits them; tuned at a very small rate it stays
flat from 20 to 80 % noise (DSDMR, TOIS 2024; OSA). How small a rate must be is another number for every model, so
it is found: the first epoch is learnt at the rate given, and from how far that has turned the rows of all pairs
follows the factor at which all epochs together turn them by TURN. From then on every so many epochs the pairs are
audited anew, by the network as it is, which is still almost the one that never saw them. Knows pairs that are judged;
nothing of networks, options or files.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ncaudit.errors import NcauditError
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Throttle
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.audited import audited
from ncaudit.verbs.train.lessons.judged.judged_pairs import JudgedPairs, Labels, Taught
from ncaudit.verbs.train.lessons.lessons import Straight

TURN = math.acos(0.9)  # radians by which an embedding may turn in the whole run, in the mean
LEAST_FACTOR, MOST_FACTOR = 1e-3, 1e4
Json = dict[str, Any]


class Gentle(Straight):
    """The lessons of one network."""

    networks = 1

    def __init__(
        self, pairs: JudgedPairs, throttle: Throttle, *, epochs: int, every: int, labelled: bool, seed: int
    ) -> None:
        """throttle: of the network's learning rate. every: epochs between audits. labelled: labels are told."""
        self._pairs, self._throttle, self._labelled = pairs, throttle, labelled
        self._epochs, self._every, self._seed = epochs, every, seed
        self._label: Labels | None = None
        self._start: Pairs | None = None
        self._turned: float | None = None

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The batches of the pairs; before the first, another rate or new labels where this epoch begins with them."""
        seen = self._pairs.seen() if self._looks(epoch) else None
        if epoch == 1 and seen is not None:
            self._label = self._pairs.label if self._labelled else audited(seen, self._seed)
            self._start = seen
        elif epoch == 2 and self._start is not None and seen is not None:
            self._turned = turned(self._start, seen)
            self._throttle.factor = factor(self._turned, self._epochs)
            self._start = None
        if epoch > 1 and self._audits(epoch) and seen is not None:
            self._label = self._again(seen)
        assert self._label is not None, "it was made before the first epoch"
        yield from self._pairs.batches(
            epoch, Taught.as_they_are(self._label), batch_pairs=batch_pairs, seed=seed, rows=rows
        )

    def told(self, losses: Sequence[float]) -> Json:
        """The mean label, how far the first epoch turned the rows, and the factor on the rate that follows."""
        assert self._label is not None, "an epoch was taught"
        told: Json = {"mean_label": float(self._label.mean())}
        return told if self._turned is None else {**told, "turned": self._turned, "rate_factor": self._throttle.factor}

    def state_dict(self) -> Json:
        """Labels, rate, and after the first epoch the rows that it began with."""
        assert self._label is not None, "an epoch was taught"
        start = None if self._start is None else {name: getattr(self._start, name).cpu() for name in ("image", "text")}
        told = {"turned": self._turned, "factor": self._throttle.factor, "start": start}
        return {"label": torch.from_numpy(self._label.copy()), **told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what was in use."""
        self._label, self._turned = state["label"].numpy(), state["turned"]
        self._throttle.factor = state["factor"]
        if state["start"] is not None:
            ids = torch.arange(len(self._label))
            self._start = Pairs(state["start"]["image"], state["start"]["text"], ids, ids, [""] * len(ids))

    def _again(self, seen: Pairs) -> Labels | None:
        """New labels; those in use where the pairs are too few to tell any, or the network by now tells none."""
        try:
            return audited(seen, self._seed)
        except NcauditError:
            return self._label

    def _audits(self, epoch: int) -> bool:
        return (epoch - 1) % self._every == 0

    def _looks(self, epoch: int) -> bool:
        return epoch <= 2 or self._audits(epoch)


def turned(before: Pairs, now: Pairs) -> float:
    """By how many radians the rows of both sides have turned, in the mean."""
    return float(torch.cat([_angle(before.image, now.image), _angle(before.text, now.text)]).mean())


def factor(angle: float, epochs: int) -> float:
    """What the rate of the first epoch is multiplied with, so that all of them turn the rows by TURN together.

    Adam's steps are as long as the rate, whatever the gradient, so the angle goes with it.

    >>> round(factor(TURN / 80, 8), 3), factor(0.0, 8), factor(3.0, 8) < 0.02
    (10.0, 10000.0, True)
    """
    wanted = TURN / epochs
    return min(MOST_FACTOR, max(LEAST_FACTOR, wanted / angle if angle > 0 else MOST_FACTOR))


def _angle(before: Tensor, now: Tensor) -> Tensor:
    # not from the cosine: that of two rows a thousandth apart is 1 in float32
    apart: Tensor = torch.linalg.vector_norm(before.to(now.device) - now, dim=1)
    return 2 * (apart / 2).clamp(max=1).asin()

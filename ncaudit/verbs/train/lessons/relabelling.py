"""`--relabel-every N`: training pairs get new labels from what was learnt, each from a network that never saw it.

A network that learnt a wrong pair long enough vouches for it. So two more networks learn beside the main one, each from
half of the photos, and each judges the half that the other learnt from: the calibrated scorer gives a pair its label on
embeddings as they leave a network that has seen neither it, nor its photo, nor (as far as can be kept) its caption.
The scorer is fitted and held against random pairs within that half. Knows heads, pairs at hand and scorers; nothing of
options' origin, files or validation. It takes three times the steps of one network.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.counts import counted
from ncaudit.errors import NcauditError
from ncaudit.judging import calibrated
from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.steps.batch import Batch
from ncaudit.objectives import Objective
from ncaudit.options import ScorerOptions
from ncaudit.scoring.folds import Folds
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs
from ncaudit.verbs.train.data.split import epoch_generator
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.lessons import Straight, by_network
from ncaudit.verbs.train.lessons.one_epoch import Lesson, Places
from ncaudit.verbs.train.lessons.view import blocks_seen_by, identities, joined

HALVES = 2
Json = dict[str, Any]
Labels = npt.NDArray[np.float32]


class Relabelling(Straight):
    """The lessons of the main network and of the two that judge."""

    networks = 1 + HALVES

    def __init__(
        self, heads: Sequence[Heads], pairs: EmbeddedPairs, folds: Folds, objective: Objective, *, every: int, seed: int
    ) -> None:
        """heads: the main network, then those of half 0 and half 1, on the device to compute on.

        folds: the halves; the second and third heads must know nothing of pairs outside their own. every: epochs.
        """
        self._judges, self._pairs, self._objective, self._every, self._seed = heads[1:], pairs, objective, every, seed
        every_pair = identities(pairs)
        self._half = folds.of(every_pair).numpy()
        self._by_photo = every_pair.image_id.argsort(stable=True).numpy()  # captions of one photo vouch for each other
        self._label = pairs.take(np.arange(len(pairs)))["label"]
        self._mean_label = float("nan")

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """Batches for the three networks in turn; before the first, new labels where this epoch begins with them."""
        if epoch > 1 and (epoch - 1) % self._every == 0:
            self._label = self.new_labels()
        lessons = self._lessons()
        self._mean_label = lessons[0].mean_label
        streams = [
            lesson.batches(self._pairs, batch_pairs, epoch_generator(seed, epoch, network), rows)
            for network, lesson in enumerate(lessons)
        ]
        for turn in islice(zip(*streams, strict=True), len(self._pairs) // batch_pairs):
            yield from turn

    def new_labels(self) -> Labels:
        """(n,) soft labels of the training pairs, each half's by the network that learnt from the other."""
        label = np.empty(len(self._pairs), dtype=np.float32)
        for half in range(HALVES):
            places = self._by_photo[self._half[self._by_photo] == half]
            label[places] = soft_labels(self._judges[1 - half], self._pairs, places, self._seed)
        return label

    def told(self, losses: Sequence[float]) -> Json:
        """Each network's mean loss, and the mean label of the pairs that the main one was taught."""
        return {"losses": by_network(losses, self.networks), "mean_label": self._mean_label}

    def state_dict(self) -> Json:
        """The labels in use."""
        return {"label": torch.from_numpy(self._label.copy())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the labels that were in use."""
        self._label = state["label"].numpy()

    def _lessons(self) -> list[Lesson]:
        taught = self._objective.trains_on(self._label)
        chosen = [taught, *(taught & (self._half == half) for half in range(HALVES))]
        if not all(mask.any() for mask in chosen):
            raise NcauditError(
                f"no pair is left to learn from: --objective {self._objective.name} refuses all of the new labels",
                fix="give another --objective, or leave out --relabel-every",
            )
        return [Lesson(np.flatnonzero(mask), self._label) for mask in chosen]


def soft_labels(heads: Heads, pairs: EmbeddedPairs, places: Places, seed: int) -> Labels:
    """What the default scorer makes of the pairs at `places` in the heads' space, (m,) in [0, 1].

    Raises NcauditError where they are fewer than a calibration needs, or score like random ones.
    """
    if len(places) < calibrated.FEWEST_PAIRS:
        raise NcauditError(
            f"{counted(len(places), 'pair')} in one half of the photos, and new labels need {calibrated.FEWEST_PAIRS}",
            fix="leave out --relabel-every, or give more data",
        )
    options = ScorerOptions(seed=seed)
    sample = epoch_generator(seed, 0).permutation(places)[: options.fit_pairs]
    device = heads.logit_scale.device
    fit = calibrated.learn(joined(list(blocks_seen_by(heads, pairs, sample))), options)
    if "noise_rate" not in fit.facts:
        raise NcauditError(
            f"new labels cannot be told in the heads' space: {fit.facts['label_means']}",
            fix="leave out --relabel-every, or train longer before the first with --warmup-epochs",
        )
    apply = calibrated.applier(fit, device)
    labels = [apply(block).soft_label for block in blocks_seen_by(heads, pairs, places)]
    return torch.cat([label for label in labels if label is not None]).float().cpu().numpy()

"""`--recipe crcl`: labels refine themselves, and the network begins anew with them (CRCL, NeurIPS 2023: its SCC).

In every epoch each label moves towards what the network makes of its pair, the mean of the softmaxes of both
directions. A network that has fitted wrong pairs vouches for them; so after a few epochs all that was learnt is thrown
away but the labels, three times, and the last round is the long one. The paper's rounds are 5, 5, 5 and 30 epochs; here
these shares of as many as there are. A pair stands against a fixed bank as large as a batch, as in the paper's batches,
but not in another company in every epoch. Knows pairs that are judged; nothing of networks, options or files.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ncaudit.core.correspondence.contrast import likeliest_scale, log_odds
from ncaudit.matchers.steps.batch import Batch
from ncaudit.scoring.pairs import Pairs, as_bank
from ncaudit.verbs.train.data.split import epoch_generator
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.judged_pairs import JudgedPairs, Labels, Taught

KEEP = 0.8  # of a label, in every refinement; and what it becomes nothing below: CRCL's constants
NOTHING_BELOW = 0.1
SHORT, OF = 5, 45  # epochs of each of the first three rounds, of all
ROUNDS = 4
Json = dict[str, Any]


class Refining:
    """The lessons of one network."""

    networks = 1

    def __init__(self, pairs: JudgedPairs, *, epochs: int, seed: int) -> None:
        """epochs: of the run, one for each round at least."""
        self._pairs, self._seed = pairs, seed
        self.restarts = restarts(epochs)
        self._label: Labels = pairs.label
        self._told: Json = {}

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The batches of the pairs; before the first, refined labels, where the network has learnt anything."""
        if epoch > 1 and epoch not in self.restarts:
            self._refine(batch_pairs)
        taught = Taught.as_they_are(self._label)
        self._told = {"mean_label": taught.mean_label, "dropped_labels": int((self._label == 0).sum())}
        yield from self._pairs.batches(epoch, taught, batch_pairs=batch_pairs, seed=seed, rows=rows)

    def finish_round(self, batch_pairs: int) -> None:
        """Refine once more with what is about to be thrown away."""
        self._refine(batch_pairs)

    def told(self, losses: Sequence[float]) -> Json:
        """The mean label, and how many have become nothing."""
        return self._told

    def state_dict(self) -> Json:
        """The labels."""
        return {"label": torch.from_numpy(self._label.copy())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the labels that were in use."""
        self._label = state["label"].numpy()

    def _refine(self, bank_pairs: int) -> None:
        pairs = self._pairs.seen()
        order = epoch_generator(self._seed, 0).permutation(len(pairs))[:bank_pairs]
        self._label = refined(self._label, believed(pairs, torch.from_numpy(order).to(pairs.image.device)))


def restarts(epochs: int) -> frozenset[int]:
    """The epochs, from 1, before which the network begins anew.

    >>> sorted(restarts(45)), sorted(restarts(8))
    ([6, 11, 16], [2, 3, 4])
    """
    each = max(1, round(SHORT / OF * epochs))
    return frozenset(1 + each * (turn + 1) for turn in range(ROUNDS - 1))


def believed(pairs: Pairs, bank: torch.Tensor) -> Labels:
    """(p_ii + q_ii) / 2 of every pair against the pairs at `bank`, (n,) in [0, 1]."""
    rivals = as_bank(pairs.halves(bank))
    of_image, of_text = log_odds(pairs.image, pairs.text, pairs.groups, rivals, scale=likeliest_scale(rivals))
    told: Labels = ((of_image.sigmoid() + of_text.sigmoid()) / 2).float().cpu().numpy()
    return told


def refined(label: Labels, now: Labels) -> Labels:
    """Labels moved towards what the network believes now; what falls below NOTHING_BELOW is 0. (n,) in [0, 1].

    >>> refined(np.array([0.5, 0.1, 1.0], np.float32), np.array([0.9, 0.05, 1.0], np.float32)).round(3).tolist()
    [0.5799999833106995, 0.0, 1.0]
    """
    moved = KEEP * label + (1 - KEEP) * now
    return np.where(moved < NOTHING_BELOW, 0, moved).astype(np.float32)

"""`--recipe consensus`: a pair is clean where two views of it agree that it is (RDE's consensus division, CVPR 2024).

The first view is that before training: the labels given, or what the start model makes of the pairs. It has learnt from
none of them. The second is the network as it is now, at the start of every epoch. Each finds the clean pairs by a
mixture on their losses. Both say clean: label 1; neither: 0; where they disagree, a fair coin in every epoch. The
paper's two views are two ways to read the tokens of one network; two heads that learn from each other are `bicro`.
Knows pairs that are judged; nothing of networks, options or files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.core.correspondence.co_teaching import split
from ncaudit.core.correspondence.contrast import likeliest_scale
from ncaudit.matchers.steps.batch import Batch
from ncaudit.options import Loss
from ncaudit.scorers.bicro import pair_loss
from ncaudit.scoring.pairs import Pairs, as_bank
from ncaudit.verbs.train.data.split import epoch_generator
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.judged_pairs import JudgedPairs, Labels, Taught
from ncaudit.verbs.train.lessons.judged.rematches import NOISY_BELOW
from ncaudit.verbs.train.lessons.lessons import Straight

BANK_PAIRS = 1_024  # negatives of the losses: fixed, as with those of a batch a loss would depend on its neighbours
THRESHOLD = 0.5  # P(clean) above which a view says clean
FALLBACK_SHARE = 0.3  # of the lowest losses, where a mixture trusts fewer pairs than a batch holds
COIN = 11  # tells the coins' numbers from those that shuffle an epoch
Json = dict[str, Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Consensus:
    """What two views make of n pairs. label: (n,) 0 or 1."""

    label: Labels
    clean: int
    doubted: int
    noisy: int


class Agreeing(Straight):
    """The lessons of one network."""

    networks = 1

    def __init__(self, pairs: JudgedPairs, *, labelled: bool, seed: int) -> None:
        """labelled: whether the pairs' labels are told, and are the first view."""
        self._pairs, self._labelled, self._seed = pairs, labelled, seed
        self._first: Mask | None = None
        self._told: Json = {}

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The batches of the pairs, with the labels of this epoch."""
        now = clean_pairs(self._pairs.seen(), batch_pairs, self._seed)
        if self._first is None:
            self._first = self._pairs.label >= NOISY_BELOW if self._labelled else now
        found = consensus(self._first, now, epoch_generator(self._seed, epoch, COIN))
        taught = Taught.as_they_are(found.label)
        counts = {"agreed_clean": found.clean, "disagreed": found.doubted, "agreed_noisy": found.noisy}
        self._told = {**counts, "mean_label": taught.mean_label}
        yield from self._pairs.batches(epoch, taught, batch_pairs=batch_pairs, seed=seed, rows=rows)

    def told(self, losses: Sequence[float]) -> Json:
        """How many pairs both, one and none of the views called clean."""
        return self._told

    def state_dict(self) -> Json:
        """The first view: the second follows from the weights."""
        assert self._first is not None, "an epoch was taught"
        return {"first": torch.from_numpy(self._first.copy())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the first view that there was."""
        self._first = state["first"].numpy()


def clean_pairs(pairs: Pairs, least: int, seed: int) -> Mask:
    """Which pairs a view calls clean, (n,). least: where fewer are, those of the lowest loss are taken instead."""
    order = epoch_generator(seed, 0).permutation(len(pairs))[:BANK_PAIRS]
    bank = pairs.halves(torch.from_numpy(order).to(pairs.image.device))
    loss = pair_loss(pairs, bank, Loss.infonce, likeliest_scale(as_bank(bank))).cpu()
    told: Mask = split(loss, threshold=THRESHOLD, least=least, fallback_share=FALLBACK_SHARE).clean.numpy()
    return told


def consensus(first: Mask, second: Mask, generator: np.random.Generator) -> Consensus:
    """Both: 1, neither: 0, one of them: by chance. first, second: (n,).

    >>> found = consensus(np.array([True, True, False, False]), np.array([True, False, True, False]),
    ...     np.random.default_rng(0))
    >>> found.clean, found.doubted, found.noisy, found.label[[0, 3]].tolist()
    (1, 2, 1, [1.0, 0.0])
    """
    coin = generator.random(len(first)) < 0.5
    label = np.where(first == second, first, coin).astype(np.float32)
    counts = int((first & second).sum()), int((first != second).sum()), int((~first & ~second).sum())
    return Consensus(label, *counts)

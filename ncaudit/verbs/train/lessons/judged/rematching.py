"""`--recipe rematch`: noisy pairs are used, their pictures with the captions that these may truly have.

All halves of noisy pairs are assigned to each other (`rematches`) by a matcher that has learnt from none of them: the
one that training starts from, before the first epoch, or where they are to join later, the one there is by then. In
each epoch from then on, a noisy picture is taught with one of the captions found for it, drawn by its chance and
weighted with it. L2RM (CVPR 2024) rematches, too; the chances, and that they are told out of fold, are ours.

Until noisy pairs join they are in no batch, not even as negatives, and a tenth of the clean ones with them, which is to
tell chances; the others are learnt as often as makes as many steps. Where fewer than a batch holds would be left, the
search comes first. Searching again can be asked for; then the tenth waits until the last search.

Knows pairs that are judged; nothing of what the network is, of options or files. It takes a forward pass over all pairs
for each search, and no step more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.matchers.steps.batch import Batch
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.split import Mask, epoch_generator
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.audited import audited
from ncaudit.verbs.train.lessons.judged.averaged import Averaged
from ncaudit.verbs.train.lessons.judged.judged_pairs import JudgedPairs, Labels, Places, Taught
from ncaudit.verbs.train.lessons.judged.rematches import CLEAN_FROM, FEWEST, MOST_OF_NOISY, NOISY_BELOW, Rematches, find
from ncaudit.verbs.train.lessons.lessons import Straight

WAIT = 0.1  # of the clean pairs: those that tell chances
DRAW = 7  # tells this draw's numbers from those that shuffle an epoch
Json = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Which epochs do what. A pure function of the labels and of what was asked for.

    joins: the first epoch that noisy pairs are learnt in. searches: the epochs that begin with one. clean: (c,) places
    of clean pairs in random order. waiting: those of them that are not learnt before the last search.
    """

    joins: int
    searches: Sequence[int]
    clean: Places
    waiting: Places

    def learnt(self, epoch: int, noisy: Mask) -> Mask | None:
        """Which pairs are in the batches of an epoch, (n,); None for all. noisy: (n,)."""
        left_out = noisy & (epoch < self.joins)
        if self.searches and epoch < self.searches[-1]:
            left_out[self.waiting] = True
        return ~left_out if left_out.any() else None


class Rematching(Straight):
    """The lessons of one network."""

    networks = 1

    def __init__(
        self, pairs: JudgedPairs, *, epochs: int, begin_after: int, every: int | None, labelled: bool, seed: int
    ) -> None:
        """epochs: of the run. begin_after: epochs before noisy pairs join. every: epochs between searches; None: one.

        labelled: whether the pairs' labels are told; else they are audited before the first epoch.
        """
        self._pairs, self._seed, self._labelled = pairs, seed, labelled
        self._epochs, self._begin_after, self._every = epochs, begin_after, every
        self._label: Labels | None = None
        self._found: Rematches | None = None
        self._told: Json = {}

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The batches of the pairs; before the first epoch, or after the last batch of one, a search where one is due.

        After the last batch rather than before the next epoch: what is found is kept, the mean of the weights is not.
        """
        label, plan = self._begin(batch_pairs)
        taught = self._taught(epoch, label, plan)
        self._told = {**self._counts(label), "mean_label": taught.mean_label}
        averaged = Averaged(self._pairs.network)
        for batch in self._pairs.batches(epoch, taught, batch_pairs=batch_pairs, seed=seed, rows=rows):
            yield batch
            if epoch + 1 in plan.searches:
                averaged.take()
        if epoch + 1 in plan.searches:
            with averaged.in_place():
                self._found = _search(self._pairs.seen(), label, plan.waiting)

    def told(self, losses: Sequence[float]) -> Json:
        """How many pairs are noisy, how many of their pictures found a caption, and how often that could be."""
        return self._told

    def state_dict(self) -> Json:
        """Labels and finds: the rest follows from the weights."""
        assert self._label is not None, "an epoch was taught"
        found = None if self._found is None else {
            **{name: torch.from_numpy(getattr(self._found, name)) for name in ("places", "other", "chance")},
            "there": self._found.there,
        }  # fmt: skip
        return {"label": torch.from_numpy(self._label.copy()), "found": found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the labels and finds that were in use."""
        self._label, found = state["label"].numpy(), state["found"]
        if found is not None:
            places, other, chance = (found[name].numpy() for name in ("places", "other", "chance"))
            self._found = Rematches(places, other, chance, found["there"])

    def _begin(self, batch_pairs: int) -> tuple[Labels, Plan]:
        """Labels and plan; before the first epoch also what the start model is to be asked for."""
        if self._label is not None:
            return self._label, self._plan(self._label, batch_pairs)
        seen = None if self._labelled else self._pairs.seen()
        self._label = self._pairs.label if seen is None else audited(seen, self._seed)
        plan = self._plan(self._label, batch_pairs)
        if plan.joins == 1 and plan.searches:
            self._found = _search(self._pairs.seen() if seen is None else seen, self._label, plan.clean)
        return self._label, plan

    def _plan(self, label: Labels, batch_pairs: int) -> Plan:
        noisy = int((label < NOISY_BELOW).sum())
        clean = epoch_generator(self._seed, 0, DRAW).permutation(np.flatnonzero(label >= CLEAN_FROM))
        waiting = clean[: max(FEWEST, round(min(WAIT * len(clean), MOST_OF_NOISY * noisy)))]
        if not noisy or len(clean) < FEWEST:
            return Plan(1, (), clean, clean[:0])
        enough = len(label) - noisy - len(waiting) >= batch_pairs
        begin_after = self._begin_after if enough else 0
        again = range(begin_after + 1, self._epochs + 1, self._every or self._epochs)
        return Plan(begin_after + 1, tuple(again), clean, waiting)

    def _taught(self, epoch: int, label: Labels, plan: Plan) -> Taught:
        taught = Taught(np.arange(len(label)), label, plan.learnt(epoch, label < NOISY_BELOW))
        if self._found is None:
            return taught
        return drawn(self._found, taught, epoch_generator(self._seed, epoch, DRAW))

    def _counts(self, label: Labels) -> Json:
        told: Json = {"noisy_pairs": int((label < NOISY_BELOW).sum())}
        if self._found is None:
            return told
        chance = float(self._found.chance.sum() / len(self._found.places))
        return {**told, "rematched": self._found.found, "rematch_chance": chance, "half_there": self._found.there}


def _search(pairs: Pairs, label: Labels, witnesses: Places) -> Rematches | None:
    told, places = (torch.from_numpy(part).to(pairs.image.device) for part in (label, witnesses))
    return find(pairs, told, places)


def drawn(found: Rematches, taught: Taught, generator: np.random.Generator) -> Taught:
    """The pairs with one find in the place of each noisy pair's caption.

    A find is drawn by its chance, the pair itself by its label, and is taught with the sum of all of these: so on
    average over the epochs each is weighted with its own chance.
    """
    mass = np.concatenate([taught.label[found.places][:, None], found.chance], axis=1).cumsum(axis=1, dtype=np.float64)
    total = mass[:, -1]
    column = _first_above(mass, generator.random(len(mass)) * total)
    other = np.concatenate([found.places[:, None], found.other], axis=1)
    caption, label = taught.caption.copy(), taught.label.copy()
    caption[found.places] = np.take_along_axis(other, column[:, None], axis=1)[:, 0]
    label[found.places] = total.clip(0, 1)
    return Taught(caption, label, taught.learnt)


def _first_above(mass: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> Places:
    """The first column of each row, ascending sums, that is above `at`; 0 where none is, as nothing has a chance."""
    column: Places = (mass > at[:, None]).argmax(axis=1)
    return column

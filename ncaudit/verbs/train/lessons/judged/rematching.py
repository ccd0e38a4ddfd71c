"""`--recipe rematch`: noisy pairs are used, their pictures with the captions that these may truly have.

Before the first epoch all halves of noisy pairs are assigned to each other (`rematches`) by the matcher that training
starts from, which has learnt from none of them. At first the pairs are learnt as they are labelled; later, in each
epoch, a noisy picture is taught with one of the captions found for it, drawn by its chance and weighted with it. L2RM
(CVPR 2024) rematches, too; the chances, and that they are told out of fold, are ours.

Searching again with what the matcher has become can be asked for; then a tenth of the clean pairs waits, unlearnt as
the noisy ones are, until the last search: they tell chances. It was not worth it on rendered scenes: half-way
the matcher finds no more than the start does, as halves that were negatives alone come to be unlike everything.

Knows pairs that are judged; nothing of what the network is, of options or files. It takes a forward pass over all pairs
for each search, and no step more.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.matchers.steps.batch import Batch
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.split import epoch_generator
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.audited import audited
from ncaudit.verbs.train.lessons.judged.judged_pairs import JudgedPairs, Labels, Places, Taught
from ncaudit.verbs.train.lessons.judged.rematches import CLEAN_FROM, FEWEST, NOISY_BELOW, Rematches, find
from ncaudit.verbs.train.lessons.lessons import Straight

WAIT = 0.1  # of the clean pairs: those that tell chances
DRAW = 7  # tells this draw's numbers from those that shuffle an epoch
Json = dict[str, Any]


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
        self._joins = begin_after < epochs
        self._begin_after = begin_after
        self._again = list(range(begin_after + 1 + every, epochs + 1, every)) if every is not None else []
        self._label: Labels | None = None
        self._found: Rematches | None = None
        self._told: Json = {}

    def batches(self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW) -> Iterator[Batch]:
        """The batches of the pairs; before the first, a search where this epoch begins with one."""
        if self._label is None:
            self._label = self._first_search()
        elif epoch in self._again:
            self._found = self._search(self._pairs.seen(), self._label, self._waiting(self._label))
        taught = self._taught(epoch, self._label)
        self._told = {**self._counts(epoch, self._label), "mean_label": taught.mean_label}
        yield from self._pairs.batches(epoch, taught, batch_pairs=batch_pairs, seed=seed, rows=rows)

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

    def _first_search(self) -> Labels:
        """With what nothing has been learnt by, all clean pairs can tell chances. Returns the labels."""
        seen = self._pairs.seen() if self._joins or not self._labelled else None
        label = self._pairs.label if self._labelled or seen is None else audited(seen, self._seed)
        if self._joins and seen is not None:
            self._found = self._search(seen, label, self._clean(label))
        return label

    def _search(self, pairs: Pairs, label: Labels, witnesses: Places) -> Rematches | None:
        told, places = (torch.from_numpy(part).to(pairs.image.device) for part in (label, witnesses))
        return find(pairs, told, places)

    def _clean(self, label: Labels) -> Places:
        """Clean pairs in random order."""
        return epoch_generator(self._seed, 0, DRAW).permutation(np.flatnonzero(label >= CLEAN_FROM))

    def _waiting(self, label: Labels) -> Places:
        clean = self._clean(label)
        return clean[: max(FEWEST, round(WAIT * len(clean)))]

    def _taught(self, epoch: int, label: Labels) -> Taught:
        told = label
        if self._again and epoch < self._again[-1]:
            told = label.copy()
            told[self._waiting(label)] = 0
        taught = Taught.as_they_are(told)
        if self._found is None or epoch <= self._begin_after:
            return taught
        return drawn(self._found, taught, epoch_generator(self._seed, epoch, DRAW))

    def _counts(self, epoch: int, label: Labels) -> Json:
        told: Json = {"noisy_pairs": int((label < NOISY_BELOW).sum())}
        if self._found is None or epoch <= self._begin_after:
            return told
        chance = float(self._found.chance.sum() / len(self._found.places))
        return {**told, "rematched": self._found.found, "rematch_chance": chance, "half_there": self._found.there}


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
    return Taught(caption, label)


def _first_above(mass: npt.NDArray[np.float64], at: npt.NDArray[np.float64]) -> Places:
    """The first column of each row, ascending sums, that is above `at`; 0 where none is, as nothing has a chance."""
    column: Places = (mass > at[:, None]).argmax(axis=1)
    return column

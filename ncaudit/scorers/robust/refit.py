"""Two maps into a common space, refitted on the dataset itself, each pair judged by a model that never saw it.

Knows embeddings, identities and folds; nothing of files. A model per fold is fitted on the other folds' pairs, weighted
by how far each is trusted; that trust comes from models fitted inside those folds alone, so nothing of the held-out
pair leaks into the number it gets, and random pairs from its fold are scored in exactly the same way.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor

from ncaudit.core.cca import Features, Maps, Ridge, directions, fit_features, joined_maps, project
from ncaudit.core.correspondence.csls import csls_of, csls_score, dense_crowding
from ncaudit.core.neighbours.search import KeyBank, Nearest, prepare_keys
from ncaudit.core.parallel import in_parallel
from ncaudit.core.statistics.signal import Signal, signal
from ncaudit.scoring.folds import Folds, assign
from ncaudit.scoring.fusion import clearly_best, placements
from ncaudit.scoring.lookups import Lookups, Way
from ncaudit.scoring.pairs import Pairs
from ncaudit.scoring.posterior import clean_posterior

FEWEST_PAIRS = 500  # below, a fold's model is mostly noise
FEWEST_PHOTOS = 128  # eight per fold: random pairs are made inside a fold, and a few photos make no null
LADDER: tuple[Ridge, ...] = ((0.3, 0.3), (1, 1), (3, 2), (10, 3), (30, 10), (100, 30))
STEPS = tuple(pairwise(LADDER))  # the mean cosine of two neighbours loses little where one of them is wrong
RIDGE = 25.0  # ridge of the images times pairs over features, at the steps that did best on real photos, at any noise
FEWEST_FOLDS = 8
FOLDS = ((2_000, 16), (5_000, 32))  # up to so many pairs: a fold more is worth its time, each model sees more pairs
INNER = 4
BANK = 8_192  # competitors of the refitted space
INNER_BANK = 1_024  # competitors while the trust in the training pairs is measured
LADDER_PAIRS = 2_048  # held-out pairs that the ridges are chosen on, in each of LADDER_GROUPS groups of folds
LADDER_GROUPS = 3  # every group of folds where the pairs are few: chance would choose the ridges otherwise
LEAST_TRUST = 0.01
SIGNAL_PAIRS, SIGNAL_DRAWS = 8_192, 3  # of a look whether there is anything to learn, and random pairs per pair in it
SIDES = ("image", "text")
Sides = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Refit:
    """The fold models, and the bank they compete in.

    maps: one per fold. trust: (folds, m) how far the bank's pairs are trusted by the model of each fold, 0 for its own.
    """

    folds: Folds
    features: tuple[Features, Features]
    maps: list[Maps]
    trust: Tensor
    bank: Pairs
    csls_k: int
    ridges: tuple[Ridge, ...]
    _keys: dict[int, tuple[KeyBank, KeyBank]] = field(default_factory=dict)
    _bank: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # its coordinates, the same for every fold

    def coordinates(self, pairs: Pairs) -> Sides:
        """Both sides in their features, (n, k) and (n, k')."""
        return self.features[0].of(pairs.image), self.features[1].of(pairs.text)

    def score(self, pairs: Pairs, fold: Tensor, sides: Sides | None = None, lookups: Lookups | None = None) -> Tensor:
        """CSLS in the space of each pair's own fold, (n,) in [-4, 4]; higher = likelier to correspond.

        sides: the pairs' coordinates, where they are known. lookups: who remembers what is looked up.
        """
        score = pairs.image.new_zeros(len(pairs))
        lookups = lookups or Lookups()
        image, text = sides or self.coordinates(pairs)
        self._know_bank()

        def judge(number: int) -> None:
            rows = (fold == number).nonzero()[:, 0]
            x, y = project(image[rows], self.maps[number].image), project(text[rows], self.maps[number].text)
            found = self._competitors(pairs.halves(rows), x, y, number, lookups)
            score[rows] = csls_of(x, y, *found)

        in_parallel(judge, torch.unique(fold).tolist())
        return score

    def _competitors(self, pairs: Pairs, x: Tensor, y: Tensor, number: int, lookups: Lookups) -> list[Nearest]:
        images, captions = self._bank_keys(number)
        groups, cells = (pairs.groups, self._bank_groups()), self.folds.count
        return [
            lookups.nearest(Way("refit", side, number, cells), pairs, rows, keys, self.csls_k, groups)
            for side, rows, keys in (("image", x, captions), ("text", y, images))
        ]

    def text_space(self, text: Tensor, fold: Tensor) -> Tensor:
        """Captions in the space of their pair's fold, (n, r) unit rows."""
        ridges, dims = self.maps[0].text.shape[1:]
        rows = text.new_zeros(len(text), ridges * dims)
        coordinates = self.features[1].of(text)
        for number in torch.unique(fold).tolist():
            rows[fold == number] = project(coordinates[fold == number], self.maps[number].text)
        return rows

    def _bank_groups(self) -> list[Tensor]:
        return [ids[:BANK] for ids in self.bank.groups]

    def _know_bank(self) -> None:
        if not self._bank:
            self._bank.append(self.coordinates(self.bank.head(BANK)))

    def _bank_keys(self, number: int) -> tuple[KeyBank, KeyBank]:
        self._know_bank()
        if number not in self._keys:
            (image, text), maps = self._bank[0], self.maps[number]
            self._keys[number] = (prepare_keys(project(image, maps.image)), prepare_keys(project(text, maps.text)))
        return self._keys[number]

    def tensors(self) -> dict[str, Tensor]:
        """As a fit keeps it, beside the bank's own tensors."""
        kept = {"refit_trust": self.trust.half(), **self.folds.tensors()}
        for side, features in zip(SIDES, self.features, strict=True):
            kept |= {
                f"{side}_mean": features.mean,
                f"{side}_basis": features.basis,
                f"{side}_spectrum": features.spectrum,
            }
            kept[f"{side}_maps"] = torch.stack([getattr(maps, side) for maps in self.maps]).half()
        return kept

    def facts(self) -> dict[str, Any]:
        """The rest of it: plain numbers."""
        return {
            "folds": self.folds.count,
            "ridges": [list(ridge) for ridge in self.ridges],
            "roots": [features.root for features in self.features],
            "levels": [features.level for features in self.features],
            "csls_k": self.csls_k,
        }

    @classmethod
    def saved(cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], bank: Pairs) -> "Refit":
        """What `tensors` and `facts` gave."""
        sides = zip(SIDES, facts["roots"], facts["levels"], strict=True)
        features = [
            Features(root, tensors[f"{side}_mean"], tensors[f"{side}_basis"], tensors[f"{side}_spectrum"], level)
            for side, root, level in sides
        ]
        maps = [Maps(a.float(), b.float()) for a, b in zip(tensors["image_maps"], tensors["text_maps"], strict=True)]
        ridges = tuple((float(rx), float(ry)) for rx, ry in facts["ridges"])
        folds = Folds.saved(tensors, int(facts["folds"]))
        trust = tensors["refit_trust"].float()
        return cls(folds, (features[0], features[1]), maps, trust, bank, int(facts["csls_k"]), ridges)


def can_learn(pairs: Pairs) -> bool:
    """Whether there are pairs and photos enough for a model per fold."""
    return len(pairs) >= FEWEST_PAIRS and len(torch.unique(pairs.image_id)) >= FEWEST_PHOTOS


def fold_count(pairs: int) -> int:
    """How many folds so many pairs are dealt to."""
    return next((count for most, count in FOLDS if pairs <= most), FEWEST_FOLDS)


def usual_ridges(pairs: int, photos: int, features: int) -> tuple[Ridge, ...]:
    """The step of the ladder for so many pairs: noise in a covariance goes as features / pairs, and the ridge with it.

    Pairs of one photo are more than one draw and less than several: the geometric mean of pairs and photos counts.

    >>> usual_ridges(2_000, 2_000, 384), usual_ridges(10_000, 2_000, 384)
    (((3, 2), (10, 3)), ((1, 1), (3, 2)))
    """
    wanted = math.log(RIDGE * features / math.sqrt(pairs * photos))
    return min(STEPS, key=lambda step: abs(math.log(step[0][0] * step[1][0]) / 2 - wanted))


def fit(pairs: Pairs, csls_k: int, seed: int) -> Refit:
    """Choose the ridges, then fit a model per fold. pairs: as `can_learn` asks, in random order."""
    folds = assign(pairs, fold_count(len(pairs)), seed)
    fold = folds.of(pairs)
    features = _features_of(pairs)
    work = _Work(pairs, features[0].of(pairs.image), features[1].of(pairs.text), features, fold, folds.count, csls_k)
    ridges = work.best_ridges()
    models = in_parallel(lambda number: work.held_out(number, ridges), range(folds.count))
    trust = torch.stack([trust for _, trust in models])
    return Refit(folds, features, [maps for maps, _ in models], trust, pairs, csls_k, ridges)


def tells(pairs: Pairs, csls_k: int, seed: int) -> Signal | None:
    """Whether a space learned from these pairs tells them from random ones; None where they are too few to learn one.

    pairs: in random order. Each fold is judged by a model of the folds before it. Were it judged by all others, two
    folds that agree by chance would each vouch for the other, and no signal would look like one ten times too often.
    All pairs count alike, and nothing is chosen by how well it tells the two apart.
    """
    pairs = pairs.head(SIGNAL_PAIRS)
    if not can_learn(pairs):
        return None
    folds = assign(pairs, FEWEST_FOLDS, seed)
    features = _features_of(pairs)
    sides = [one.of(rows) for one, rows in zip(features, (pairs.image, pairs.text), strict=True)]
    work = _Work(pairs, sides[0], sides[1], features, folds.of(pairs), folds.count, csls_k)
    ridges = usual_ridges(len(pairs), len(torch.unique(pairs.image_id)), sides[0].shape[1])
    return signal(*(part.double().cpu().numpy() for part in work.in_turn(ridges)))


def _features_of(pairs: Pairs) -> tuple[Features, Features]:
    image, text = in_parallel(fit_features, (pairs.image, pairs.text))
    return image, text


@dataclass(frozen=True)
class _Work:
    """What all models of one fit share."""

    pairs: Pairs
    image: Tensor
    text: Tensor
    features: tuple[Features, Features]
    fold: Tensor
    count: int  # of folds
    csls_k: int

    def best_ridges(self) -> tuple[Ridge, ...]:
        """`usual_ridges`, unless another step clearly tells observed from random pairs better, out of fold.

        That needs no truth: the AUROC of observed against random pairs is (1 - p) AUROC + p/2 at mismatch share p.
        """
        usual = usual_ridges(len(self.fold), len(torch.unique(self.pairs.image_id)), self.image.shape[1])
        steps = [usual, *(step for step in STEPS if step != usual)]
        groups = FEWEST_FOLDS if len(self.fold) <= FOLDS[-1][0] else LADDER_GROUPS

        def look(group: int) -> tuple[list[Tensor], Tensor]:
            part = [(number - group) % FEWEST_FOLDS for number in range(self.count)]  # 0: held out, an eighth
            rows, trust = self._trust([(one - 1) % INNER if one else None for one in part], usual)
            held_out = self._in_folds([one == 0 for one in part])[:LADDER_PAIRS]
            cross = self._cross(rows, trust)
            ways = in_parallel(lambda ridge: directions(cross, self.features, ridge), LADDER)
            known = dict(zip(LADDER, ways, strict=True))
            maps = [joined_maps([known[ridge] for ridge in ridges]) for ridges in steps]
            placed = in_parallel(lambda of_step: placements(*self._inside(held_out, of_step)), maps)
            return placed, self.pairs.image_id[held_out]

        self._know_products()
        placed, photo = zip(*in_parallel(look, range(groups)), strict=True)
        return steps[clearly_best([torch.cat(of_step) for of_step in zip(*placed, strict=True)], torch.cat(photo))]

    def held_out(self, number: int, ridges: tuple[Ridge, ...]) -> tuple[Maps, Tensor]:
        """The model for one fold, and the trust in all pairs that it was fitted with (0 for the fold's own)."""
        # the other folds, dealt to INNER groups: their models see nothing of this fold either
        dealt = [((other - number) % self.count - 1) % INNER for other in range(self.count)]
        rows, trusted = self._trust([None if i == number else group for i, group in enumerate(dealt)], ridges)
        trust = torch.zeros(len(self.fold), device=self.fold.device)
        trust[rows] = trusted
        return self._maps(self._cross(rows, trusted), ridges), trust

    def in_turn(self, ridges: tuple[Ridge, ...]) -> list[Tensor]:
        """Scores of pairs by models of earlier folds, those of random pairs, and the photos of both."""
        self._know_products()

        def look(number: int) -> list[list[Tensor]]:
            maps = self._even_maps([other < number for other in range(self.count)], ridges)
            rows = self._in_folds([other == number for other in range(self.count)])
            photo = self.pairs.image_id[rows]
            shifted = in_parallel(lambda shift: self._shifted(rows, maps, shift), range(1, SIGNAL_DRAWS + 1))
            randoms, photos = [random for _, random, _ in shifted], [photo[apart] for _, _, apart in shifted]
            return [[shifted[-1][0]], randoms, [photo], photos]

        folds = range(self.count // 4, self.count)  # a model of fewer pairs is mostly noise
        return [torch.cat(list(chain(*parts))) for parts in zip(*in_parallel(look, folds), strict=True)]

    def _trust(self, groups: Sequence[int | None], ridges: tuple[Ridge, ...]) -> tuple[Tensor, Tensor]:
        """The rows of the folds that have a group, and how far each is trusted by the models of the other groups."""
        rows = self._in_folds([group is not None for group in groups])
        observed = torch.zeros(len(self.fold), device=self.fold.device)

        def judge(number: int) -> Tensor:
            inside = self._in_folds([group == number for group in groups])
            if not len(inside):
                return observed[:0]
            others = [group is not None and group != number for group in groups]
            observed[inside], random = self._inside(inside, self._even_maps(others, ridges))
            return random

        self._know_products()
        null = in_parallel(judge, range(INNER))
        return rows, clean_posterior(observed[rows], torch.cat(null))[0].clamp(min=LEAST_TRUST)

    def _inside(self, rows: Tensor, maps: Maps) -> tuple[Tensor, Tensor]:
        """CSLS of held-out rows among themselves, and of each image with the next row's caption."""
        observed, random, _ = self._shifted(rows, maps, 1)
        return observed, random

    def _shifted(self, rows: Tensor, maps: Maps, shift: int) -> tuple[Tensor, Tensor, Tensor]:
        """CSLS of rows, of each image with the caption `shift` rows on, and which rows the latter are of."""
        x, y = project(self.image[rows], maps.image), project(self.text[rows], maps.text)
        groups = [ids[rows] for ids in self.pairs.groups]
        bank = slice(0, INNER_BANK)
        few = [ids[bank] for ids in groups]
        crowds = [
            dense_crowding(side, keys[bank], self.csls_k, query_groups=groups, key_groups=few)
            for side, keys in ((x, y), (y, x))
        ]
        other = torch.arange(len(rows), device=rows.device).roll(-shift)
        apart = (groups[0] != groups[0][other]) & (groups[1] != groups[1][other])
        random = csls_score((x * y[other]).sum(dim=1), crowds[0], crowds[1][other])
        return csls_score((x * y).sum(dim=1), *crowds), random[apart], apart

    def _in_folds(self, wanted: Sequence[bool]) -> Tensor:
        """The rows of these folds, ascending."""
        return torch.tensor(wanted, device=self.fold.device)[self.fold].nonzero()[:, 0]

    def _even_maps(self, wanted: Sequence[bool], ridges: tuple[Ridge, ...]) -> Maps:
        """The model of these folds, all pairs counting alike: each fold's products are summed once for all models."""
        chosen = torch.tensor(wanted, device=self.fold.device)
        pairs = chosen[self.fold].sum().clamp(min=1)
        return self._maps(self._products[chosen].sum(dim=0) / pairs, ridges)

    def _know_products(self) -> None:
        """Before several threads ask for them: each would make its own."""
        _ = self._products

    @cached_property
    def _products(self) -> Tensor:
        """Per fold, (folds, k, k'): the sum over its pairs of image times caption."""
        rows = (self._in_folds([number == one for one in range(self.count)]) for number in range(self.count))
        return torch.stack(in_parallel(lambda own: self.image[own].T @ self.text[own], rows))

    def _cross(self, rows: Tensor, weight: Tensor) -> Tensor:
        """The weighted mean of image times caption."""
        return (self.image[rows] * weight[:, None]).T @ self.text[rows] / weight.sum()

    def _maps(self, cross: Tensor, ridges: tuple[Ridge, ...]) -> Maps:
        return joined_maps(in_parallel(lambda ridge: directions(cross, self.features, ridge), ridges))

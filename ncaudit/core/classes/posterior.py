"""Which class each pair truly has, told by others: neighbours and linear models of both modalities, out of fold.

Knows neighbours, rows, ids and class numbers; nothing of names or files. A pair's own given class never reaches the
chances that judge it. In the first round others vote with their given classes; in the later ones with what is then
believed of them, and these beliefs are made anew for every fold of photos without that fold's classes. What a vote is
worth is learnt from how well it foretells given classes, of which the noise is known (`core/classes/noise.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ncaudit.core.classes.noise import ClassNoise, Raters, class_noise
from ncaudit.core.classes.ridge import FoldedRidge
from ncaudit.core.classes.sparse import SparseClasses, dealt, drawn
from ncaudit.core.parallel import in_order, in_parallel
from ncaudit.core.statistics.minimise import minimise

FOLDS = 5
ROUNDS = 2  # in which beliefs vote
LOOKS = 4  # times that the pairs are dealt into halves, one for the image's voters, one for the caption's
SAMPLE = 20_000  # pairs that weights and noise are learnt from
SAMPLE_ENTRIES = 2**20  # pairs x classes of these
STACK_ENTRIES = 2**19  # pairs x classes that weights are learnt from
BLOCK_ENTRIES = 2**20  # rows x classes at once
HOMOPHILY = 0.8  # share of a pair's neighbours that are of its class, for what votes of it should look like
WEIGHT_PENALTY, BIAS_PENALTY = 1.0, 5.0  # of voters' and classes' weights, in nats: few pairs must not make them sure
SMALL_K = 3  # votes are also counted among the nearest K / 3
FEWEST_PAIRS = 50  # labelled: below, nothing could be told of their noise
MOST_CLASSES = 4_096  # that can be told apart at once


@dataclass(frozen=True)
class Evidence:
    """What is known of n pairs. A pair without given class has only zeros."""

    given: SparseClasses
    classes: int
    photo: Tensor  # (n,) int64
    neighbours: tuple[Tensor, ...]  # image, text, perhaps others: (n, K) int32 rows, nearest first, -1 where none is
    rows: tuple[Tensor, Tensor]  # image, text: (n, d) rows that linear models learn from


@dataclass(frozen=True)
class Posterior:
    """What comes out. quality: (n,) float32 in [0, 1], the chance that the given class is right; nan without one.

    belief: the chance of each class by all that is known, the given ones included; of unlabelled pairs too; None unless
    asked for. suggested: (n,) int32, the likeliest class of these. chance: (n,) float32, of the given classes as others
    tell it; random_chance: the same of another pair's classes that share none with the given ones, nan where none was
    found. noise: of the given classes. rounds: in how many beliefs voted.
    """

    quality: Tensor
    belief: SparseClasses | None
    suggested: Tensor
    chance: Tensor
    random_chance: Tensor
    noise: ClassNoise
    rounds: int


def judge(evidence: Evidence, *, k: int, seed: int = 0, believe: bool = False) -> Posterior:
    """Judge every pair's given class. k: neighbours that vote, at most as many as there are in `evidence`.

    believe: keep the chance of every class, which takes up to 40 bytes per pair.
    """
    return _Judge(evidence, k, seed, believe).run()


_Answers = tuple[
    Tensor, SparseClasses | None, Tensor
]  # quality, chance, random_chance, (m, 3); beliefs; suggested, (m,)


class _Judge:
    def __init__(self, evidence: Evidence, k: int, seed: int, believe: bool) -> None:
        self.evidence, self.k, self.seed, self.believe = evidence, k, seed, believe
        self.labelled = evidence.given.labelled
        self.fold = dealt(evidence.photo, FOLDS, seed)
        self.ridges = in_parallel(lambda rows: FoldedRidge(rows, self.fold, FOLDS, self.labelled), evidence.rows)
        share = evidence.given.rows(self.labelled.nonzero()[:, 0])
        self.share = _sum(share, evidence.classes) / len(share)
        self.block = max(1, BLOCK_ENTRIES // evidence.classes)
        order = drawn(evidence.photo, len(evidence.photo), seed + 7)
        self.partner = torch.empty_like(order).scatter_(0, order, order.roll(len(order) // 3 + 1))

    def run(self) -> Posterior:
        sample = self._sample()
        _ = self.penalties  # before several looks ask for them
        noise = class_noise(in_parallel(lambda look: self._look(sample, look), range(LOOKS)))
        few = sample[: max(500, STACK_ENTRIES // self.evidence.classes)]
        voice = _Voice(self, noise, self.evidence.given, None, self.penalties)
        stack = self._stack(noise, [(voice, few)])
        best = stack.loss, 0, self._answers(voice, stack, noise, torch.arange(len(self.fold)))
        voices = in_parallel(lambda fold: _Voice(self, noise, self.evidence.given, fold, self.penalties), range(FOLDS))
        for number in range(1, ROUNDS + 1):
            voices = self._believing(voices, stack, noise)
            stack = self._stack(noise, [(v, few[self.fold[few] == fold]) for fold, v in enumerate(voices)])
            if stack.loss < best[0]:
                best = stack.loss, number, self._folded(voices, stack, noise)
        _, rounds, (numbers, belief, suggested) = best
        quality, chance, random_chance = numbers.masked_fill(~self.labelled[:, None], torch.nan).T
        return Posterior(quality, belief, suggested, chance, random_chance, noise, rounds)

    @cached_property
    def penalties(self) -> tuple[float, ...]:
        """Of both modalities' linear models, while they learn from given classes."""
        given, sample = self.evidence.given, self._sample()
        targets = [ridge.targets(given, self.evidence.classes) for ridge in self.ridges]
        return tuple(ridge.penalty(t, given, sample) for ridge, t in zip(self.ridges, targets, strict=True))

    def _believing(self, voices: Sequence["_Voice"], stack: "_Stack", noise: ClassNoise) -> list["_Voice"]:
        """Voices that vote with what the last ones make them believe; each knows all folds' classes but one's."""
        found: list[_Voice] = []
        for fold, voice in enumerate(voices):
            penalties = found[0].penalties if found else None
            found.append(_Voice(self, noise, self._beliefs(voice, stack, noise, fold), fold, penalties))
        return found

    def _sample(self) -> Tensor:
        """Labelled rows in random order."""
        rows = self.labelled.nonzero()[:, 0]
        most = max(500, min(SAMPLE, SAMPLE_ENTRIES // self.evidence.classes))
        return rows[drawn(self.evidence.photo[rows], most, self.seed)]

    def _look(self, sample: Tensor, look: int) -> Raters:
        """What the given class, the image's voters and the caption's voters say, the latter from separate halves."""
        half = dealt(self.evidence.photo, 2, self.seed + 101 + look).bool()
        votes = []
        for modality, voters in ((0, half), (1, ~half)):
            share = self._shares(modality, self.evidence.given, voters & self.labelled, sample, (self.k,))[0]
            ridge = FoldedRidge(self.evidence.rows[modality], self.fold, FOLDS, _only(sample, voters))
            targets = ridge.targets(self.evidence.given, self.evidence.classes)
            linear = ridge.scores(ridge.out_of_fold(targets, self.penalties[modality]), sample)
            votes.append((share + linear).argmax(dim=1))
        return Raters(self.evidence.given.rows(sample).dense(self.evidence.classes), *votes)

    def _shares(
        self, modality: int, classes: SparseClasses, voters: Tensor, rows: Tensor, most: Sequence[int]
    ) -> list[Tensor]:
        neighbours = self.evidence.neighbours[modality][rows]
        return vote_shares(neighbours, classes, voters, most, self.evidence.classes)

    def _stack(self, noise: ClassNoise, parts: Sequence[tuple["_Voice", Tensor]]) -> "_Stack":
        table = torch.cat(in_parallel(lambda part: part[0].features(part[1]), parts))
        given = torch.cat([self.evidence.given.rows(rows).dense(self.evidence.classes) for _, rows in parts])
        return _Stack.fitted(table, noise.evidence(given))

    def _answers(self, voice: "_Voice", stack: "_Stack", noise: ClassNoise, rows: Tensor) -> _Answers:
        """What `Posterior` says of these rows."""
        numbers, beliefs, suggested = self._no_answers(len(rows))
        for place, chances, belief, given in self._believed(voice, stack, noise, rows):
            carried = given > 0
            other = self.evidence.given.rows(self.partner[rows[place]]).dense(self.evidence.classes) > 0
            usable = other.any(dim=1) & ~(other & carried).any(dim=1)
            told = (belief * carried, chances * carried, chances * other)
            numbers[place] = torch.stack([one.sum(dim=1).clamp(max=1) for one in told], dim=1)
            numbers[place, 2] = numbers[place, 2].masked_fill(~usable, torch.nan)
            if beliefs is not None:
                beliefs.put(place, SparseClasses.top(belief))
            suggested[place] = belief.argmax(dim=1).int()
        return numbers, beliefs, suggested

    def _no_answers(self, rows: int) -> _Answers:
        beliefs = SparseClasses.empty(rows, self.evidence.classes) if self.believe else None
        return torch.empty(rows, 3), beliefs, torch.empty(rows, dtype=torch.int32)

    def _folded(self, voices: Sequence["_Voice"], stack: "_Stack", noise: ClassNoise) -> _Answers:
        """Every fold's answers, from voices that do not know its classes."""
        numbers, beliefs, suggested = self._no_answers(len(self.fold))
        for fold, voice in enumerate(voices):
            rows = (self.fold == fold).nonzero()[:, 0]
            numbers[rows], belief, suggested[rows] = self._answers(voice, stack, noise, rows)
            if beliefs is not None and belief is not None:
                beliefs.put(rows, belief)
        return numbers, beliefs, suggested

    def _beliefs(self, voice: "_Voice", stack: "_Stack", noise: ClassNoise, without: int | None) -> SparseClasses:
        """What is believed of every labelled row outside one fold, without that fold's classes."""
        beliefs = SparseClasses.empty(len(self.fold), self.evidence.classes)
        rows = (self.labelled & (self.fold != without)).nonzero()[:, 0]
        for place, _, belief, _ in self._believed(voice, stack, noise, rows):
            beliefs.put(rows[place], SparseClasses.top(belief))
        return beliefs

    def _believed(
        self, voice: "_Voice", stack: "_Stack", noise: ClassNoise, rows: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Places among `rows`, (m,); chances of their true class without and with the given ones; these: (m, C)."""

        def believe(place: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            given = self.evidence.given.rows(rows[place]).dense(self.evidence.classes)
            chances = stack.chances(voice.features(rows[place]))
            belief = chances * noise.evidence(given)
            return place, chances, belief / belief.sum(dim=1, keepdim=True), given

        yield from in_order(believe, torch.split(torch.arange(len(rows)), self.block))


class _Voice:
    """What others say of a pair: votes with given classes or beliefs, and linear models learnt from the same."""

    def __init__(
        self,
        judge: _Judge,
        noise: ClassNoise,
        classes: SparseClasses,
        without: int | None,
        penalties: tuple[float, ...] | None = None,
    ) -> None:
        """without: the fold whose classes are not known, None: only a pair's own are not."""
        self.judge, self.classes, self.without = judge, classes, without
        self.given = classes is judge.evidence.given
        usual = HOMOPHILY * noise.matrix + (1 - HOMOPHILY) * judge.share
        self.profile = usual.clamp(min=1e-6).log().T
        self.voters = judge.labelled if without is None else judge.labelled & (judge.fold != without)
        targets = [ridge.targets(classes, judge.evidence.classes) for ridge in judge.ridges]
        if penalties is None:
            penalties = tuple(self._penalty(ridge, t) for ridge, t in zip(judge.ridges, targets, strict=True))
        self.penalties = penalties
        self.weights = [
            ridge.out_of_fold(target, penalty, without=without)
            for ridge, target, penalty in zip(judge.ridges, targets, penalties, strict=True)
        ]

    def _penalty(self, ridge: FoldedRidge, targets: Tensor) -> float:
        sample = self.judge._sample()
        if self.without is not None:
            sample = sample[self.judge.fold[sample] == self.without]
        return ridge.penalty(targets, self.judge.evidence.given, sample, without=self.without)

    def features(self, rows: Tensor) -> Tensor:
        """(m, V, C): the more, the likelier the class, by each voter."""
        found = []
        counts = (max(1, self.judge.k // SMALL_K), self.judge.k)
        for modality, (ridge, weights) in enumerate(zip(self.judge.ridges, self.weights, strict=True)):
            shares = self.judge._shares(modality, self.classes, self.voters, rows, counts)
            found += [self._told(share, count) for share, count in zip(shares, counts, strict=True)]
            found.append(ridge.scores(weights, rows))
        for more in range(len(self.judge.ridges), len(self.judge.evidence.neighbours)):
            shares = self.judge._shares(more, self.classes, self.voters, rows, counts)
            found += [self._told(share, count) for share, count in zip(shares, counts, strict=True)]
        return torch.stack(found, dim=1)

    def _told(self, share: Tensor, count: int) -> Tensor:
        """Votes as log chances: given classes are held against what votes of each class look like under the noise."""
        return share @ self.profile if self.given else (share + self.judge.share / (count + 1)).log()


@dataclass(frozen=True)
class _Stack:
    """Weights of the voters, (V,), and of the classes, (C,); loss: of foretelling given classes, in nats per pair.

    doubt: the chance that all voters are wrong together about a pair, whatever they say.
    """

    weight: Tensor
    bias: Tensor
    doubt: float
    loss: float

    def chances(self, features: Tensor) -> Tensor:
        """(m, V, C) to (m, C), rows add up to 1."""
        return _chances(features, self.weight, self.bias, self.doubt)

    @classmethod
    def fitted(cls, features: Tensor, evidence: Tensor) -> "_Stack":
        """The weights that make the given classes likeliest. evidence: (m, C), their chance under each true class."""
        rows, voters, classes = features.shape
        spread = features.std(dim=(0, 2)).clamp(min=1e-6).double()
        scaled, evidence, doubt = features.double() / spread[None, :, None], evidence.double(), 1 / (rows + 1)

        def loss(weight: Tensor, bias: Tensor) -> Tensor:
            foretold: Tensor = (_chances(scaled, weight, bias, doubt) * evidence).sum(dim=1)
            return -foretold.log().mean()

        def held_back(both: Tensor) -> Tensor:
            weight, bias = both[:voters].exp(), both[voters:]
            size: Tensor = WEIGHT_PENALTY * (weight**2).sum() + BIAS_PENALTY * (bias**2).sum()
            return loss(weight, bias) + size / rows

        start = torch.cat([torch.full((voters,), -2.0), torch.zeros(classes)]).double()
        both = minimise(held_back, start)
        weight, bias = both[:voters].exp(), both[voters:]
        return cls((weight / spread).float(), bias.float(), doubt, float(loss(weight, bias)))


def _chances(features: Tensor, weight: Tensor, bias: Tensor, doubt: float) -> Tensor:
    told = (torch.einsum("mvc,v->mc", features, weight) + bias).softmax(dim=1)
    return (1 - doubt) * told + doubt / features.shape[2]


def vote_shares(
    neighbours: Tensor, classes: SparseClasses, voters: Tensor, most: Sequence[int], count: int
) -> list[Tensor]:
    """What the nearest voters among the neighbours say, for each of several numbers of them.

    neighbours: (m, K) row numbers, nearest first, -1 where there is none. classes: of all n rows. voters: (n,) bool.
    most: how many vote. count: classes there are. Returns (m, count) each, rows add up to 1, or to 0 without voters.
    """
    index = neighbours.long()
    voting = (index >= 0) & voters[index]
    rank = voting.cumsum(dim=1)
    code, weight = classes.code[index].long(), classes.weight[index].float()
    votes, before, found = torch.zeros(len(index), count), 0, []
    for number in most:
        if number < before:
            votes, before = torch.zeros_like(votes), 0
        used = voting & (rank > before) & (rank <= number)  # those up to `before` are counted already
        columns = _between(used)
        told = (weight[:, columns] * used[:, columns, None]).flatten(1)
        votes, before = votes.scatter_add(1, code[:, columns].flatten(1), told), number
        found.append(votes / rank[:, -1:].clamp(min=1, max=number))
    return found


def _between(used: Tensor) -> slice:
    """The columns outside which nothing is true."""
    columns = used.any(dim=0).nonzero()[:, 0].tolist()
    return slice(columns[0], columns[-1] + 1) if columns else slice(0)


def _only(sample: Tensor, voters: Tensor) -> Tensor:
    """(n,) bool: the sampled rows that vote."""
    found = torch.zeros_like(voters)
    found[sample] = True
    return found & voters


def _sum(classes: SparseClasses, count: int) -> Tensor:
    total = torch.zeros(count, dtype=torch.float64)
    return total.index_add_(0, classes.code.flatten().long(), classes.weight.flatten().double()).float()

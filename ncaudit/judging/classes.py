"""The audit of given classes, for pairs in memory: votes, partition, quality, suggestion and witnesses of each.

Knows rows, photos and numbered classes; nothing of tables or of how answers are written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.classes.posterior import FEWEST_PAIRS, MOST_CLASSES, Evidence, Posterior, judge, vote_shares
from ncaudit.core.classes.ridge import principal
from ncaudit.core.classes.sparse import SparseClasses, drawn
from ncaudit.core.classes.votes import partition, sparse_votes, winners
from ncaudit.core.neighbours.search import Nearest
from ncaudit.core.neighbours.self_search import Rounds, nearest_in_set, one_by_one
from ncaudit.core.parallel import in_parallel
from ncaudit.errors import NcauditError
from ncaudit.judging import calibration
from ncaudit.progress import Step, unheard

STEPS = 4  # of `audit`: neighbours of images, of captions, votes, what the votes mean
LADDER = (10, 20, 30, 50)
LADDER_ROWS = 5_000
ENTRIES = 2**22  # rows x classes at once
WITNESSES = 3
TIES = 4  # classes that may share the most votes: of a pair's several labels
BLOCK = 16_384
HELD_BYTES = 2**28  # of one modality's rows: of more, their principal directions do not lie beside the other's search
VOTE_BINS = 1_000  # that the sum of two shares of at most 50 votes falls into


@dataclass(frozen=True)
class LabelNoise:
    """The share of wrong labels, in [0, 1], with its 90 % interval; told: whether the embeddings can tell it."""

    rate: float
    low: float
    high: float
    told: bool


@dataclass(frozen=True)
class LabelAudit:
    """What was found about n pairs; -1 stands for no class or no pair.

    partition: (n,) int8, 0 pure, 1 hard, 2 noisy, -1 unlabelled. winner: (n, w) int32 for image and text; w is 1 unless
    pairs carry several classes. share: (n,) float32 each. quality: (n,) float32, nan without a given class. suggested:
    (n,) int32, where another class than the given ones is likelier. why: (n, 3) int64 rows of disagreeing neighbours.
    matrix: (C, C) chance of each given class (column) under each true one; prior: (C,) share of pairs truly of each;
    None where pairs carry several, or nothing is told.
    """

    k: int
    partition: Tensor
    winner: tuple[Tensor, Tensor]
    share: tuple[Tensor, Tensor]
    quality: Tensor
    suggested: Tensor
    why: Tensor
    noise: LabelNoise | None
    matrix: Tensor | None
    prior: Tensor | None
    recall: float  # of the neighbours, 1 where the search was exact
    small: tuple[int, int]  # classes with at most k pairs, and the pairs of these


def audit(
    read: Callable[[int], Tensor],
    given: SparseClasses,
    classes: int,
    photo: Tensor,
    *,
    k: int | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    by: Rounds = one_by_one,
    status: Callable[[str], None] = lambda name: None,
    step: Step = unheard,
) -> LabelAudit:
    """Audit the given classes of n pairs.

    read: gives (n, d) float16 or float32 unit rows, of the images for 0, of the captions for 1; only one is held at a
    time, and of many rows the images are asked for again in the end: memory is scarcest while captions are searched.
    given: of each row, weights add up to 1 or 0. photo: (n,) int64, equal photos vouch for nothing. k: neighbours that
    vote; None: chosen from 10, 20, 30, 50. device: where neighbours are searched. by: who does it, see
    `nearest_in_set`.
    status: told what is being done; step: called after each of STEPS such.
    Raises NcauditError when there is nothing to compare.
    """
    _require_classes(given, classes, photo)
    most = min(max(LADDER) if k is None else k, len(photo) - 1)
    found, recall = [], 1.0
    rows: list[Tensor | None] = []
    for modality, name in enumerate(("image", "text")):
        status(f"{name} neighbours")
        unit = _centred(read(modality))
        near = nearest_in_set(unit.to(device), most, [photo.to(device)], seed=seed, by=by, numbers=torch.int32)
        recall = min(recall, near.recall)
        found.append(Nearest(near.similarity.cpu(), near.index.cpu()))
        del near
        rows.append(None if modality == 0 and unit.nbytes > HELD_BYTES else principal(unit))
        del unit
        step()
    status("votes")
    if k is None:
        k = _chosen(found, given, classes, photo, most, seed)
    k = min(k, most)
    tallied = _Tally.of([Nearest(f.similarity[:, :k], f.index[:, :k]) for f in found], given, classes)
    neighbours = found[0].index, found[1].index
    del found
    step()
    status("class noise and label quality")
    judged = None
    if int(given.labelled.sum()) >= FEWEST_PAIRS:
        image, text = (principal(_centred(read(side))) if one is None else one for side, one in enumerate(rows))
        judged = judge(Evidence(given, classes, photo, neighbours, (image, text)), k=k, seed=seed)
    told = _Told.unknown(len(photo)) if judged is None else _Told.of(judged, given, photo, seed)
    step()
    return LabelAudit(
        k=k,
        partition=tallied.partition,
        winner=tallied.winner,
        share=tallied.share,
        quality=told.quality,
        suggested=told.suggested,
        why=tallied.why,
        noise=told.noise,
        matrix=told.matrix,
        prior=told.prior,
        recall=recall,
        small=_small(given, classes, k),
    )


def _require_classes(given: SparseClasses, classes: int, photo: Tensor) -> None:
    labelled = given.labelled
    if classes > MOST_CLASSES:
        raise NcauditError(
            f"there are {classes:,} classes, and at most {MOST_CLASSES:,} can be told apart at once",
            fix="merge classes, or audit one part of them at a time",
        )
    members = torch.bincount(given.code[given.weight > 0].long(), minlength=classes)
    if int((members > 0).sum()) < 2:
        raise NcauditError(
            "all labelled pairs carry the same class: there is no other that a label could be mistaken for"
            if labelled.any()
            else "no pair with usable embeddings has a class",
            fix="give a --label-column with at least two classes",
        )
    if int(members.max()) < 2:
        raise NcauditError(
            f"{'the only class' if classes == 1 else f'each of the {classes:,} classes'} has one pair: no pair's class "
            "can be vouched for by another",
            fix="give a --label-column whose classes hold several pairs each",
        )
    if len(np.unique(photo[labelled].numpy())) < 2:
        raise NcauditError("all labelled pairs show the same photo", fix="give pairs of several photos")


def _centred(rows: Tensor) -> Tensor:
    """Rows without their mean, unit again, in half precision: in a narrow cone all cosines are alike."""
    sums = in_parallel(lambda part: part.float().sum(dim=0), torch.split(rows, BLOCK))
    mean = torch.stack(sums).sum(dim=0) / max(len(rows), 1)
    out = rows.half()
    in_parallel(lambda part: part.copy_(normalize(part.float() - mean, dim=1)), torch.split(out, BLOCK))
    return out


def _chosen(found: Sequence[Nearest], given: SparseClasses, classes: int, photo: Tensor, most: int, seed: int) -> int:
    """The k whose votes tell given classes from others best: AUC of the votes for one's own class against the others'.

    The others count by their frequency. Of equally good ones the smallest.
    """
    ladder = [k for k in LADDER if k <= most] or [most]
    labelled = given.labelled
    rows = labelled.nonzero()[:, 0]
    rows = rows[drawn(photo[rows], min(LADDER_ROWS, max(500, 4 * ENTRIES // classes)), seed)]
    share = given.rows(rows).dense(classes).mean(dim=0).double()
    own = torch.zeros(len(ladder), VOTE_BINS + 1, dtype=torch.float64)
    other = torch.zeros_like(own)
    for part in torch.split(rows, max(1, ENTRIES // classes)):
        carried = given.rows(part).dense(classes) > 0
        weight = share * ~carried
        weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-12)
        rank = [near.index[part] for near in found]
        both = in_parallel(lambda index: vote_shares(index, given, labelled, ladder, classes), rank)
        for place, (image, text) in enumerate(zip(*both, strict=True)):
            bins = ((image + text) * VOTE_BINS / 2).round().long()
            own[place] += torch.bincount(bins[carried], minlength=VOTE_BINS + 1)
            other[place] += torch.bincount(bins[~carried], weights=weight[~carried], minlength=VOTE_BINS + 1)
    auc = (own * (other.cumsum(dim=1) - other / 2)).sum(dim=1) / (own.sum(dim=1) * other.sum(dim=1))
    return ladder[int((auc >= auc.max() - 1e-6).int().argmax())]


@dataclass(frozen=True)
class _Tally:
    """Votes of both modalities, and who disagrees."""

    partition: Tensor
    winner: tuple[Tensor, Tensor]
    share: tuple[Tensor, Tensor]
    why: Tensor

    @classmethod
    def of(cls, found: Sequence[Nearest], given: SparseClasses, classes: int) -> "_Tally":
        count, width = len(given), 1 if given.code.shape[1] == 1 else TIES
        parted, why = torch.empty(count, dtype=torch.int8), torch.full((count, WITNESSES), -1)
        winner = tuple(torch.full((count, width), -1, dtype=torch.int32) for _ in found)
        share = tuple(torch.zeros(count) for _ in found)

        def fill(rows: Tensor) -> None:
            hot, won = given.rows(rows).dense(classes) > 0, []
            for near, names, shares in zip(found, winner, share, strict=True):
                told = sparse_votes(Nearest(near.similarity[rows], near.index[rows]), given, classes)
                best = winners(told)
                won.append(best)
                shares[rows] = told.share.amax(dim=1)
                names[rows] = _numbers(best, width)
            parted[rows] = partition(hot, won[0], won[1])
            why[rows] = _disagreeing(found, rows, given)

        in_parallel(fill, torch.split(torch.arange(count), max(1, min(2_048, ENTRIES // (8 * classes)))))
        return cls(parted, (winner[0], winner[1]), (share[0], share[1]), why)


def _numbers(table: Tensor, width: int) -> Tensor:
    """The first `width` columns that are True in each row, ascending, -1 behind them; where one may be named and
    several are left, none is."""
    value, column = table.int().topk(min(width, table.shape[1]), dim=1)
    named = column.where(value > 0, -1)
    if width == 1:
        named = named.masked_fill((table.sum(dim=1) > 1)[:, None], -1)
    named = torch.nn.functional.pad(named, (0, width - named.shape[1]), value=-1)
    return named.int()


def _disagreeing(found: Sequence[Nearest], rows: Tensor, given: SparseClasses) -> Tensor:
    """(m, WITNESSES) the nearest labelled neighbours, by turns of both modalities, that share no class; else -1."""
    index = torch.stack([near.index[rows].long() for near in found], dim=2).flatten(1)
    mine = given.rows(rows)
    code, carried = given.code[index], given.weight[index] > 0
    same = code[:, :, :, None] == mine.code[:, None, None, :]
    same &= carried[..., None] & (mine.weight > 0)[:, None, None]
    other = (index >= 0) & carried.any(dim=2) & ~same.flatten(2).any(dim=2) & mine.labelled[:, None]
    first = _first(other, 2 * WITNESSES)  # near in both modalities: they may stand there twice
    picked = _or_none(index).gather(1, first)
    twice = torch.tril(picked[:, :, None] == picked[:, None, :], diagonal=-1).any(dim=2)
    return _or_none(picked).gather(1, _first(~twice & (picked >= 0), WITNESSES))


def _or_none(index: Tensor) -> Tensor:
    return torch.nn.functional.pad(index, (0, 1), value=-1)


def _first(wanted: Tensor, count: int) -> Tensor:
    """(m, count) places of the first True in each row, ascending; behind them the place after the last."""
    width = wanted.shape[1]
    place = torch.arange(width).where(wanted, width)
    found = place.topk(min(count, width), dim=1, largest=False, sorted=True).values
    return torch.nn.functional.pad(found, (0, count - found.shape[1]), value=width)


def _other(suggested: Tensor, given: SparseClasses) -> Tensor:
    """The suggestions that are none of the given classes; -1 elsewhere."""
    carried = ((given.code == suggested[:, None]) & (given.weight > 0)).any(dim=1)
    return suggested.masked_fill(carried, -1)


@dataclass(frozen=True)
class _Told:
    """What the judgement says of every pair and of the whole."""

    quality: Tensor
    suggested: Tensor
    noise: LabelNoise | None
    matrix: Tensor | None
    prior: Tensor | None

    @classmethod
    def unknown(cls, pairs: int) -> "_Told":
        """Of too few pairs to judge any."""
        return cls(torch.full((pairs,), torch.nan), torch.full((pairs,), -1, dtype=torch.int32), None, None, None)

    @classmethod
    def of(cls, judged: Posterior, given: SparseClasses, photo: Tensor, seed: int) -> "_Told":
        """As judged; where pairs carry several classes, rate and quality are told by other pairs' label sets."""
        noise, suggested = judged.noise, _other(judged.suggested, given)
        if given.code.shape[1] == 1:
            as_told = LabelNoise(noise.rate, noise.low, noise.high, noise.told)
            matrix, prior = (noise.matrix, noise.prior) if noise.told else (None, None)
            return cls(judged.quality, suggested, as_told, matrix, prior)
        labelled, usable = given.labelled, ~judged.random_chance.isnan()
        observed, random = _log(judged.chance[labelled]), _log(judged.random_chance[usable])
        told = calibration.fit(observed, random, photo[labelled].numpy(), photo[usable].numpy(), seed=seed)
        alike = max(0.0, 1 - float(usable.sum()) / float(labelled.sum()) / float(labelled.float().mean()))
        rate, low, high = (_corrected(one, alike) for one in (told.rate.rate, told.rate.low, told.rate.high))
        quality = torch.full_like(judged.quality, torch.nan)
        quality[labelled] = torch.from_numpy(told.soft_label(observed, rate=rate)).float()
        return cls(quality, suggested, LabelNoise(rate, low, high, True), None, None)


def _corrected(rate: float, alike: float) -> float:
    """The rate of wrong label sets, where the random sets that it was held against may be right themselves.

    A random set that shares no class with a wrong one is right in a share `alike` of all cases, so `rate` is that of
    the wrong ones over 1 - alike * wrong.

    >>> _corrected(0.5, 0.0), _corrected(0.5, 0.5)
    (0.5, 0.4)
    """
    return rate / (1 + rate * alike)


def _small(given: SparseClasses, classes: int, k: int) -> tuple[int, int]:
    """Classes with at most k pairs, and how many labels these are."""
    members = torch.bincount(given.code[given.weight > 0].long(), minlength=classes)
    return int((members <= k).sum()), int(members[members <= k].sum())


def _log(chance: Tensor) -> npt.NDArray[np.float64]:
    logs: npt.NDArray[np.float64] = chance.double().clamp(min=1e-12).log().numpy()
    return logs

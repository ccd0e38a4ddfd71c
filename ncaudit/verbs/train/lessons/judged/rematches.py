"""Which caption a noisy pair's picture may truly have, and which picture its caption, with the chance of each.

A pair that is called noisy has lost its other half. That may be another noisy pair's half, as where captions changed
places, or be nowhere. So all halves that are free are assigned to each other, each at most once (`assignment`):

1. *Witnesses* are clean pairs that the matcher has not learnt from, as it has not from the noisy ones (heads that begin
   at canonical correlations know them a little: there chances are a little too high). They are taken apart and put
   among the free halves: of some both halves, of others one half only. So one hears how large a share true pairs get,
   and how large those that only seem to be, with the true half there or away; the chance of a share is that of being
   true, by isotonic regression.
2. How often a noisy pair's other half is there at all is told by what a half is given where all of the other side share
   themselves out among those near to them: by witnesses with both halves and with one, and where between these two the
   noisy pairs lie. (Largest shares of the assignment tell next to nothing of it: who is left over takes what is left.)
   The chances count with that.
3. What the pair's own label leaves is shared out: label + chances of all finds <= 1.

Captions of clean pairs are left alone, though some come near: of rendered scenes, those that score as high as own
captions do state half of the truth as a rule, and hardly ever all of it.

Knows pairs in one space and labels; nothing of networks, epochs or files. Halves that belong together already, by any
pair, are no find: neither the pair itself, nor its copies, nor other captions of the same photo.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.core.correspondence.assignment import Edges
from ncaudit.core.correspondence.contrast import SCALES
from ncaudit.core.statistics.curve import Curve
from ncaudit.scoring import same_photo
from ncaudit.scoring.isotonic import isotonic
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.lessons.judged.judged_pairs import Places

FEWEST = 48  # witnesses: fewer say nothing of chances
MOST_OF_NOISY = 0.3  # witnesses for each noisy pair: more would make the crowd another one
PARTS = 3  # of the witnesses: whole pairs, pictures alone, captions alone
MANY = 3_000  # witnesses that need not take turns
KEPT = 8  # finds of a picture
LEAST = 0.02  # chance of a find
CLEAN_FROM, NOISY_BELOW = 0.9, 0.5  # labels, as of verdicts
DOUBT = 4.0  # 1 / variance of how often halves are there, before anything is known: as likely never as always
SIDES = ("noisy", "whole", "alone")
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rematches:
    """What the pictures of noisy pairs may be taught with. places: (m,) of these pairs; the others: (m, KEPT).

    other: places of the pairs whose caption it is, -1 where there is none. chance: float32, 0 where there is none; the
    sum of a row is at most 1 - label. there: in [0, 1], how often an own half was to be found at all.
    """

    places: Places
    other: Places
    chance: npt.NDArray[np.float32]
    there: float

    @property
    def found(self) -> int:
        """How many have a find."""
        return int((self.chance > 0).any(axis=1).sum())


def find(pairs: Pairs, label: Tensor, witness: Tensor) -> Rematches | None:
    """pairs: all n, in one space. label: (n,) in [0, 1]. witness: (w,) places of clean pairs nobody learnt from.

    None where witnesses are fewer than FEWEST: chances cannot be told, and nothing is to be rematched.
    """
    noisy = (label < NOISY_BELOW).nonzero()[:, 0]
    witness = witness[: max(FEWEST, int(MOST_OF_NOISY * len(noisy)))]
    if len(witness) < FEWEST or not len(noisy):
        return None
    pairs = _one_id_per_photo(pairs)
    turns = [_Turn.of(pairs, noisy, part) for part in _parts(witness)]
    scale = max(SCALES, key=turns[0].likelihood)
    heard = [turn.heard(scale) for turn in turns]
    there = _share_there(heard)
    edges, chance = _chances(turns, heard, there)
    return _kept(pairs, noisy, edges, chance, 1 - label[noisy], there)


def _parts(witness: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Whole pairs, pictures alone and captions alone; where witnesses are few, every one is each of them once."""
    parts = [witness[turn::PARTS] for turn in range(PARTS)]
    for turn in range(PARTS if len(witness) < MANY else 1):
        whole, pictures, captions = parts[turn:] + parts[:turn]
        yield whole, pictures, captions


@dataclass(frozen=True)
class _Turn:
    """The free halves, with witnesses taken apart among them. picture, caption: (m,) distinct ids, ascending.

    edges: between their numbers; without those of pairs that are known, but for the whole witnesses.
    own: (e,) bool, of the whole witnesses' own edges. of_noisy, of_whole, of_alone: (p,) bool, whose picture it is.
    captions_of: the same three of the captions.
    """

    picture: Tensor
    caption: Tensor
    edges: Edges
    own: Tensor
    of_noisy: Tensor
    of_whole: Tensor
    of_alone: Tensor
    captions_of: tuple[Tensor, Tensor, Tensor]

    @classmethod
    def of(cls, pairs: Pairs, noisy: Tensor, part: tuple[Tensor, Tensor, Tensor]) -> "_Turn":
        whole, alone, captions = part
        picture, picture_row = _distinct(pairs.image_id, torch.cat([noisy, whole, alone]))
        caption, caption_row = _distinct(pairs.caption_id, torch.cat([noisy, whole, captions]))
        edges = Edges.between(pairs.image[picture_row], pairs.text[caption_row])
        of_edges = _keys(picture[edges.picture], caption[edges.caption])
        own = torch.isin(of_edges, _keys(pairs.image_id[whole], pairs.caption_id[whole]))
        kept = own | ~torch.isin(of_edges, _keys(pairs.image_id, pairs.caption_id))
        of = [torch.isin(picture, pairs.image_id[rows]) for rows in (noisy, whole, alone)]
        of_caption = [torch.isin(caption, pairs.caption_id[rows]) for rows in (noisy, whole, captions)]
        captions_of = of_caption[0], of_caption[1], of_caption[2]
        return cls(picture, caption, edges.take(kept), own[kept], of[0], of[1], of[2], captions_of)

    def likelihood(self, scale: float) -> float:
        """Mean log of the shares that whole witnesses' own edges get; that of a picture without one is the least."""
        share = self.edges.shares(scale)[self.own].clamp(min=1e-4).log()
        missing = int(self.of_whole.sum()) - len(share)
        return float(share.sum() + missing * np.log(1e-4)) / max(1, int(self.of_whole.sum()))

    def heard(self, scale: float) -> "_Heard":
        """What the shares of this turn tell."""
        share = self.edges.shares(scale)
        of_picture = self.edges.picture
        parts = (share[self.own], share[self.of_whole[of_picture] & ~self.own], share[self.of_alone[of_picture]])
        got = self.edges.received(scale)
        sides = zip(got, ((self.of_noisy, self.of_whole, self.of_alone), self.captions_of), strict=True)
        given = tuple(_Given(_numbers(each[a]), _numbers(each[b]), _numbers(each[c])) for each, (a, b, c) in sides)
        own, beside, without = (_numbers(part) for part in parts)
        return _Heard(share, own, beside, without, given)


@dataclass(frozen=True)
class _Given:
    """What the halves of one side are given by the other: those of noisy pairs, of whole witnesses, and left alone."""

    noisy: Numbers
    whole: Numbers
    alone: Numbers


@dataclass(frozen=True)
class _Heard:
    """share: (e,) of all edges. own, beside, without: shares of witnesses' own edges, of others beside these, and where
    the own half is away. given: pictures, then captions.
    """

    share: Tensor
    own: Numbers
    beside: Numbers
    without: Numbers
    given: tuple[_Given, ...]


def _share_there(heard: list[_Heard]) -> float:
    """How often noisy pairs' other halves are among the free ones, in [0, 1]; a half where that cannot be told."""
    known, told = DOUBT, DOUBT * 0.5
    for side in range(len(heard[0].given)):
        given = [one.given[side] for one in heard]
        noisy, whole, alone = (np.concatenate([getattr(each, name) for each in given]) for name in SIDES)
        found, error = _told_by(noisy, whole, alone, len(heard))
        known, told = known + 1 / error, told + found / error
    return float(np.clip(told / known, 0, 1))


def _told_by(noisy: Numbers, whole: Numbers, alone: Numbers, turns: int) -> tuple[float, float]:
    """Where noisy halves lie between those left alone, 0, and whole pairs, 1; and the variance of that."""
    gap = whole.mean() - alone.mean()
    if gap <= 0:
        return 0.5, np.inf
    # the noisy halves are the same in each turn
    error = (whole.var() / len(whole) + alone.var() / len(alone) + turns * noisy.var() / len(noisy)) / gap**2
    return float((noisy.mean() - alone.mean()) / gap), max(float(error), 1e-12)


def _chances(turns: list[_Turn], heard: list[_Heard], there: float) -> tuple[Tensor, Tensor]:
    """The edges of noisy pictures, as ids (2, e), and the chance of each to be true, (e,): the mean of the turns."""
    curve = _curve(heard, there)
    ids, chances = [], []
    for turn, one in zip(turns, heard, strict=True):
        rows = turn.of_noisy[turn.edges.picture]
        ids.append(torch.stack([turn.picture[turn.edges.picture[rows]], turn.caption[turn.edges.caption[rows]]]))
        chances.append(curve.of(one.share[rows].double().cpu()).to(one.share.device))
    edges, number = torch.unique(torch.cat(ids, dim=1), dim=1, return_inverse=True)
    total = torch.zeros(edges.shape[1], dtype=torch.float64, device=edges.device)
    return edges, total.index_add(0, number, torch.cat(chances)) / len(turns)


def _curve(heard: list[_Heard], there: float) -> Curve:
    """From a share to the chance of being true, where the other half is there so often."""
    parts = {name: np.concatenate([getattr(one, name) for one in heard]) for name in ("own", "beside", "without")}
    pictures = [sum(len(getattr(one.given[0], name)) for one in heard) for name in ("whole", "alone")]
    weight = {"own": there / pictures[0], "beside": there / pictures[0], "without": (1 - there) / pictures[1]}
    luckiest = np.array([parts["own"].max() if len(parts["own"]) else 1.0])  # a stranger that is to come
    share = np.concatenate([*parts.values(), luckiest])
    each = np.concatenate([*(np.full(len(parts[name]), weight[name]) for name in parts), [1 / pictures[0]]])
    true = np.arange(len(share)) < len(parts["own"])
    at, value = isotonic(share[each > 0], true[each > 0], each[each > 0], increasing=True)
    return Curve(torch.from_numpy(at), torch.from_numpy(value))


def _kept(pairs: Pairs, noisy: Tensor, edges: Tensor, chance: Tensor, left: Tensor, there: float) -> Rematches:
    """The best finds of each noisy pair, as places of pairs."""
    picture = _distinct(pairs.image_id, noisy)[0]
    caption, caption_row = _distinct(pairs.caption_id, noisy)
    number = torch.searchsorted(caption, edges[1].contiguous()).clamp(max=len(caption) - 1)
    free = caption[number] == edges[1]  # else it is a witness's, which is no find
    start = torch.searchsorted(picture, edges[0].contiguous())
    table = chance.new_zeros(len(picture), KEPT)
    other = torch.full((len(picture), KEPT), -1, device=chance.device)
    order = torch.argsort(torch.where(free, chance, -1.0), descending=True, stable=True)
    order = order[torch.argsort(start[order], stable=True)]
    rank = torch.arange(len(order), device=order.device) - torch.searchsorted(start[order], start[order])
    fits = (rank < KEPT) & free[order] & (chance[order] >= LEAST)
    kept, rank = order[fits], rank[fits]
    table[start[kept], rank], other[start[kept], rank] = chance[kept], caption_row[number[kept]]
    table = table / table.sum(dim=1, keepdim=True).clamp(min=1)
    of_pair = torch.searchsorted(picture, pairs.image_id[noisy].contiguous())
    told = (table[of_pair] * left[:, None]).float()
    return Rematches(noisy.cpu().numpy(), other[of_pair].cpu().numpy(), told.cpu().numpy(), there)


def _distinct(ids: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ids of some pairs, ascending, and the place of the first pair that has each."""
    values, first = np.unique(ids[rows].cpu().numpy(), return_index=True)
    return torch.from_numpy(values).to(ids.device), rows[torch.from_numpy(first).to(ids.device)]


def _keys(picture: Tensor, caption: Tensor) -> Tensor:
    """One number for two ids (a hash: one in 2^64 is wrong)."""
    return picture * 0x1E3779B97F4A7C15 + (caption ^ (picture >> 31)) * 0x3F58476D1CE4E5B9


def _one_id_per_photo(pairs: Pairs) -> Pairs:
    """Near-equal photos are one: copies of a photo would each be offered the other's caption."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(pairs))[: same_photo.COMPARED])
    return same_photo.find(pairs.halves(order.to(pairs.image.device))).of(pairs)


def _numbers(part: Tensor) -> Any:
    return part.double().cpu().numpy()

"""Mismatches made for the purpose, of several kinds: captions of random pairs, of the same topic, or nearly right.

Knows pairs in memory; nothing of scorers, calibration or files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.core.neighbours.clusters import kmeans
from ncaudit.core.neighbours.search import nearest
from ncaudit.core.statistics.derangement import derange, is_own
from ncaudit.scoring.pairs import Pairs

INJECTED = 1_024  # mismatches of each kind
CLUSTERS, NEAREST = 20, 10  # as in `corrupt --kind topic` and `near`
SALT = 1_009  # keeps the draw of what is swapped apart from the draws that a scorer makes with the same seed
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def swapped(pairs: Pairs, kind: str, rate: float, seed: int, near: "Neighbours") -> tuple[Pairs, Flags]:
    """The pairs after a share of them got another's caption, and which: (n,) bool, true for photo and caption differ.

    random: the chosen rows exchange captions. topic: a caption of the same image cluster. near: one of the nearest
    captions (which may fit, too). A chosen row for which there is no such caption keeps its own.
    """
    draw = np.random.default_rng([SALT, seed])
    chosen = draw.permutation(len(pairs))[: int(rate * len(pairs) + 0.5)]
    groups = [group.cpu().numpy() for group in pairs.groups]
    rows = np.arange(len(pairs))
    source = rows.copy()
    source[chosen] = _DONORS[kind](chosen, groups, near, draw)
    source = np.where(is_own(groups, rows, source), rows, source)
    index = torch.from_numpy(source).to(pairs.text.device)
    return replace(pairs, text=pairs.text[index], caption_id=pairs.caption_id[index]), source != rows


@dataclass(frozen=True)
class Neighbours:
    """What is near each pair of the sample as it was; cluster: (n,), caption: (n, k) rows, -1 for none."""

    cluster: Ints
    caption: Ints

    @classmethod
    def of(cls, pairs: Pairs, kinds: Sequence[str], seed: int) -> "Neighbours":
        """Computes what these kinds need."""
        cluster, caption = np.zeros(len(pairs), np.int64), np.full((len(pairs), 1), -1)
        if "topic" in kinds:
            cluster = kmeans(pairs.image, CLUSTERS, seed).cpu().numpy()
        if "near" in kinds:
            k = min(NEAREST, len(pairs))
            found = nearest(pairs.text, pairs.text, k, query_groups=pairs.groups, key_groups=pairs.groups)
            caption = found.index.cpu().numpy()
        return cls(cluster, caption)


def _random(chosen: Ints, groups: Sequence[Ints], near: Neighbours, draw: np.random.Generator) -> Ints:
    return chosen[derange([group[chosen] for group in groups], draw)] if len(chosen) else chosen


def _topic(chosen: Ints, groups: Sequence[Ints], near: Neighbours, draw: np.random.Generator) -> Ints:
    members = {number: np.flatnonzero(near.cluster == number) for number in np.unique(near.cluster)}
    given = chosen.copy()
    for place, row in enumerate(chosen):
        others = members[near.cluster[row]]
        others = others[~is_own(groups, np.full(len(others), row), others)]
        given[place] = draw.choice(others) if len(others) else row
    return given


def _near(chosen: Ints, groups: Sequence[Ints], near: Neighbours, draw: np.random.Generator) -> Ints:
    found = near.caption[chosen]
    count = (found >= 0).sum(axis=1)
    pick = (draw.random(len(chosen)) * count).astype(np.int64)
    return np.where(count > 0, found[np.arange(len(chosen)), pick], chosen)


_DONORS = {"random": _random, "topic": _topic, "near": _near}


def injected(pairs: Pairs, seed: int, made: int = INJECTED) -> dict[str, tuple[Tensor, Tensor]]:
    """Rows of images and of captions of at most `made` mismatches per kind; photo and caption always differ."""
    draw = np.random.default_rng(seed + 3)
    rows = draw.permutation(len(pairs))[:made]
    near = (
        nearest(pairs.text, pairs.text, NEAREST, query_groups=pairs.groups, key_groups=pairs.groups)
        .index.cpu()
        .numpy()[rows]
    )
    topic = kmeans(pairs.image, CLUSTERS, seed).cpu().numpy()
    partners = {
        "random": draw.integers(len(pairs), size=len(rows)),
        "topic": np.array([draw.choice(np.flatnonzero(topic == topic[row])) for row in rows], dtype=np.int64),
        "near": near[np.arange(len(rows)), draw.integers(near.shape[1], size=len(rows))],
    }
    return {kind: _apart(pairs, rows, partner) for kind, partner in partners.items()}


def _apart(pairs: Pairs, rows: npt.NDArray[np.int64], partner: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    images, captions = (torch.from_numpy(part).to(pairs.image.device) for part in (rows, partner))
    good = (captions >= 0) & (pairs.image_id[images] != pairs.image_id[captions])
    good &= pairs.caption_id[images] != pairs.caption_id[captions]
    return images[good], captions[good]

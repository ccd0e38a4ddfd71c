"""What is believed of every labelled pair's class before anything is learnt: what the audit of given classes believes.

Knows unit rows and class tables; nothing of heads, files or losses. The judge of `core/classes/posterior.py` weighs
neighbours and linear models of each modality by how well they foretell given classes; here the neighbours by both
modalities together are one voter more, as both sides are at hand.
"""

import torch
from torch import Tensor

from ncaudit.core.classes.posterior import FEWEST_PAIRS, MOST_CLASSES, Evidence, judge
from ncaudit.core.classes.ridge import principal
from ncaudit.core.classes.sparse import SparseClasses
from ncaudit.core.classes.split import COUNTS, best_count, first_vote, side_by_side
from ncaudit.core.neighbours.self_search import nearest_in_set

BLOCK_ROWS = 65_536  # whose classes are looked through at once


def class_belief(
    image: Tensor, text: Tensor, photo: Tensor, carried: Tensor, *, neighbours: int | None, seed: int = 0
) -> SparseClasses:
    """The chance of each class for each of n pairs, its given ones weighed in: some likeliest classes, on the CPU.

    image: (n, d), text: (n, d') unit rows before training. photo: (n,) int64; a pair of the same photo is no neighbour.
    carried: (n, C) bool, every row with at least one class. neighbours: how many vote, >= 1; None: `best_count`. seed:
    of folds, samples and the search in large sets.
    Fewer than FEWEST_PAIRS photos, or more than MOST_CLASSES classes, cannot be judged: then each pair is believed to
    be what its neighbours by both modalities together vote for.
    Memory beside the rows: 40 bytes per pair for what is returned; while it is made, 4 bytes per dimension of a pair,
    1 KiB for its principal directions and 12 bytes for each of its 300 nearest.
    """
    most = min(max(max(COUNTS), neighbours or 0), max(1, len(image) - 1))
    found = [nearest_in_set(rows, most, [photo], seed=seed) for rows in (image, text, side_by_side(image, text))]
    count = min(neighbours or best_count(found[:2], carried, COUNTS), most)
    if len(torch.unique(photo)) < FEWEST_PAIRS or carried.shape[1] > MOST_CLASSES:
        voted = first_vote(found[2], carried, count)[:, None].cpu()
        return SparseClasses(voted, torch.ones_like(voted, dtype=torch.float16))
    evidence = Evidence(
        as_given(carried),
        carried.shape[1],
        photo.cpu(),
        tuple(near.index.int().cpu() for near in found),
        (principal(image).cpu(), principal(text).cpu()),
    )
    believed = judge(evidence, k=count, seed=seed, believe=True).belief
    assert believed is not None
    return believed


def as_given(carried: Tensor) -> SparseClasses:
    """Classes at equal weight, (n, C) bool to as many places as any row has classes, on the CPU.

    >>> as_given(torch.tensor([[True, False, True], [False, True, False]])).weight
    tensor([[0.5000, 0.5000],
            [1.0000, 0.0000]], dtype=torch.float16)
    """
    held = carried.sum(dim=1, keepdim=True).cpu()
    width = max(1, int(held.max()))
    code = [part.to(torch.int8).topk(width, dim=1).indices.to(torch.int16) for part in torch.split(carried, BLOCK_ROWS)]
    weight = (torch.arange(width) < held) / held.clamp(min=1)
    return SparseClasses(torch.cat(code).cpu(), weight.half())

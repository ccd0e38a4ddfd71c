"""CSLS: a pair's similarity, corrected for how crowded the two neighbourhoods are (hub captions, hub photos).

Knows unit rows, similarities and group ids; nothing of how a bank of competitors was chosen.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ncaudit.core.neighbours.search import KeyBank, Nearest, nearest
from ncaudit.core.parallel import by_rows

FEW = 8  # keys looked at beyond those wanted: the others of a photo's captions, the others of a caption's photos


def crowding(similarity: Tensor) -> Tensor:
    """Mean similarity of the k best competitors, -inf entries (no such competitor) left out.

    similarity: (n, k), as `nearest` returns it. Returns (n,), same unit; nan for a row without any competitor.

    >>> crowding(torch.tensor([[0.5, 0.25], [0.5, -torch.inf]]))
    tensor([0.3750, 0.5000])
    """
    there = similarity.isfinite()
    return similarity.masked_fill(~there, 0).sum(dim=1) / there.sum(dim=1)


def dense_crowding(
    queries: Tensor, keys: Tensor, k: int, *, query_groups: Sequence[Tensor], key_groups: Sequence[Tensor]
) -> Tensor:
    """`crowding` of each query among few keys (some thousand at most), looked up right here; 0 without a competitor.

    queries: (n, d), keys: (m, d) unit rows. Groups as in `nearest`: a key that shares any id with a query is no
    competitor of it. Returns (n,).

    >>> dense_crowding(torch.eye(2), torch.eye(2), 1, query_groups=[torch.tensor([0, 1])], key_groups=[torch.arange(2)])
    tensor([0., 0.])
    """
    return by_rows(lambda rows, *ids: _crowding_among(rows, keys, k, ids, key_groups), queries, *query_groups)


def _crowding_among(
    queries: Tensor, keys: Tensor, k: int, query_groups: Sequence[Tensor], key_groups: Sequence[Tensor]
) -> Tensor:
    similarity, wanted = queries @ keys.T, min(k, len(keys))
    value, index = similarity.topk(min(k + FEW, len(keys)), dim=1)
    best = _without(value, index, query_groups, key_groups).topk(wanted, dim=1).values
    # where groups left too few of the most similar keys, they are looked for among all keys
    rows = (best[:, -1].isinf()).nonzero()[:, 0] if value.shape[1] < len(keys) else index.new_zeros(0)
    if len(rows):
        everybody = torch.arange(len(keys), device=keys.device).expand(len(rows), -1)
        groups = [ids[rows] for ids in query_groups]
        best[rows] = _without(similarity[rows], everybody, groups, key_groups).topk(wanted, dim=1).values
    return crowding(best).nan_to_num(nan=0.0)


def _without(similarity: Tensor, index: Tensor, query_groups: Sequence[Tensor], key_groups: Sequence[Tensor]) -> Tensor:
    """The similarities to keys of these numbers, -inf where a key shares an id with its query."""
    for query_ids, key_ids in zip(query_groups, key_groups, strict=True):
        similarity = similarity.masked_fill(key_ids[index] == query_ids[:, None], -torch.inf)
    return similarity


def csls_score(positive: Tensor, image_crowding: Tensor, text_crowding: Tensor) -> Tensor:
    """2 s_ii - crowding of the image among captions - crowding of the caption among images.

    All (n,), cosines. Returns (n,) in [-4, 4]; higher = more likely to correspond.
    The pair itself, the same photo and the same caption must not be among the competitors: they would hide it.
    CSLS, Conneau et al. 2018, section 2.3, with k = 10.

    >>> csls_score(torch.tensor([0.5]), torch.tensor([0.25]), torch.tensor([0.5]))
    tensor([0.2500])
    """
    return 2 * positive - image_crowding - text_crowding


def csls_among(
    image: Tensor,
    text: Tensor,
    bank: tuple[KeyBank, KeyBank],
    k: int,
    *,
    query_groups: Sequence[Tensor],
    key_groups: Sequence[Tensor],
) -> Tensor:
    """`csls_score` of pairs against a bank's images and captions; crowding counts as 0 where no competitor is left.

    image, text: (n, d) unit rows, row i of both is pair i. bank: prepared images and captions. Groups as in `nearest`.
    Returns (n,) in [-4, 4]; higher = more likely to correspond.
    """
    images, captions = bank
    found = (
        nearest(side, keys, k, query_groups=query_groups, key_groups=key_groups)
        for side, keys in ((image, captions), (text, images))
    )
    return csls_of(image, text, *found)


def csls_of(image: Tensor, text: Tensor, captions: Nearest, images: Nearest) -> Tensor:
    """`csls_among`, of competitors that were looked up: the captions nearest to each image, and the reverse.

    >>> far = Nearest(torch.tensor([[0.25]]), torch.tensor([[0]]))
    >>> csls_of(torch.tensor([[0.6, 0.8]]), torch.tensor([[1.0, 0.0]]), far, far)
    tensor([0.7000])
    """
    crowds = [crowding(one.similarity).nan_to_num(nan=0.0) for one in (captions, images)]
    return csls_score((image * text).sum(dim=1), *crowds)

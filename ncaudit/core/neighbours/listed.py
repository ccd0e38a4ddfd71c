"""Products of rows with a few listed keys each, in float32: the exact look at what a rough pass has found.

Knows rows and numbers of keys; nothing of how these were found or of what the products mean.

Copying the listed keys beside the rows and multiplying costs more than the whole rough product (24 of 40 ms at 512
rows of 512, 26 keys each): most of it is fresh memory. On a CPU torch multiplies in place what a sparse matrix names.
Each product is one sum in one thread, so it does not depend on the other rows, on their number or on the threads.
"""

import warnings
from functools import lru_cache
from threading import Lock

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

_ANNOUNCING = Lock()  # filters of warnings are one list for all threads


def listed_products(rows: Tensor, keys: Tensor, index: Tensor, wanted: Tensor | None = None) -> Tensor:
    """Each row's product with each of its own keys.

    rows: (n, d), keys: (m, d) float32 on one device. index: (n, c) int64 in [0, m). wanted: (n, c) bool; the other
    products are not made, and -inf. Returns (n, c) float32.

    >>> listed_products(torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[0, 1], [1, 1]]))
    tensor([[1., 3.],
            [4., 4.]])
    """
    few = not 0 < index.shape[1] <= len(keys)  # a sparse matrix holds no more numbers than a full one
    if rows.device.type != "cpu" or few or not rows.numel():
        found = (keys[index] * rows[:, None, :]).sum(dim=2)
        return found if wanted is None else found.where(wanted, -torch.inf)
    if wanted is None:
        starts = torch.arange(0, index.numel() + 1, index.shape[1])
        return _sampled(rows, keys, starts, index.flatten()).view(index.shape)
    starts = torch.nn.functional.pad(wanted.sum(dim=1).cumsum(0), (1, 0))
    value = torch.full(index.shape, -torch.inf)
    return value.masked_scatter_(wanted, _sampled(rows, keys, starts, index[wanted]))


def _sampled(rows: Tensor, keys: Tensor, starts: Tensor, column: Tensor) -> Tensor:
    """The products of row i with the keys column[starts[i]:starts[i + 1]]."""
    with _ANNOUNCING:
        _announce_sparse()
    empty, size = rows.new_zeros(len(column)), (len(rows), len(keys))
    # columns may come in any order, and twice: each number is worked out by itself
    wanted = torch.sparse_csr_tensor(starts, column, empty, size, check_invariants=False)
    found: Tensor = torch.sparse.sampled_addmm(wanted, rows, keys.T).values()
    return found


def listed_sums(weight: Tensor, keys: Tensor, index: Tensor) -> Tensor:
    """The weighted sum of each row's own keys: weight, index: (n, c), keys: (m, d). Returns (n, d).

    >>> listed_sums(torch.tensor([[1.0, 0.5]]), torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0, 1]]))
    tensor([[1., 1.]])
    """
    return embedding_bag(index, keys, per_sample_weights=weight, mode="sum")


@lru_cache(maxsize=1)
def _announce_sparse() -> None:
    """Lets torch say once, unheard, that its sparse tensors may change; what they give is tested."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.tensor([1.0]), (1, 1))

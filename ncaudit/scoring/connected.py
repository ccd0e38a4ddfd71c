"""Which nodes of a graph hang together. Knows numbers only; nothing of photos, captions or folds.

scipy's `connected_components` numbers them alike; loading it takes a quarter of a second, more than it computes.
"""

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


def components(left: Ids, right: Ids, count: int) -> Ids:
    """A number per node, equal where a path of edges leads from one to the other, in the order of their first nodes.

    left, right: (e,) nodes, 0 <= node < count, that an edge joins; in any order and direction. Returns (count,) int64.
    Every node points to the least one that it knows of, and those pointers are followed until nothing moves.

    >>> components(np.array([3, 1]), np.array([1, 0]), 5)
    array([0, 0, 1, 0, 2])
    """
    least = np.arange(count)
    while True:
        one, other = least[left], least[right]
        lower = least.copy()
        np.minimum.at(lower, one, other)
        np.minimum.at(lower, other, one)
        lower = lower[lower]
        if np.array_equal(lower, least):
            return np.unique(least, return_inverse=True)[1].astype(np.int64, copy=False)
        least = lower

"""Groups of similar rows (the one file that uses faiss). Knows vectors; nothing of what they stand for."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ncaudit.core.parallel import one_thread_each


def kmeans(x: Tensor, clusters: int, seed: int) -> Tensor:
    """Spherical k-means: which of at most `clusters` directions each row is nearest to.

    x: (n, d) float32, unit rows, any device. clusters: >= 1; with fewer rows than that, as many as there are rows.
    Returns (n,) int64 in [0, clusters) on x's device; the same rows, order and seed give the same numbers.
    Dhillon & Modha 2001, by faiss.

    >>> kmeans(torch.eye(2)[[0, 1, 0, 1]], clusters=2, seed=0).diff().abs()
    tensor([1, 1, 1])
    """
    if len(x) == 0:
        return torch.empty(0, dtype=torch.int64, device=x.device)
    import faiss  # with a linear algebra of its own; small samples are never parted into clusters

    rows = np.ascontiguousarray(x.detach().cpu().numpy(), dtype=np.float32)
    fit = faiss.Kmeans(
        rows.shape[1], min(clusters, len(rows)), niter=20, spherical=True, seed=seed, min_points_per_centroid=1, nredo=3
    )
    with _one_thread(), one_thread_each():  # of several, each would add up its own part, and last bits would differ
        fit.train(rows)
        found = fit.index.search(rows, 1)[1][:, 0]
    return torch.from_numpy(found.astype(np.int64)).to(x.device)


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)

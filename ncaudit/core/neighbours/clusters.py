"""Groups of similar rows (the one file that uses faiss). Knows vectors; nothing of what they stand for."""

import numpy as np
import torch
from torch import Tensor


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
    fit.train(rows)
    return torch.from_numpy(fit.index.search(rows, 1)[1][:, 0].astype(np.int64)).to(x.device)

"""Retrieval metrics of a matcher on a test set. Knows unit rows and which image each caption belongs to; no files."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BLOCK_ENTRIES = 2**24  # similarities held at once: 64 MiB in float32


@dataclass(frozen=True)
class RetrievalMetrics:
    """Recalls in percent (0 to 100), ranks from 1; i2t: an image finds its caption, t2i: a caption finds its image."""

    i2t_r1: float
    i2t_r5: float
    i2t_r10: float
    t2i_r1: float
    t2i_r5: float
    t2i_r10: float
    rsum: float  # the six recalls summed, 0 to 600
    i2t_median_rank: float
    t2i_median_rank: float
    images: int  # images asked about: those with at least one caption
    captions: int


def retrieval_metrics(image: Tensor, text: Tensor, image_of_text: Tensor) -> RetrievalMetrics:
    """Recall at 1, 5, 10 and median rank, both directions.

    image: (images, d), text: (captions, d), float32 unit rows. image_of_text: (captions,) int64, each caption's image.
    An image with several captions is right with any of them; one with none is no query, but still a wrong answer.
    A tie counts against the truth: constant embeddings get the worst rank, not 100 %. Equal photos under two numbers
    are two images. An empty side gives nan.

    >>> retrieval_metrics(torch.eye(20), torch.eye(20), torch.arange(20)).rsum
    600.0
    """
    asked = torch.unique(image_of_text)
    i2t = _image_ranks(image, text, image_of_text, asked)
    t2i = _caption_ranks(image, text, image_of_text)
    recalls = {f"{name}_r{k}": _recall(ranks, k) for name, ranks in (("i2t", i2t), ("t2i", t2i)) for k in (1, 5, 10)}
    return RetrievalMetrics(
        **recalls,
        rsum=sum(recalls.values()),
        i2t_median_rank=_median(i2t),
        t2i_median_rank=_median(t2i),
        images=len(asked),
        captions=len(text),
    )


def _image_ranks(image: Tensor, text: Tensor, image_of_text: Tensor, asked: Tensor) -> Tensor:
    ranks = [asked[:0]]  # of no image there are no ranks
    ranks += [
        _rank_of_best(image[rows] @ text.T, image_of_text[None, :] == rows[:, None])
        for rows in torch.split(asked, _block(len(text)))
        if len(rows)
    ]
    return torch.cat(ranks)


def _caption_ranks(image: Tensor, text: Tensor, image_of_text: Tensor) -> Tensor:
    column = torch.arange(len(image), device=image.device)
    ranks = [image_of_text[:0]]
    ranks += [
        _rank_of_best(text[rows] @ image.T, column[None, :] == image_of_text[rows][:, None])
        for rows in torch.split(torch.arange(len(text), device=text.device), _block(len(image)))
        if len(rows)
    ]
    return torch.cat(ranks)


def _rank_of_best(similarity: Tensor, true: Tensor) -> Tensor:
    best = similarity.masked_fill(~true, -torch.inf).amax(dim=1, keepdim=True)
    return 1 + ((similarity >= best) & ~true).sum(dim=1)


def _block(columns: int) -> int:
    return max(1, BLOCK_ENTRIES // max(1, columns))


def _recall(ranks: Tensor, k: int) -> float:
    return float((ranks <= k).double().mean() * 100)


def _median(ranks: Tensor) -> float:
    return float(np.median(ranks.cpu().numpy())) if len(ranks) else float("nan")

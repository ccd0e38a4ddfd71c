"""P(clean) of pairs from their scores and those of random pairs: for choosing anchors inside a fit, not for users.

The soft label that users read is made by `ncaudit.judging.calibration`, with intervals and strata.
"""

import numpy as np
import torch
from torch import Tensor

from ncaudit.scoring.isotonic import isotonic

QUANTILE = 0.2  # of the random pairs' scores: at the median, clean pairs already count as mismatches


def clean_posterior(observed: Tensor, null: Tensor) -> tuple[Tensor, float]:
    """P(no random-like mismatch) of each observed pair, and the share of mismatches.

    observed: (n,), null: (m,) scores on one scale, higher = likelier to correspond. Without a null all count as clean.
    Returns (n,) float32 in [0, 1] and a rate in [0, 1]. The rate is the share of observed pairs below the null's 20 %
    quantile, divided by .2; P(mismatch | s) = rate * f_null(s) / f_observed(s), the ratio by isotonic regression.
    """
    if not len(null):
        return torch.ones_like(observed, dtype=torch.float32), 0.0
    rate = min(1.0, float((observed < null.quantile(QUANTILE)).double().mean()) / QUANTILE)
    ratio = density_ratio(null, observed, observed, increasing=False)
    return (1 - (rate * ratio).clamp(max=1)).float(), rate


def density_ratio(top: Tensor, bottom: Tensor, at: Tensor, *, increasing: bool) -> Tensor:
    """f_top / f_bottom at the given scores, as a monotone function of the score, from a sample of each.

    top, bottom: (n,), (m,) scores. at: (p,) scores. Returns (p,) float64 in [.001, 999]: isotonic regression of "is of
    the top sample", both samples at equal total weight.
    """
    samples = [sample.double().cpu().numpy() for sample in (top, bottom, at)]
    # ranks: scores closer than the smallest float would come out as nan
    rank = np.unique(np.concatenate(samples), return_inverse=True)[1]
    label = np.concatenate([np.ones(len(top)), np.zeros(len(bottom))])
    weight = np.concatenate([np.full(len(sample), 1 / len(sample)) for sample in samples[:2]])
    fitted = np.interp(rank[len(label) :], *isotonic(rank[: len(label)], label, weight, increasing=increasing))
    share = torch.from_numpy(fitted).clamp(1e-3, 1 - 1e-3).to(at.device)
    return share / (1 - share)

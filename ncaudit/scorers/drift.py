"""drift: the cosine, times how well the way from caption to image agrees with that of similar images (MGCS, AAAI 2026).

In CLIP's space every image lies off its caption by much the same way, the gap between the modalities. A caption that
lies another way off than those of the nearest images is likely wrong. Where an encoder has no such gap, the ways of
right pairs are noise, and the factor is no better.
"""

import torch
from torch import Tensor

from ncaudit.core.correspondence.drift import drift_agreement, drift_score
from ncaudit.core.neighbours.bank import Bank
from ncaudit.core.neighbours.listed import listed_sums
from ncaudit.core.neighbours.search import prepare_keys
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.lookups import Lookups, Way
from ncaudit.scoring.neighbours import neighbours_fit
from ncaudit.scoring.pairs import Pairs

ABOUT = "cosine, weighted by agreement with the modality gap of similar images (MGCS)"
NEEDS_SHARED_SPACE = True
NEIGHBOURS = 5  # of the paper
RECORDED = ("scorer", "fit_pairs", "seed")


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """The bank of neighbours: all pairs of the sample, copies once. Raises NcauditError for a single pair."""
    return neighbours_fit("drift", pairs, {name: getattr(options, name) for name in RECORDED})


def applier(fit: Fit, device: torch.device) -> Applier:
    """score in [-4, 1], higher = likelier: the published product where cosine and factor are positive, else below 0.

    The pair itself, its photo and its caption are no neighbours. Where none is left the score is the cosine.
    """
    bank = Bank.of(fit.tensors, device)
    images, drifts = prepare_keys(bank.image), bank.image - bank.text

    lookups = Lookups()

    def apply(pairs: Pairs) -> PairScores:
        similarity, among = pairs.similarity(), (pairs.groups, bank.groups)
        found = lookups.nearest(Way("drift", "image"), pairs, pairs.image, images, NEIGHBOURS, among)
        agreement = drift_agreement(pairs.image - pairs.text, _means(drifts, found.index))
        return PairScores(score=drift_score(similarity, agreement), similarity=similarity)

    return apply


def _means(drifts: Tensor, index: Tensor) -> Tensor:
    """Mean drift of each row's neighbours, -1 left out: (m, d), (n, k) -> (n, d); zero where there is none."""
    there = (index >= 0).to(drifts.dtype)
    total = listed_sums(there, drifts, index.clamp(min=0))
    return total / there.sum(dim=1, keepdim=True).clamp(min=1)

"""clip-score: the plain cosine of the pair's two embeddings. What everyone has, and what the others must beat."""

import torch

from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.pairs import Pairs

ABOUT = "cosine of image and caption (CLIP score)"
NEEDS_SHARED_SPACE = True
RECORDED = ("scorer",)


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """Nothing is learned: the cosine needs no other pair."""
    return Fit("clip-score", {"scorer": options.scorer})


def applier(fit: Fit, device: torch.device) -> Applier:
    """score = similarity = s_ii in [-1, 1]; higher = likelier. Its soft label is made by calibration."""

    def apply(pairs: Pairs) -> PairScores:
        similarity = pairs.similarity()
        return PairScores(score=similarity, similarity=similarity)

    return apply

"""neg-clip-loss: the cosine less what the softmax over a fixed bank gives to others (Wang et al., NeurIPS 2024).

Minus the loss that CLIP was trained with, in units of cosine: a caption that suits every image gains nothing. The
paper's random blocks are one fixed bank here, so that a score moves neither with N nor with the batch.
"""

import torch

from ncaudit.core.correspondence.contrast import likeliest_scale, log_odds, neg_clip_loss
from ncaudit.core.neighbours.bank import Bank
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.pairs import Pairs, bank_of

ABOUT = "cosine corrected for likely rivals on both sides (negCLIPLoss)"
NEEDS_SHARED_SPACE = True
FEWEST_PAIRS = 20  # fewer rivals say little, and nothing about the temperature
RECORDED = ("scorer", "temperature", "bank_pairs", "fit_pairs", "seed")


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """The bank, and the temperature: the one asked for, or the likeliest. Raises NcauditError below FEWEST_PAIRS."""
    if len(pairs) < FEWEST_PAIRS:
        raise NcauditError(
            f"neg-clip-loss measures pairs against a bank of at least {FEWEST_PAIRS}, and there are {len(pairs)}",
            fix="use --scorer clip-score for so few pairs, or --fit with a fit made on more",
        )
    bank = bank_of(pairs, options.bank_pairs)
    temperature = options.temperature or 1 / likeliest_scale(bank)
    recorded = {name: getattr(options, name) for name in RECORDED}
    return Fit("neg-clip-loss", recorded, bank.tensors(), {"temperature": temperature, "bank_pairs": len(bank)})


def applier(fit: Fit, device: torch.device) -> Applier:
    """score <= 0 in units of cosine, 0 for a pair without rivals; higher = likelier.

    The pair itself counts once, as the paper has it; its photo and its caption are no rivals.
    """
    bank, scale = Bank.of(fit.tensors, device), 1 / float(fit.facts["temperature"])

    def apply(pairs: Pairs) -> PairScores:
        odds = log_odds(pairs.image, pairs.text, pairs.groups, bank, scale=scale)
        return PairScores(score=neg_clip_loss(*odds, scale=scale), similarity=pairs.similarity())

    return apply

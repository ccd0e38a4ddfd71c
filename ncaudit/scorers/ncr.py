"""ncr: the pair's own probability among a fixed bank, and the mixture posterior of its loss (NCR, NeurIPS 2021).

What NCR, CREAM and CRCL label their training pairs with, post hoc: no network is trained, the embeddings are given.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from ncaudit.core.correspondence.contrast import likeliest_scale, log_odds, self_label_loss
from ncaudit.core.neighbours.bank import Bank
from ncaudit.core.statistics.mixture import Mixture, clean_probability, fit_mixture
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.pairs import Pairs, bank_of

ABOUT = "softmax probability of the pair, with its mixture posterior (NCR)"
NEEDS_SHARED_SPACE = True
FEWEST_PAIRS = 20  # a two-component mixture on fewer losses says nothing
RECORDED = ("scorer", "temperature", "mixture", "bank_pairs", "fit_pairs", "seed")


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """Bank, temperature, and the mixture of the sample's losses. Raises NcauditError below FEWEST_PAIRS pairs."""
    if len(pairs) < FEWEST_PAIRS:
        raise NcauditError(
            f"ncr fits a mixture to the pairs' losses and needs at least {FEWEST_PAIRS} pairs, not {len(pairs)}",
            fix="use --scorer clip-score for so few pairs, or --fit with a fit made on more",
        )
    bank = bank_of(pairs, options.bank_pairs)
    scale = 1 / options.temperature if options.temperature else likeliest_scale(bank)
    loss = self_label_loss(*log_odds(pairs.image, pairs.text, pairs.groups, bank, scale=scale))
    facts = {
        "temperature": 1 / scale,
        "bank_pairs": len(bank),
        "mixture": asdict(fit_mixture(loss, options.mixture.value)),
        "fitted_on": len(pairs),
    }
    return Fit("ncr", {name: getattr(options, name) for name in RECORDED}, bank.tensors(), facts)


def applier(fit: Fit, device: torch.device) -> Applier:
    """score = minus the loss, <= 0, higher = likelier; clean_probability = the posterior, which saturates near 0 and 1.

    0 and the highest posterior for a pair without rivals.
    """
    bank, scale = Bank.of(fit.tensors, device), 1 / float(fit.facts["temperature"])
    mixture = _mixture_of(fit.facts["mixture"])

    def apply(pairs: Pairs) -> PairScores:
        loss = self_label_loss(*log_odds(pairs.image, pairs.text, pairs.groups, bank, scale=scale))
        clean = clean_probability(mixture, loss)
        return PairScores(score=-loss, similarity=pairs.similarity(), clean_probability=clean)

    return apply


def _mixture_of(facts: Mapping[str, Any]) -> Mixture:
    """The mixture again, from facts that a file may have turned into lists."""
    low, high = facts["parameters"]
    return Mixture(**{**facts, "weights": tuple(facts["weights"]), "parameters": (tuple(low), tuple(high))})

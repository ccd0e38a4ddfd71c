"""lemon: the pair's distance, plus how badly it fits its neighbourhood on both sides (LEMoN, ICML 2025).

If the images near this image have captions far from this caption, the caption is likely wrong; and the reverse. A
neighbour whose own image and caption lie far apart counts less.
"""

import torch
from torch import Tensor

from ncaudit.core.correspondence.neighbourhood import neighbourhood_distance
from ncaudit.core.neighbours.bank import Bank
from ncaudit.core.neighbours.listed import listed_products
from ncaudit.core.neighbours.search import KeyBank, prepare_keys
from ncaudit.core.parallel import by_rows
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.lookups import Lookups, Way
from ncaudit.scoring.neighbours import neighbours_fit
from ncaudit.scoring.pairs import Pairs

ABOUT = "distance to the caption and to the neighbours' captions and images (LEMoN)"
NEEDS_SHARED_SPACE = True
# the paper's fixed setting, for data without labels to tune on
NEIGHBOURS = 30  # k
WEIGHT = 5.0  # β = γ, of the neighbourhood terms against the pair's own distance
NEARNESS = 0.1  # τ1: how fast far neighbours lose weight
TRUST = 5.0  # τ2: how fast neighbours that do not match themselves lose weight
RECORDED = ("scorer", "fit_pairs", "seed")


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """The bank of neighbours: all pairs of the sample, copies once. Raises NcauditError for a single pair."""
    return neighbours_fit("lemon", pairs, {name: getattr(options, name) for name in RECORDED})


def applier(fit: Fit, device: torch.device) -> Applier:
    """score = minus LEMoN's distance, in [-22, 0]; higher = likelier.

    The pair itself, its photo and its caption are no neighbours. Where none is left a neighbourhood's distance is 0.
    """
    bank = Bank.of(fit.tensors, device)
    images, texts = prepare_keys(bank.image), prepare_keys(bank.text)
    matching = torch.einsum("md,md->m", bank.image, bank.text)

    lookups = Lookups()

    def term(side: str, own: Tensor, other: Tensor, pairs: Pairs, own_keys: KeyBank, other_keys: KeyBank) -> Tensor:
        among = (pairs.groups, bank.groups)
        found = lookups.nearest(Way("lemon", side), pairs, own, own_keys, NEIGHBOURS, among)
        index = found.index.clamp(min=0)
        across = by_rows(lambda rows, named: listed_products(rows, other_keys.keys, named), other, index)
        return neighbourhood_distance(found.similarity, across, matching[index], nearness=NEARNESS, trust=TRUST)

    def apply(pairs: Pairs) -> PairScores:
        similarity = pairs.similarity()
        by_image = term("image", pairs.image, pairs.text, pairs, images, texts)
        by_text = term("text", pairs.text, pairs.image, pairs, texts, images)
        return PairScores(score=-((1 - similarity) + WEIGHT * (by_image + by_text)), similarity=similarity)

    return apply

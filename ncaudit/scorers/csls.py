"""csls: the cosine less the crowding of both neighbourhoods, so that hub captions ("image of …") gain nothing.

Conneau et al. 2018, section 2.3 (CSLS); negCLIPLoss (NeurIPS 2024) is its soft relative.
"""

import torch

from ncaudit.core.correspondence.csls import csls_of
from ncaudit.core.neighbours.search import prepare_keys
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.lookups import Lookups, Way
from ncaudit.scoring.pairs import Pairs

ABOUT = "cosine corrected for hub images and captions (CSLS)"
NEEDS_SHARED_SPACE = True

RECORDED = ("scorer", "csls_k", "fit_pairs", "seed")


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """The bank of competitors: all pairs of the fitting sample, so that a score does not move with N."""
    if len(pairs) < 2:
        raise NcauditError(
            f"csls compares pairs with each other, and there is {len(pairs)}", fix="use --scorer clip-score"
        )
    tensors = {
        "bank_image": pairs.image.half(),
        "bank_text": pairs.text.half(),
        "bank_image_id": pairs.image_id,
        "bank_caption_id": pairs.caption_id,
    }
    recorded = {name: getattr(options, name) for name in RECORDED}
    return Fit("csls", recorded, tensors, {"bank_pairs": len(pairs)})


def applier(fit: Fit, device: torch.device) -> Applier:
    """score = 2 s_ii - mean of the k best s in row i - the same in column i, in [-4, 4]; higher = likelier.

    The pair itself, its photo and its caption are no competitors. Where none is left the crowding counts as 0.
    """
    tensors = {name: tensor.to(device) for name, tensor in fit.tensors.items()}
    images, texts = prepare_keys(tensors["bank_image"].float()), prepare_keys(tensors["bank_text"].float())
    groups = [tensors["bank_image_id"], tensors["bank_caption_id"]]
    k = int(fit.options["csls_k"])

    lookups = Lookups()

    def apply(pairs: Pairs) -> PairScores:
        among = (pairs.groups, groups)
        captions = lookups.nearest(Way("csls", "image"), pairs, pairs.image, texts, k, among)
        others = lookups.nearest(Way("csls", "text"), pairs, pairs.text, images, k, among)
        score = csls_of(pairs.image, pairs.text, captions, others)
        return PairScores(score=score, similarity=pairs.similarity())

    return apply

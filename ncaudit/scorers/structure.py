"""structure: does the caption lie among the captions as its image lies among the images? (GSC, CVPR 2024)

Image i is described by its similarities to a fixed bank's images, its caption by those to the same pairs' captions; the
score is the correlation of the two rows. Images are never compared with captions: two unrelated encoders will do.
"""

import torch
from torch import Tensor

from ncaudit.core.neighbours.bank import Bank, row_blocks, strangers
from ncaudit.core.parallel import in_parallel
from ncaudit.core.statistics.correlation import row_correlation, row_ranks
from ncaudit.errors import NcauditError
from ncaudit.options import Correlation, ScorerOptions
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.pairs import Pairs, bank_of

ABOUT = "same neighbourhood among images as among captions, for any two encoders (GSC)"
NEEDS_SHARED_SPACE = False
FEWEST_PAIRS = 20  # a correlation over fewer is mostly chance: its standard error is about 1 / sqrt(bank pairs)
RECORDED = ("scorer", "correlation", "bank_pairs", "fit_pairs", "seed")


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """The bank: the first `bank_pairs` different pairs of the sample. Raises NcauditError below FEWEST_PAIRS pairs."""
    if len(pairs) < FEWEST_PAIRS:
        raise NcauditError(
            f"structure correlates similarities to a bank of at least {FEWEST_PAIRS} pairs, and there are {len(pairs)}",
            fix="give more pairs, or --fit with a fit made on more; --scorer clip-score needs a shared space only",
        )
    bank = bank_of(pairs, options.bank_pairs)
    recorded = {name: getattr(options, name) for name in RECORDED}
    return Fit("structure", recorded, bank.tensors(), {"bank_pairs": len(bank)})


def applier(fit: Fit, device: torch.device) -> Applier:
    """score in [-1, 1], higher = likelier; similarity is nan where the two widths differ.

    Bank entries of the pair's own photo or caption are left out of both rows; 0 where that leaves nothing to correlate.
    """
    bank, by_rank = Bank.of(fit.tensors, device), Correlation(fit.options["correlation"]) is Correlation.spearman

    def score(image: Tensor, text: Tensor, groups: list[Tensor]) -> Tensor:
        among_images, among_captions = image @ bank.image.T, text @ bank.text.T
        allowed = strangers(groups, bank.groups)
        if by_rank:
            among_images, among_captions = row_ranks(among_images, allowed), row_ranks(among_captions, allowed)
        return row_correlation(among_images, among_captions, allowed)

    def apply(pairs: Pairs) -> PairScores:
        blocks = row_blocks(len(pairs), len(bank))
        parts = in_parallel(
            lambda rows: score(pairs.image[rows], pairs.text[rows], [ids[rows] for ids in pairs.groups]), blocks
        )
        return PairScores(score=torch.cat(parts), similarity=pairs.similarity())

    return apply

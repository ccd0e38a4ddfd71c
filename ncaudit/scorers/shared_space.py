"""Do the two embeddings share a space at all? Asked before any cosine between them is believed."""

import math
from dataclasses import dataclass

import torch

from ncaudit.core.detection import auroc
from ncaudit.errors import NcauditError
from ncaudit.scorers.pairs import Pairs

FEWEST_PAIRS = 20  # below that, chance alone can hide a shared space
STANDARD_ERRORS = 3.0


@dataclass(frozen=True)
class SpaceCheck:
    """AUROC of observed against random pairs by their cosine, and its standard error at chance."""

    auroc: float
    standard_error: float

    @property
    def shared(self) -> bool:
        """Whether observed pairs are more similar than random ones beyond chance."""
        return self.auroc > 0.5 + STANDARD_ERRORS * self.standard_error


def check(pairs: Pairs) -> SpaceCheck:
    """Compare each observed cosine with that of the same image and another pair's caption.

    Random pairs that happen to share the photo or the caption are left out of both sides.
    """
    other = torch.arange(len(pairs), device=pairs.image.device).roll(1)
    random = (pairs.image * pairs.text[other]).sum(dim=1)
    real = (pairs.image_id != pairs.image_id[other]) & (pairs.caption_id != pairs.caption_id[other])
    score = torch.cat([pairs.similarity()[real], random[real]])
    observed = torch.arange(len(score), device=score.device) < len(score) // 2
    n = max(1, int(real.sum()))
    return SpaceCheck(auroc(score, observed), math.sqrt((2 * n + 1) / (12 * n * n)))


def require(pairs: Pairs) -> None:
    """Raises NcauditError when the widths differ, or when observed pairs score no better than random ones."""
    image_dims, text_dims = pairs.image.shape[1], pairs.text.shape[1]
    if image_dims != text_dims:
        raise NcauditError(
            f"image_embedding has {image_dims} dimensions and text_embedding {text_dims}: they share no space",
            fix="embed both sides with one image-text model (ncaudit embed)",
        )
    if len(pairs) < FEWEST_PAIRS:
        return
    found = check(pairs)
    if not found.shared:
        raise NcauditError(
            f"the pairs are no more similar than random ones (AUROC {found.auroc:.3f} over {len(pairs):,} pairs, "
            f"chance .5 ± {found.standard_error:.3f}): the two embeddings share no space, or every caption is wrong",
            fix="embed both sides with one image-text model, and check that the rows of both belong together",
        )

"""Do the two embeddings share a space at all? Asked before any cosine between them is believed."""

import math
from dataclasses import dataclass

import torch

from ncaudit.core.metrics.detection import auroc
from ncaudit.errors import NcauditError
from ncaudit.options import Align
from ncaudit.scoring.pairs import Pairs

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


def require_widths(pairs: Pairs, who: str) -> None:
    """Raises NcauditError when image and caption differ in width, so that `who` cannot compare them."""
    image_dims, text_dims = pairs.image.shape[1], pairs.text.shape[1]
    if image_dims != text_dims:
        raise NcauditError(
            f"image_embedding has {image_dims} dimensions and text_embedding {text_dims}: they share no space, "
            f"and {who} compares them in one",
            fix="use --scorer bicro (with --align auto it learns a common space) or structure, or embed both sides "
            "with one image-text model",
        )


def shares_space(pairs: Pairs, align: Align) -> bool:
    """Whether to compare the embeddings as they are; else a common space has to be learned.

    `auto` asks `check`: two encoders may have the same width by accident.
    Raises NcauditError for two widths with `none`.
    """
    if align is Align.none:
        require_widths(pairs, "--align none")
    if align is Align.cca or pairs.image.shape[1] != pairs.text.shape[1]:
        return False
    return align is Align.none or len(pairs) < FEWEST_PAIRS or check(pairs).shared


def warning(pairs: Pairs) -> str | None:
    """What to say when the cosine tells observed pairs from random ones no better than chance; None when it does."""
    if pairs.image.shape[1] != pairs.text.shape[1] or len(pairs) < FEWEST_PAIRS:
        return None
    found = check(pairs)
    if found.shared:
        return None
    return (
        f"by cosine the pairs are no more similar than random ones (AUROC {found.auroc:.3f} over {len(pairs):,} pairs, "
        f"chance .5 ± {found.standard_error:.3f}): the embeddings share no space, or nearly every caption is wrong"
    )

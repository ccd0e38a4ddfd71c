"""Do the two embeddings share a space at all? Asked before any cosine between them is believed.

Knows pairs and their cosines; nothing of how a space is learned where they share none.
"""

import torch

from ncaudit.core.statistics.signal import Signal, signal
from ncaudit.errors import NcauditError
from ncaudit.options import Align
from ncaudit.scoring.pairs import Pairs, random_partners

PAIRS = 8_192  # that are looked at: among them 3 % of right pairs are seen
RANDOM_PAIRS = 16_384  # wanted; at least one per pair, at most MOST_DRAWS
MOST_DRAWS = 8


def check(pairs: Pairs) -> Signal | None:
    """Whether observed pairs are more similar than random ones, by their cosine; None where the widths differ.

    pairs: in random order. Each modality's mean is subtracted first: a caption that is like all images, or an image
    like all captions, says nothing of its pair and hides what the pair says.
    """
    if pairs.image.shape[1] != pairs.text.shape[1]:
        return None
    few = pairs.head(PAIRS)
    image, text = few.image - few.image.mean(dim=0), few.text - few.text.mean(dim=0)
    draws = max(1, min(MOST_DRAWS, RANDOM_PAIRS // max(1, len(few))))
    images, captions = random_partners(few, torch.zeros_like(few.image_id), draws=draws, seed=0)
    observed, null = (image * text).sum(dim=1), (image[images] * text[captions]).sum(dim=1)
    photo = few.image_id
    return signal(*(part.double().cpu().numpy() for part in (observed, null, photo, photo[images])))


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
    return align is Align.none or shared(pairs)


def shared(pairs: Pairs) -> bool:
    """Whether the cosine of a pair may be believed."""
    return cosine_may_tell(check(pairs))


def cosine_may_tell(found: Signal | None) -> bool:
    """Whether to believe the cosine: unless it was seen to tell nothing, by pairs enough to see it."""
    return found is not None and (found.found or found.too_few)


def warning(found: Signal | None) -> str | None:
    """What to say when the cosine tells observed pairs from random ones no better than chance; None when it may."""
    if found is None or cosine_may_tell(found):
        return None
    return (
        f"by cosine the pairs are no more similar than random ones (AUROC {found.auroc:.3f} over {found.pairs:,} pairs,"
        " where chance is .5): the embeddings share no space"
    )

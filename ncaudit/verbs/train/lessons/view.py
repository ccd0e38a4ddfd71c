"""Training pairs as a network sees them now: projected, in blocks, with their identities.

Knows heads and pairs at hand; nothing of what the rows are wanted for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.steps.batch import Batch
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch

ROWS = 8_192  # projected at once
Places = npt.NDArray[np.int64]


@torch.no_grad()
def seen_by(heads: Heads, batch: Batch) -> Pairs:
    """The pairs' unit rows in the heads' space, on the heads' device."""
    batch = batch.to(heads.logit_scale.device)
    return as_pairs(replace(batch, image=heads.image(batch.image), text=heads.text(batch.text)))


def as_pairs(batch: Batch) -> Pairs:
    """A batch of embeddings as a scorer sees it; the pairs have no names."""
    return Pairs(batch.image, batch.text, batch.photo, batch.caption, [""] * len(batch))


def blocks_seen_by(heads: Heads, pairs: EmbeddedPairs, places: Places) -> Iterator[Pairs]:
    """The pairs at `places`, in that order, some thousands at a time."""
    for first in range(0, len(places), ROWS):
        yield seen_by(heads, as_batch(pairs.take(places[first : first + ROWS])))


def joined(blocks: Sequence[Pairs]) -> Pairs:
    """All of the blocks' pairs, without names."""
    image, text, photo, caption = (
        torch.cat([getattr(block, name) for block in blocks]) for name in ("image", "text", "image_id", "caption_id")
    )
    return Pairs(image, text, photo, caption, [""] * len(image))


def identities(pairs: EmbeddedPairs) -> Pairs:
    """Photo and caption of every pair, without embeddings."""
    blocks = [pairs.take(np.arange(first, min(first + ROWS, len(pairs)))) for first in range(0, len(pairs), ROWS)]
    photo, caption = (
        torch.from_numpy(np.concatenate([block[name] for block in blocks])) for name in ("photo", "caption")
    )
    return Pairs(torch.empty(len(pairs), 0), torch.empty(len(pairs), 0), photo, caption, [""] * len(pairs))

"""Which pair's caption each pair gets: of any other, of one on the same topic, or one of the nearest.

Knows embeddings and photos in memory; nothing of files. The same mismatches as `score` makes to tell what it would see.
"""

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.judging.mismatches import Neighbours, swapped
from ncaudit.scoring.pairs import Pairs

KINDS = ("random", "topic", "near")
RATES = (0.2, 0.4, 0.6, 0.8)
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def source(image: Floats, text: Floats, photo: Ints, kind: str, rate: float, seed: int) -> Ints:
    """(n,) the pair whose caption each pair gets: its own for all but a share `rate`.

    image, text: unit rows of the pairs without noise. photo: (n,), equal where it is the same photo.
    """
    pairs = Pairs(
        torch.from_numpy(image), torch.from_numpy(text), torch.from_numpy(photo), torch.arange(len(photo)),
        [""] * len(photo),
    )  # fmt: skip
    near = Neighbours.of(pairs, [kind], seed)
    moved, _ = swapped(pairs, kind, rate, seed, near)
    return moved.caption_id.numpy()  # captions are numbered by the pair that they are of

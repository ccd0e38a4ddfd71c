"""How each test photo fares, so that two matchers can be compared photo by photo. Knows unit rows; nothing of files."""

import base64
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recalls:
    """(n,) of the test photos, in percent. r1: recall at 1; six: the mean of both directions' recall at 1, 5 and 10.

    Both are means over a photo's two directions, and of its captions; nan for a photo that was not asked about.
    """

    r1: Floats
    six: Floats

    def packed(self) -> dict[str, str]:
        """As a line of JSON can hold it."""
        return {name: _packed(value) for name, value in vars(self).items()}

    @classmethod
    def unpacked(cls, told: dict[str, str]) -> "Recalls":
        """What `packed` gave."""
        return cls(**{name: np.frombuffer(zlib.decompress(base64.b64decode(told[name])), "<f4") for name in told})


def recalls(image: Tensor, text: Tensor, photo: Tensor) -> Recalls:
    """image: (p, d), text: (c, d) unit rows; photo: (c,) the row of each caption's photo, each of the p at least once.

    A tie counts against the truth, as `eval retrieval` has it.
    """
    similarity = image @ text.T
    own = photo[None, :] == torch.arange(len(image))[:, None]
    best = similarity.masked_fill(~own, -torch.inf).amax(dim=1, keepdim=True)
    of_image = 1 + ((similarity >= best) & ~own).sum(dim=1)
    of_text = (similarity >= similarity[photo, torch.arange(len(text))][None, :]).sum(dim=0)
    count = torch.bincount(photo, minlength=len(image)).double()
    found = {}
    for k in (1, 5, 10):
        hits = torch.zeros(len(image), dtype=torch.double).index_add_(0, photo, (of_text <= k).double())
        found[k] = 50 * ((of_image <= k).double() + hits / count)
    six = (found[1] + found[5] + found[10]) / 3
    return Recalls(found[1].float().numpy(), six.float().numpy())


def _packed(values: Floats) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values, "<f4").tobytes(), 9)).decode()

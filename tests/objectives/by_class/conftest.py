"""One batch of pairs with classes, which all tests of class objectives share."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.classes.votes import UNLABELLED
from ncaudit.core.losses.class_losses import ClassTargets

PAIRS, CLASSES, DIMS = 8, 4, 5


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, ClassTargets, Tensor]:
    """Rows of both sides, pairs of every part with one or two classes, the last without any, and a mask."""
    draw = torch.Generator().manual_seed(0)
    image, text, centres = (
        normalize(torch.randn(n, DIMS, dtype=torch.float64, generator=draw), dim=1) for n in (PAIRS, PAIRS, CLASSES)
    )
    carried = torch.eye(CLASSES, dtype=torch.bool)[torch.arange(PAIRS) % CLASSES]
    carried[3, 0], carried[-1] = True, False
    part = torch.tensor([0, 1, 2, 0, 1, 2, 0, UNLABELLED], dtype=torch.int8)
    voted = torch.randint(CLASSES, (PAIRS,), generator=draw)
    trust = torch.rand(PAIRS, dtype=torch.float64, generator=draw)
    allowed = torch.rand(PAIRS, PAIRS, generator=draw) > 0.2
    return image, text, ClassTargets(carried, part, voted, trust, centres), allowed

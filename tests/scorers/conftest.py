"""Two views of one hidden world, of any widths: what a learned common space is tested on."""

from collections.abc import Callable

import pytest
import torch
from torch.nn.functional import normalize

from ncaudit.scoring.pairs import Pairs

World = Callable[..., tuple[Pairs, torch.Tensor]]


@pytest.fixture(scope="session")
def latent_world() -> World:
    """`latent_world(photos, captions=1, wrong=.3, …)` gives the pairs in random order, and which of them are clean."""

    def world(
        photos: int,
        *,
        captions: int = 1,
        wrong: float = 0.0,
        dims: tuple[int, int] = (24, 16),
        latent: int = 8,
        noise: float = 0.5,
        shared: bool = False,
        seed: int = 0,
    ) -> tuple[Pairs, torch.Tensor]:
        draw = torch.Generator().manual_seed(seed)
        hidden = torch.randn(photos, latent, generator=draw)
        views = [torch.randn(latent, width, generator=draw) for width in dims]
        photo, n = torch.arange(photos).repeat_interleave(captions), photos * captions
        image = hidden @ views[0] + noise * torch.randn(photos, dims[0], generator=draw)
        text = hidden[photo] @ views[0 if shared else 1] + noise * torch.randn(n, dims[1], generator=draw)
        order = torch.randperm(n, generator=draw)
        caption = torch.arange(n)
        swapped = order[: int(wrong * n)]
        caption[swapped] = swapped.roll(1)
        shown = torch.randperm(n, generator=draw)
        photo, caption = photo[shown], caption[shown]
        pairs = Pairs(normalize(image, dim=1)[photo], normalize(text, dim=1)[caption], photo, caption, names(n))
        return pairs, caption // captions == photo

    return world


def names(n: int) -> list[str]:
    return [f"p{i}" for i in range(n)]

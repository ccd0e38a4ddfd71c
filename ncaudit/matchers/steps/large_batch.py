"""A batch larger than the memory: its loss and gradients with the graph of one chunk at a time.

Knows encode functions, chunks and a loss of the whole batch; nothing of what is encoded. A contrastive loss is not the
sum of its chunks' losses, so plain accumulation would train on smaller batches. Here embeddings are cached without
graph, the loss of all of them gives each embedding its gradient, and every chunk is then encoded again, with graph, to
carry these to the weights: Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup".
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Chunk = TypeVar("Chunk")


def backward_in_chunks(
    chunks: Sequence[Chunk],
    encode: Callable[[Chunk], tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    device: torch.device,
) -> Tensor:
    """Add to every weight the gradient of `loss(*encode(whole batch))`; the graph of one chunk exists at a time.

    chunks: the batch in order, one at least. encode: a chunk of m pairs to (m, d) image and text rows; called twice,
    and both calls see the same dropout. loss: of the (n, d) rows of all chunks; one number. device: where `encode`
    draws its random numbers. Returns the loss, without graph. Each row's embedding must depend on its own chunk only
    through itself: BatchNorm that learns its statistics gives another result than one large batch.
    """
    seen = []
    with torch.no_grad():
        for chunk in chunks:
            seen.append((RandomState.now(device), *encode(chunk)))
    _, *columns = zip(*seen, strict=True)
    image, text = (torch.cat(column).requires_grad_() for column in columns)
    value = loss(image, text)
    value.backward()  # type: ignore[no-untyped-call]
    sizes = [len(rows) for rows in columns[0]]
    for chunk, (state, *_), *gradients in zip(
        chunks, seen, *(_split(rows, sizes) for rows in (image, text)), strict=True
    ):
        with state.again():
            encoded = encode(chunk)
        torch.autograd.backward(encoded, gradients)
    return value.detach()


@dataclass(frozen=True)
class RandomState:
    """Where the random numbers of the CPU and of one device stand."""

    cpu: Tensor
    cuda: Tensor | None
    device: torch.device

    @classmethod
    def now(cls, device: torch.device) -> "RandomState":
        """The state at this moment."""
        cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return cls(torch.get_rng_state(), cuda, device)

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draw the same numbers once more; afterwards the state is what it was before the block."""
        before = RandomState.now(self.device)
        self._set()
        try:
            yield
        finally:
            before._set()

    def _set(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda is not None:
            torch.cuda.set_rng_state(self.cuda, self.device)


def _split(rows: Tensor, sizes: list[int]) -> Sequence[Tensor]:
    gradient = torch.zeros_like(rows) if rows.grad is None else rows.grad  # a loss may look at one side only
    return torch.split(gradient, sizes)

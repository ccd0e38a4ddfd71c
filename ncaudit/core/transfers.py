"""Copies between the host's memory and a device's that run beside what the device computes.

Knows tensors and CUDA's streams; nothing of what is copied. On any other device these are plain copies, with the same
numbers: whoever uses them need not know where it runs.

A copy that nobody waits for needs host memory that stays where it is (pinned). torch keeps such memory until its copies
are over, and gives it out again: a batch may be let go of at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T")


def staged(rows: Sequence[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Arrays of one shape as one batch in host memory, uint8, ready to be sent to the device.

    >>> staged([np.zeros(2, np.uint8), np.ones(2, np.uint8)], torch.device("cpu"))
    tensor([[0, 0],
            [1, 1]], dtype=torch.uint8)
    """
    batch = torch.empty(len(rows), *rows[0].shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    np.stack(rows, out=batch.numpy())
    return batch


def sent(batch: Tensor, device: torch.device) -> Tensor:
    """The batch on the device. From the host to a GPU it travels while earlier batches are computed.

    >>> sent(torch.ones(2), torch.device("cpu"))
    tensor([1., 1.])
    """
    if device.type != "cuda" or batch.device.type != "cpu":
        return batch.to(device)
    waiting = batch if batch.is_pinned() else batch.pin_memory()
    beside, computing = _beside(device), torch.cuda.current_stream(device)
    with torch.cuda.stream(beside):
        there = waiting.to(device, non_blocking=True)
    computing.wait_stream(beside)
    there.record_stream(computing)  # made for one stream, used by another: not to be given out before both are done
    return there


class Fetched:
    """A tensor on its way to the host: what computes it need not be over before more is asked of the device."""

    def __init__(self, rows: Tensor) -> None:
        self._done: torch.cuda.Event | None = None
        if rows.device.type != "cuda":
            self._rows = rows.cpu()
            return
        self._rows = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
        self._rows.copy_(rows, non_blocking=True)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done.record(torch.cuda.current_stream(rows.device))

    def wait(self) -> Tensor:
        """The tensor on the CPU, an ordinary one: those of inference mode refuse to be changed or trained on.

        >>> Fetched(torch.ones(1)).wait()
        tensor([1.])
        """
        if self._done is not None:
            self._done.synchronize()
        return self._rows.clone()


def one_behind(items: Iterable[T]) -> Iterator[T]:
    """The same items, each handed on when the next one has been made: while the device computes one, ask for another.

    >>> list(one_behind("abc"))
    ['a', 'b', 'c']
    """
    held = list[T]()
    for item in items:
        held.append(item)
        if len(held) > 1:
            yield held.pop(0)
    yield from held


@lru_cache
def _beside(device: torch.device) -> torch.cuda.Stream:
    """The stream of all copies to this device."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

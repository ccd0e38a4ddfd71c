"""Several processes that do one command's work together, as `torchrun` starts them.

Knows the environment that torchrun sets and how ranks wait for one another; nothing of the work. Imports torch only
when there are several ranks or a group to ask for, so that the CLI may ask which rank it is.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from ncaudit.errors import NcauditError

PATIENCE = timedelta(hours=2)  # the others wait while the first validates or writes; a dead rank is torchrun's business
Value = TypeVar("Value")


class ToldByFirst(NcauditError):
    """What ended the first rank, too; the first tells it, so that the user reads it once."""


@dataclass(frozen=True)
class Ranks:
    """One of `count` processes: `rank` among all, `local` among the `local_count` of this machine, both from 0."""

    rank: int = 0
    count: int = 1
    local: int = 0
    local_count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def share(self, batch_pairs: int) -> slice:
        """This rank's rows of a batch. batch_pairs: of all ranks together, divisible by their count.

        >>> Ranks(rank=1, count=2).share(8)
        slice(4, 8, None)
        """
        own = batch_pairs // self.count
        return slice(self.rank * own, (self.rank + 1) * own)

    def on_first(self, work: Callable[[], Value]) -> Value:
        """What `work` gives on the first rank, on all ranks; the others wait.

        Its NcauditError is raised there, and as ToldByFirst on the others.
        """
        if self.count == 1:
            return work()
        value, error = _attempt(work) if self.is_first else (None, None)
        box: list[object] = [value, error]
        _distributed().broadcast_object_list(box, src=0)
        if isinstance(box[1], NcauditError):
            raise self.told(error or box[1])
        return cast(Value, box[0])

    def together(self, work: Callable[[], Value]) -> Value:
        """What `work`, which waits for no other rank, gives here; an NcauditError of any rank ends all.

        The first that failed is told once.
        """
        if self.count == 1:
            return work()
        value, error = _attempt(work)
        errors: list[NcauditError | None] = [None] * self.count
        _distributed().all_gather_object(errors, error)
        for told in errors:
            if told is not None:
                raise self.told(told)
        return cast(Value, value)

    def told(self, error: NcauditError) -> NcauditError:
        """What to raise for an error that every rank meets at once: itself on the first rank, else ToldByFirst."""
        return error if self.is_first else ToldByFirst(error.message, fix=error.fix)


ALONE = Ranks()


def launched(environment: Mapping[str, str] = os.environ) -> Ranks:
    """Which rank this process is; ALONE where torchrun did not start it.

    >>> launched({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
    Ranks(rank=3, count=4, local=1, local_count=2)
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if not all(name in environment for name in names):
        return ALONE
    return Ranks(*(int(environment[name]) for name in names))


@contextmanager
def joined(ranks: Ranks, *, cuda: bool) -> Iterator[None]:
    """Within the block the ranks can exchange tensors and wait for one another. cuda: they compute on GPUs."""
    if ranks.count == 1:
        yield
        return
    # words and waiting go through gloo in any case: NCCL would hold the GPU while the first rank validates
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    _distributed().init_process_group(backend, timeout=PATIENCE)
    try:
        yield
    finally:
        _distributed().destroy_process_group()


def _attempt(work: Callable[[], Value]) -> tuple[Value | None, NcauditError | None]:
    try:
        return work(), None
    except NcauditError as error:
        return None, error


def _distributed() -> Any:
    from torch import distributed  # torch takes seconds to import; the CLI asks for the rank before

    return distributed

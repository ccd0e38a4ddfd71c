"""How many threads what is loaded may use while a command computes: torch, BLAS, faiss, arrow and decoders share them.

Knows the budget, and the libraries that have threads of their own; nothing of what is computed. What is set here is of
the block, and then as it was: a notebook has numbers of its own.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pyarrow as pa

from ncaudit import budget


@contextmanager
def computing(asked: int | None, *, exact: bool = False) -> Iterator[None]:
    """Within the block so many threads compute. asked: --threads, or None.

    exact: in fixed parts, each in one thread, so that numbers are the same for any number of threads; else torch and
    BLAS deal sums to their threads as they do. Torch is not loaded for it.
    """
    threads = budget.threads(asked)
    with ExitStack() as stack:
        # files are waited for by threads of another pool, which take no core: a store far away needs several
        stack.callback(pa.set_cpu_count, pa.cpu_count())
        pa.set_cpu_count(threads)
        if "torch" in sys.modules:
            from ncaudit.core import parallel

            stack.enter_context(parallel.spread(threads) if exact else parallel.together(threads))
        yield

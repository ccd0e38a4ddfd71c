"""The life of one worker process: set up once, then shard after shard, until its input ends.

Knows the lines of JSON that it exchanges with `workers.py`; nothing of what is done with a shard. Each line that comes
in is an order: first what to set up, then a shard at a time. What goes out is what became of each, and progress.
"""

import _thread
import json
import os
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import IO, Any

from ncaudit import interruption
from ncaudit.engines.local import ShardRows, in_a_line, the_systems
from ncaudit.errors import NcauditError
from ncaudit.progress import Progress, Silent
from ncaudit.shards.files.shard import Shard

Facts = Mapping[str, Any]  # what JSON can say
Work = Callable[[Shard], ShardRows]
SetUp = Callable[[Facts, Progress], AbstractContextManager[tuple[Facts, Work]]]

TIDY_UP_S = 10.0  # after this, whatever holds up the end of a process that nobody waits for is cut off


def serve(set_up: SetUp) -> None:
    """Set up as ordered, tell what that found, and do shards until the parent has no more, or has gone itself.

    In the middle of a shard the end of the input interrupts like Ctrl-C, so that no half-written file stays behind.
    """
    warnings.simplefilter("ignore")  # the parent has warned already, and notes travel through it
    parent = _Parent()
    with suppress(KeyboardInterrupt, BrokenPipeError), interruption.recognised():
        try:
            with set_up(parent.order(), parent) as (facts, work):
                parent.tell("ready", facts)
                while True:
                    _do(Shard(**parent.order()), work, parent)
        except NcauditError as error:
            parent.refuse(error)
        except BrokenPipeError:
            raise
        except Exception as error:
            if (told := the_systems(error)) is None:  # a bug, or a device that is lost: the others go on
                parent.tell("lost", in_a_line(error))
                raise SystemExit(1) from None
            parent.tell("system", *told)


def _do(shard: Shard, work: Work, parent: "_Parent") -> None:
    try:
        rows = work(shard)
    except NcauditError as error:
        parent.refuse(error)
    else:
        parent.tell("rows", dict(rows.statuses))


class _Parent(Silent):
    """The process at the other end of the standard streams. As a Progress, it is told how far the work has come."""

    def __init__(self) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # deaf where the user's command runs in the background
        interruption.listen()
        interruption.attend()
        self._orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing but answers may come out there
        # not sys.stdin: an interpreter that ends while a thread reads from it aborts
        orders = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
        threading.Thread(target=_listen, args=(orders, self._orders), daemon=True).start()

    def order(self) -> dict[str, Any]:
        """The next order. Raises KeyboardInterrupt when none will come any more."""
        return self._orders.get()

    def tell(self, kind: str, *values: object) -> None:
        """One line. Raises BrokenPipeError when the parent has gone."""
        self._answers.write(json.dumps([kind, *values]).encode() + b"\n")
        self._answers.flush()

    def refuse(self, error: NcauditError) -> None:
        """What was ordered cannot be done."""
        self.tell("refused", type(error).__name__, error.message, error.fix)

    def advance(self, done: int, failed: int = 0) -> None:
        interruption.heed()
        self.tell("advance", done, failed)

    def note(self, text: str) -> None:
        self.tell("note", text)


def _listen(lines: IO[bytes], orders: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in lines:
        orders.put(json.loads(line))
    _interrupt_main()
    time.sleep(TIDY_UP_S)
    os._exit(1)


def _interrupt_main() -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)  # a true signal, which also wakes it from waiting
    else:
        _thread.interrupt_main()

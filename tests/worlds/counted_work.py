"""Work for engines that needs no model: a file per shard, with what befalls the process that has one of them."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ncaudit.engines.jobs import Does, Job, Task
from ncaudit.engines.local import ShardRows
from ncaudit.errors import BadTable
from ncaudit.progress import Progress
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_file


def tasks(*names: str) -> list[Task]:
    """One for each name, the later ones larger. What a name begins with befalls it."""
    return [Task(Shard(f"/in/{name}", name), name, rows) for rows, name in enumerate(names, 1)]


def writing(out: Path, seconds: float = 0.0) -> Job:
    """Writes a file called as the shard. `bad…` is refused, `bug…` is a bug, `kills…` ends the process whenever it is
    begun, `once…` the first time.
    """
    return partial(_set_up, str(out), seconds)


def refused(progress: Progress) -> object:
    """A job that cannot be set up."""
    raise BadTable("nothing can be done here", fix="go elsewhere")


@contextmanager
def _set_up(out: str, seconds: float, progress: Progress) -> Iterator[tuple[int, Does]]:
    yield os.getpid(), partial(_work, Path(out), seconds, progress)


def _work(out: Path, seconds: float, progress: Progress, name: str) -> ShardRows:
    with (out / "begun").open("a") as told:
        told.write(f"{name} {os.getpid()}\n")
    first = not (out / f"seen-{name}").exists()
    (out / f"seen-{name}").touch()
    with atomic_file(str(out / f"{name}.done")) as file:
        file.write(name.encode())
        if name.startswith("bad"):
            raise BadTable(f"{name} is bad", fix="mend it")
        if name.startswith("bug"):
            raise ZeroDivisionError(name)
        if name.startswith("kills") or (name.startswith("once") and first):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(seconds)
    progress.advance(1)
    return ShardRows({"ok": 1}, more=name.upper())

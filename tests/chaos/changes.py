"""Inputs that change while they are read, and disks that fill up.

Knows files, a small disk and what every ending promises; nothing of what a command does.
"""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.storm import Aftermath, Calm, Run, begin, left
from tests.chaos.storm import end_of as wait_for
from tests.fuzz.arena import Command, fault_in

WAYS = ("cut", "grown", "replaced", "removed")
SMALL_DISK_KIB = (16, 64, 256)


def changed(
    run: Run, undisturbed: Calm, folder: Path, command: Command, chance: random.Random, most: int = 1
) -> Aftermath:
    """The run, one of whose inputs is cut, grown, replaced or removed at any instant, by somebody who does not care.

    It ends as a command may end: with exact accounts, or in two lines.
    """
    (folder / "at").mkdir(parents=True)
    run.prepare(folder / "at")
    inputs = [path for path in sorted((folder / "at").rglob("*")) if path.is_file() and path.stat().st_size]
    target, way, instant = chance.choice(inputs), chance.choice(WAYS), chance.random() * undisturbed.seconds
    process = begin(run, folder, command)
    time.sleep(instant)
    _change(target, way, chance)
    code = wait_for(process)
    told = (folder / "stderr").read_text("utf-8", "replace")
    fault = fault_in(code, told, (folder / "stdout").read_text("utf-8", "replace") if "--json" in run.words else "")
    hit = f"{target.relative_to(folder / 'at')} {way} after {instant:.3f} s: {code}"
    shutil.rmtree(folder)
    return Aftermath(run.name, (hit,), fault, told[-3000:])


def _change(target: Path, way: str, chance: random.Random) -> None:
    """Of a file of its own: the world's is the same file, and stays."""
    data = target.read_bytes()
    new = {"cut": data[: chance.randrange(len(data))], "grown": data + chance.randbytes(512), "removed": b""}
    other = target.with_name(f"{target.name}.new")
    other.write_bytes(new.get(way, chance.randbytes(len(data))))
    os.replace(other, target)
    if way == "removed":
        target.unlink()


def full(
    run: Run, undisturbed: Calm, folder: Path, command: Command, chance: random.Random, most: int = 1
) -> Aftermath:
    """The run into a disk that is too small, and once more when there is room."""
    (folder / "at").mkdir(parents=True)
    run.prepare(folder / "at")
    size = chance.choice(SMALL_DISK_KIB)
    with _disk(folder / "at", size) as small:
        code = wait_for(begin(run, folder, command))
        told = (folder / "stderr").read_text("utf-8", "replace")
        fault = fault_in(code, told, "") if code else None
        if fault is None:
            subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
            again = wait_for(begin(run, folder, command))
            done = {run.code, run.again} if code == run.code else {run.code}
            fault = None if again in done else f"with room it ended with {again}"
            fault = fault or _other(undisturbed, left(run, folder / "at"))
            told = (folder / "stderr").read_text("utf-8", "replace")
    shutil.rmtree(folder)
    return Aftermath(run.name, (f"{size} KiB: {code}",), fault, told[-3000:])


def _other(undisturbed: Calm, found: dict[str, str]) -> str | None:
    return None if found == undisturbed.files else f"other files than undisturbed: {sorted(found)}"


@contextmanager
def _disk(place: Path, kib: int) -> Iterator[Path]:
    """The folder, on a disk of its own that has so much room beside what is in the folder."""
    aside = place.with_name("aside")
    place.rename(aside)
    place.mkdir()
    held = sum(path.stat().st_size + 4096 for path in aside.rglob("*")) // 1024 + 8
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={held + kib}k", "tmpfs", str(place)], check=True)
    try:
        shutil.copytree(aside, place, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def may_mount() -> bool:
    """Whether this process may make such disks."""
    return os.geteuid() == 0 and shutil.which("mount") is not None and _mounts()


def _mounts() -> bool:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder], capture_output=True)
        if tried.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return tried.returncode == 0

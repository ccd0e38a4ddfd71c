"""Files that are not whole: whose they are, and which of them nobody will finish."""

import os
import subprocess
import sys
import time

import pytest

from ncaudit.shards.files.formats import SUFFIXES
from ncaudit.shards.places import partials
from ncaudit.shards.places.partials import partial_name, partials_among, shortened, sweep

DEAD = 2**22 + 1  # no system gives a process so high a number


def of_process(name, pid, start=0, host=None):
    """What a process would call its part of a file."""
    whose = partial_name(name).split(".")
    whose[-4:-2] = [host or whose[-4], f"{pid}-{start}"]
    return ".".join(whose)


def swept(folder):
    sweep(partials_among(str(folder), os.listdir(folder)))
    return sorted(os.listdir(folder))


def test_every_writer_has_a_name_of_its_own_that_readers_pass_over():
    names = {partial_name("00000.parquet") for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(".00000.parquet.") and not name.endswith(SUFFIXES) for name in names)


@pytest.mark.parametrize("name", ["a" * 251 + ".npy", "é" * 120 + ".parquet", "\udcff" * 250, "x", ".", "a b\n[1].csv"])
def test_a_name_as_long_as_systems_allow_leaves_room(name):
    assert len(os.fsencode(partial_name(name))) <= 255
    assert len(partials_among("", [partial_name(name)])) == 1


def test_long_names_that_begin_alike_are_told_apart():
    first, second = (shortened("a" * 240 + end) for end in ("1", "2"))
    assert first != second
    assert shortened("a" * 240 + "1") == first


def test_what_a_dead_process_of_this_machine_left_is_swept_and_nothing_else(tmp_path):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    mine = of_process("a.parquet", os.getpid(), partials._started(os.getpid()))
    living = of_process("a.parquet", os.getppid(), partials._started(os.getppid()))
    theirs = of_process("a.parquet", DEAD, host="elsewhere-123456")
    others = ["a.parquet", "a.parquet.partial", ".a.parquet.partial", ".a.download.12.partial"]
    left = [of_process("a.parquet", pid) for pid in (DEAD, int(ended.stdout))]
    for name in [mine, living, theirs, *others, *left]:
        (tmp_path / name).write_bytes(b"half")
    assert swept(tmp_path) == sorted([mine, living, theirs, *others])


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc when a process began")
def test_a_process_that_has_got_a_dead_ones_number_is_another(tmp_path):
    (tmp_path / of_process("a.npy", os.getpid(), partials._started(os.getpid()) - 1)).touch()
    assert swept(tmp_path) == []


def test_what_another_machine_left_goes_after_a_day(tmp_path):
    old, new = (of_process(name, os.getpid(), host="node-7-abcdef") for name in ("old.npy", "new.npy"))
    for name, age in ((old, 86_400 + 60), (new, 86_400 - 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert swept(tmp_path) == [new]


def test_a_folder_that_somebody_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    made = os.makedirs
    lost = [True, True]

    def made_and_lost(path, **more):
        made(path, **more)
        if lost and lost.pop():
            os.rmdir(path)

    monkeypatch.setattr(os, "makedirs", made_and_lost)
    with partials.created(str(tmp_path / "out/a")) as file:
        file.write(b"x")
    assert (tmp_path / "out/a").read_bytes() == b"x"

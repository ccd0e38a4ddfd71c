"""Two training runs, one folder: the second is told where it starts, and nothing but the runs' own files is left."""

import json
import os
import subprocess
import sys

import pytest

from ncaudit.errors import NcauditError
from ncaudit.matchers.training_folder import TrainingFolder
from ncaudit.shards.places.partials import partial_name, partials_among
from tests.worlds import processes

RUN = {"options": {"epochs": 2, "seed": 0}, "model": {"name": "m"}}
OTHER = {"options": {"epochs": 3, "seed": 0}, "model": {"name": "n"}}
AT_WORK = """
import json, sys, time
from ncaudit.matchers.training_folder import TrainingFolder
with TrainingFolder(sys.argv[1], None).at_work(json.loads(sys.argv[2])):
    print("begun", flush=True)
    sys.stdin.read()
"""


def folder(path) -> TrainingFolder:
    return TrainingFolder(str(path), lambda weights, out: None)


@pytest.fixture
def other(tmp_path):
    """A process that trains `OTHER` in the folder, before its first epoch."""
    words = [sys.executable, "-c", AT_WORK, str(tmp_path / "out"), json.dumps(OTHER)]
    process = processes.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout.readline() == "begun\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_with_other_options_is_told_at_its_start_what_differs(other, tmp_path):
    with pytest.raises(NcauditError) as raised, folder(tmp_path / "out").at_work(RUN):
        pass
    assert raised.value.message == (
        f"another run of ncaudit train is at work in {tmp_path / 'out'} (process {other.pid}), and differs in: "
        "model, epochs"
    )
    assert raised.value.fix == "wait until it has ended, or give another folder with --out"
    assert len(os.listdir(tmp_path / "out")) == 1


def test_the_same_run_may_be_at_work_twice(other, tmp_path):
    with folder(tmp_path / "out").at_work(OTHER):
        assert len(os.listdir(tmp_path / "out")) == 2


def test_a_run_that_is_dead_is_in_nobodys_way(other, tmp_path):
    other.kill()
    other.wait()
    with folder(tmp_path / "out").at_work(RUN):
        assert len(partials_among(str(tmp_path / "out"), os.listdir(tmp_path / "out"))) == 2


def test_what_another_writer_leaves_unfinished_is_no_run(tmp_path):
    (tmp_path / partial_name("run.json")).write_text("{")
    with folder(tmp_path).at_work(RUN):
        pass


def test_nothing_is_left_of_a_run_that_ends_before_it_has_claimed_the_folder(tmp_path):
    with folder(tmp_path / "a/b/out").at_work(RUN):
        assert (tmp_path / "a/b/out").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_the_run_has_written_stays(tmp_path):
    with folder(tmp_path / "a/out").at_work(RUN):
        (tmp_path / "a/out/run.json").write_text("{}")
    assert [path.name for path in (tmp_path / "a/out").iterdir()] == ["run.json"]

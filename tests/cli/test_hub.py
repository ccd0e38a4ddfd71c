"""Datasets at hf:// and models at hf-hub: as people use them, from a hub on this machine, and once it is gone."""

import json
import os
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from tests.worlds import processes
from tests.worlds.commands import MODEL, embedded, run, told
from tests.worlds.hub import Hub, asking, serving
from tests.worlds.sample import SAMPLE, TINY

NAME = "us/pairs"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    data = tmp_path / "dataset/data"
    data.mkdir(parents=True)
    for i in range(2):
        pq.write_table(pq.read_table(SAMPLE / "train.parquet").slice(8 * i, 8), data / f"{i:05}.parquet")
    with serving(Hub(models={"us/tiny": Path(TINY)}, datasets={NAME: tmp_path / "dataset"})) as hub:
        asking(hub, monkeypatch, tmp_path / "cache")
        yield hub


def ncaudit(hub, folder, *words, **more):
    command = [sys.executable, "-m", "ncaudit", "-q", *words]
    environment = {**os.environ, **hub.environment(folder / "home"), **more}
    done = processes.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_both_are_fetched_and_the_model_is_there_once_the_hub_is_gone(hub, tmp_path):
    model = ("--model", "hf-hub:us/tiny", *MODEL[2:])
    ncaudit(hub, tmp_path, "embed", f"hf://datasets/{NAME}/data", "--out", "fetched", *model)
    before = len(hub.asked)
    ncaudit(hub, tmp_path, "embed", "dataset/data", "--out", "offline", *model, HF_HUB_OFFLINE="1")
    assert len(hub.asked) == before
    for stem in ("00000", "00001"):
        one, other = (pq.read_table(tmp_path / out / f"{stem}.parquet") for out in ("fetched", "offline"))
        assert one["status"].to_pylist() == ["ok"] * 8
        assert one.equals(other)  # whatever way they came


def refused(hub, tmp_path, place):
    return told("embed", f"hf://datasets/{place}", "--out", tmp_path / "none", *MODEL)


@pytest.mark.usefixtures("tiny_model")
@pytest.mark.parametrize("place", ["data", "data/*.parquet", "data/0000[01].parquet", ""])
def test_a_dataset_is_named_by_its_folder_a_glob_or_itself(hub, tmp_path, place):
    embedded(f"hf://datasets/{NAME}/{place}".rstrip("/"), tmp_path / "out")
    written = sorted((tmp_path / "out").rglob("0*.parquet"))
    assert [path.name for path in written] == ["00000.parquet", "00001.parquet"]
    assert sum(pq.read_table(path, partitioning=None).num_rows for path in written) == 16


@pytest.mark.parametrize(("status", "code"), [(401, "RepoNotFound"), (404, "RepoNotFound")])
def test_a_dataset_that_may_not_be_seen_says_how_to_log_in(hub, tmp_path, status, code):
    hub.refused[NAME] = (status, code)
    said = refused(hub, tmp_path, f"{NAME}/data")
    assert f"hf://datasets/{NAME}/data does not exist" in said
    assert "hf auth login" in said


def test_a_gated_dataset_says_so(hub, tmp_path):
    hub.refused_files[NAME] = (403, "GatedRepo")
    said = refused(hub, tmp_path, f"{NAME}/data")
    assert "gated" in said
    assert "HF_TOKEN" in said


def test_a_folder_that_is_not_there_is_told(hub, tmp_path):
    assert "does not exist" in refused(hub, tmp_path, f"{NAME}/date")
    assert "holds no shard" in refused(hub, tmp_path, f"{NAME}/data/9*.parquet")


def test_a_file_that_is_cut_stops_the_run_with_two_lines_and_leaves_no_table(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the client waits between its tries
    hub.cut = {"data/00001.parquet"}
    said = refused(hub, tmp_path, f"{NAME}/data")
    assert f"hf://datasets/{NAME}/data/00001.parquet cannot be reached" in said
    assert not list((tmp_path / "none").rglob("00001.parquet"))


def test_a_file_that_vanishes_after_it_was_listed_is_named(hub, tmp_path):
    hub.gone = {"data/00001.parquet"}
    assert f"hf://datasets/{NAME}/data/00001.parquet" in refused(hub, tmp_path, f"{NAME}/data")


def test_without_a_network_it_is_said(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refused(hub, tmp_path, f"{NAME}/data")
    assert "cannot be reached" in said
    assert "HF_HUB_OFFLINE" in said


def test_other_commands_read_from_there_too(hub, tmp_path):
    ran = run("inspect", f"hf://datasets/{NAME}/data", "--json")
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["rows"] == 16

"""Several devices give byte for byte what one gives; a process that is killed costs its shard until the rerun."""

import io
import os
import signal
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ncaudit.encoders import decode_pool
from ncaudit.errors import ModelUnavailable, NcauditError, UsageError
from ncaudit.matchers.heads.projection import Heads, Side
from ncaudit.options import EmbedOptions
from ncaudit.progress import SILENT, Silent
from ncaudit.verbs.embed import model_in_workers
from ncaudit.verbs.embed.embed import embed
from ncaudit.verbs.embed.model_in_workers import decoders
from tests.worlds.heads import save_heads
from tests.worlds.made import made_in
from tests.worlds.sample import TINY

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="sends SIGKILL and reads /proc")


def picture(seed, size):
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).resize((size, size)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def write(path, images):
    captions = [f"{path.stem}: a red circle {i}" for i in range(len(images))]
    pq.write_table(pa.table({"jpg": images, "caption": captions}), path)


def options(data, out, **more):
    usual = {"sources": [str(data)], "out": str(out), "model": TINY, "precision": "float32", "workers": 1}
    return EmbedOptions(**{**usual, **more})


class Told(Silent):
    """Remembers what a verb tells."""

    def __init__(self):
        self.done = self.failed = 0
        self.notes = []

    def stage(self, *_):
        self.done = self.failed = 0

    def note(self, text):
        self.notes.append(text)

    def advance(self, done, failed=0):
        self.done, self.failed = self.done + done, self.failed + failed


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for shard in range(4):
        write(folder / f"{shard:05}.parquet", [b"<html>", *(picture(10 * shard + i, 64) for i in range(9))])
    return folder


@pytest.fixture
def heads(data, tmp_path):
    """A folder of heads behind the model."""
    model = embed(options(data / "00000.parquet", tmp_path / "plain", device="cpu")).model.as_dict()
    torch.manual_seed(0)
    folder = tmp_path / "heads"
    save_heads(Heads(Side(96), Side(96), dims=8), str(folder), {"model": model, "encoder_folder": TINY})
    return str(folder)


@on_linux
@pytest.mark.slow
def test_two_devices_give_the_bytes_and_accounts_of_one(data, heads, tmp_path):
    broken = data / "00002.parquet"
    broken.write_bytes(broken.read_bytes()[:1000])
    told, others = Told(), children()
    one = embed(options(data, tmp_path / "one", model=heads, device="cpu"))
    two = embed(options(data, tmp_path / "two", model=heads, devices=["cpu", "cpu"]), told)
    assert two.accounting == one.accounting
    assert (two.accounting.rows, two.accounting.ok, len(two.accounting.shard_errors)) == (30, 27, 1)
    assert made_in(tmp_path / "two") == made_in(tmp_path / "one")
    assert len(made_in(tmp_path / "two")) == 5  # one of them says why a shard failed
    assert (told.done, told.failed) == (30, 3)
    assert two.model.heads
    assert set(children()) <= set(others)


def children():
    """This process's own children, the oldest first."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def kill_first_worker_when(folder, pattern, others):
    while not list(folder.glob(pattern)):
        time.sleep(0.001)
    os.kill(next(pid for pid in children() if pid not in others), signal.SIGKILL)


@on_linux
@pytest.mark.slow
def test_a_killed_process_costs_its_shard_and_the_rerun_heals_it(data, tmp_path):
    slow = picture(99, 1600)
    write(data / "00000.parquet", [slow + bytes([i]) for i in range(12)])  # a while to decode
    out = tmp_path / "out"
    victim = [out, ".00000.parquet.*.partial", children()]
    threading.Thread(target=kill_first_worker_when, args=victim, daemon=True).start()
    accounts = embed(options(data, out, devices="cpu,cpu")).accounting
    assert (accounts.rows, accounts.ok) == (30, 27)
    (error,) = accounts.shard_errors
    assert error.message.startswith("00000.parquet: the worker on cpu ended with signal 9")
    assert "rerun" in error.fix
    healed = embed(options(data, out, devices=["cpu"])).accounting
    assert (healed.shards_resumed, healed.ok) == (3, 39)
    embed(options(data, tmp_path / "undisturbed", device="cpu"))
    assert made_in(out) == made_in(tmp_path / "undisturbed")


def test_where_to_compute_is_said_once(tmp_path):
    with pytest.raises(UsageError, match="--device and --devices"):
        options("d", "o", device="cpu", devices=["cpu"])
    for wrong in ("cpu,,cpu", "", [], "all,cpu"):
        with pytest.raises(NcauditError, match="--devices") as caught:
            options("d", "o", devices=wrong)
        assert "cuda:0,cuda:1" in caught.value.fix
    with pytest.raises(NcauditError, match="no device is called"):
        embed(options("d", "o", devices="cpu,gpu"))


def test_all_devices_are_the_gpus_that_are_there(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(NcauditError, match="has no GPU"):
        embed(options(data, tmp_path / "out", devices="all"))


def test_more_devices_than_shards_are_told(monkeypatch):
    names = []

    def start(module, given):
        names.extend(given)
        raise NcauditError("enough", fix="stop")

    monkeypatch.setattr(model_in_workers, "Workers", start)
    told = Told()
    with pytest.raises(NcauditError, match="enough"):
        model_in_workers.ModelInWorkers(options("d", "o", devices="cpu,cpu,cpu"), None, {}, {}, ["a"], progress=told)
    assert names == ["cpu"]
    assert told.notes == ["3 devices, but 1 shard to share: some stay idle"]


def test_another_model_than_the_first_devices_is_refused(tmp_path):
    own = options("d", tmp_path, device="cpu", batch_pairs=8)
    orders = {"options": vars(own), "key": None, "types": "", "record": {}, "model": None, "shards": []}
    with model_in_workers.set_up(orders, SILENT) as (facts, _):
        assert facts["batch_pairs"] == 8
    other = {**facts["model"], "weight_hash": "0"}
    with (
        pytest.raises(ModelUnavailable, match="not what the first device has loaded"),
        model_in_workers.set_up({**orders, "model": other}, SILENT),
    ):
        pass


@pytest.mark.parametrize(
    ("workers", "shares"), [(5, [2, 2, 1]), (3, [1, 1, 1]), (2, [1, 1, 1]), (0, [0, 0, 0]), (None, [13, 13, 13])]
)
def test_decoding_processes_are_shared_by_the_devices(workers, shares, monkeypatch):
    monkeypatch.setattr(decode_pool, "cores", lambda: 40)
    assert [decoders(workers, 3, number) for number in range(3)] == shares
    assert decoders(None, 3, 0, threads=6) == 2

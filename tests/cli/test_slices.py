"""Parts of one run, as real processes at one time, one of them killed: afterwards the bytes are those of one run."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.worlds import processes
from tests.worlds.commands import run
from tests.worlds.sample import SAMPLE, TINY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="sends SIGKILL and reads /proc"),
]

SHARDS, ROWS = 6, 60
FAST = ["--device", "cpu"]
EMBED = ["--model", TINY, "--workers", "0", *FAST]
SCORE = ["--scorer", "clip-score", "--no-check", *FAST]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rows = pq.read_table(SAMPLE / "train.parquet").slice(0, SHARDS * ROWS)
    for shard in range(SHARDS):
        pq.write_table(rows.slice(shard * ROWS, ROWS), folder / f"{shard}.parquet")
    return folder


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    """What one run of each command leaves."""
    root = tmp_path_factory.mktemp("alone")
    for words in (
        ["embed", data, "--out", root / "emb", *EMBED],
        ["score", root / "emb", "--out", root / "scores", *SCORE],
        ["filter", root / "scores", "--keep-share", "0.5", "--out", root / "kept"],
    ):
        assert run(*words).exit_code == 0
    return root


def begun(*words: object) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "ncaudit", *map(str, words)]
    return processes.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def parts(count: int, *words: object) -> None:
    """All parts at one time."""
    ran = [begun(*words, "--slice", f"{number}/{count}") for number in range(count)]
    assert [one.wait() for one in ran] == [0] * count


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def test_parts_at_one_time_embed_what_one_run_does_whoever_is_killed(data, alone, tmp_path):
    out = tmp_path / "emb"
    words = ["embed", data, "--out", out, *EMBED, "--slice"]
    killed, other = (begun(*words, f"{number}/2") for number in range(2))
    while not list(out.glob("?.parquet")) and killed.poll() is None:
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert other.wait() == 0
    whole = run("status", out)
    assert run("embed", data, "--out", out, *EMBED, "--slice", "0/2").exit_code == 0
    assert whole.exit_code in (0, 3)
    assert tables(out) == tables(alone / "emb")
    assert run("status", out, "--verify").exit_code == 0


def test_parts_score_by_one_fit_and_refuse_to_make_their_own(alone, tmp_path):
    out, words = tmp_path / "scores", ["score", alone / "emb", "--out", tmp_path / "scores", *SCORE]
    refused = run(*words, "--slice", "0/2")
    assert refused.exit_code == 1
    assert "--fit-only" in refused.output
    assert not list(out.glob("*.parquet"))
    assert run(*words, "--fit-only").exit_code == 0
    assert run("status", out).exit_code == 3
    parts(2, *words)
    assert tables(out) == tables(alone / "scores")
    assert run("status", out).exit_code == 0


def test_parts_go_by_a_fit_that_people_have_corrected(alone, tmp_path):
    pairs = pq.read_table(alone / "scores")["pair_id"].to_pylist()
    judged, out, fit = tmp_path / "judged.csv", tmp_path / "scores", tmp_path / "fit"
    judged.write_text("pair_id,is_match\n" + "".join(f"{pair},{number % 3 > 0}\n" for number, pair in enumerate(pairs)))
    words = ["score", alone / "emb", *SCORE]
    assert run(*words, "--out", tmp_path / "whole", "--verdicts", judged).exit_code == 0
    told = run(*words, "--out", out, "--verdicts", judged, "--fit-only", "--save-fit", fit)
    assert told.exit_code == 0
    assert "--fit FIT" in told.output.split("next: ")[1]
    parts(2, *words, "--out", out, "--fit", fit)
    labels = [pq.read_table(folder)["soft_label"] for folder in (out, tmp_path / "whole")]
    assert labels[0].equals(labels[1])


def test_a_table_that_came_after_the_fit_is_refused_by_a_part(alone, tmp_path):
    emb, out = tmp_path / "emb", tmp_path / "scores"
    emb.mkdir()
    for name, content in tables(alone / "emb").items():
        (emb / name).write_bytes(content)
    last = (emb / "5.parquet").read_bytes()
    (emb / "5.parquet").unlink()
    assert run("score", emb, "--out", out, *SCORE, "--fit-only").exit_code == 0
    (emb / "5.parquet").write_bytes(last)
    told = run("score", emb, "--out", out, *SCORE, "--slice", "0/2")
    assert told.exit_code == 1
    assert "came after the fit" in told.output


def test_parts_filter_what_one_run_does(alone, tmp_path):
    out = tmp_path / "kept"
    parts(2, "filter", alone / "scores", "--keep-share", "0.5", "--out", out)
    assert tables(out) == tables(alone / "kept")


def test_more_parts_than_shards_leave_nothing_to_do(alone, tmp_path):
    out, words = tmp_path / "scores", ["score", alone / "emb", "--out", tmp_path / "scores", *SCORE]
    assert run(*words, "--fit-only").exit_code == 0
    assert run(*words, "--slice", "7/9").exit_code == 0
    assert not list(out.glob("*.parquet"))

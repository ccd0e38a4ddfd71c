"""The whole job on the sample, through the command, as the README shows it."""

import json
import os
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import ncaudit
from ncaudit.cli.app import app
from ncaudit.verbs import demo
from tests.worlds import processes
from tests.worlds.sample import SAMPLE

TINY = f"local-dir:{SAMPLE / 'tiny-clip'}"

pytestmark = pytest.mark.slow


def ncaudit_command(*words: object) -> subprocess.CompletedProcess[str]:
    return processes.run([sys.executable, "-m", "ncaudit", *words], capture_output=True, text=True)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    data = SAMPLE / "train.parquet"
    commands = [
        ("embed", data, "--model", TINY, "--out", folder / "e"),
        ("score", folder / "e", "--out", folder / "s"),
        ("eval", "scores", folder / "s", "--truth", "is_match", "--json"),
        ("score", folder / "e", "--fit", folder / "s/_fit", "--data", data, "--out", folder / "labelled"),
    ]
    return folder, [ncaudit_command(*words) for words in commands]


def test_raw_shards_become_soft_labels_that_find_mismatches(job):
    folder, ran = job
    assert [run.returncode for run in ran] == [0, 0, 0, 0], [run.stderr for run in ran]
    found = json.loads(ran[2].stdout)
    assert found["accounting"]["rows"] == 2_000
    assert found["mismatched"] == 557
    assert found["similarity"]["auroc"] > 0.85
    assert found["soft_label"]["auroc"] > 0.8
    scores = pq.read_table(folder / "s/train.parquet")
    assert scores["pair_id"].to_pylist() == pq.read_table(SAMPLE / "train.parquet")["key"].to_pylist()


def test_the_dataset_comes_back_as_it_was_with_labels(job):
    folder, _ = job
    given, written = pq.read_table(SAMPLE / "train.parquet"), pq.read_table(folder / "labelled/train.parquet")
    assert written.select(given.column_names).equals(given)
    assert written["ncaudit_soft_label"].null_count == 0


def test_words_say_how_many_rows_and_what_the_label_is(job):
    _, ran = job
    assert "2,000 rows = 2,000 ok + 0 failed (1 shard)" in ran[0].stdout
    assert "calibrated against random pairs" in ran[1].stdout
    assert "noise rate" in ran[1].stdout


@pytest.fixture(scope="module")
def fast(tmp_path_factory):
    """Where the fast demo has been, how it ended, and what it left."""
    out = tmp_path_factory.mktemp("demo")
    ran = CliRunner().invoke(app, ["-q", "demo", "--fast", "--out", str(out)])
    return out, ran, {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}, {*os.listdir(out)}


def test_the_demo_trains_three_matchers_and_writes_its_summary(fast, monkeypatch):
    monkeypatch.setitem(demo.RECIPE, "epochs", 1)
    out = fast[0]  # what the fast one has done is not done again
    result = ncaudit.demo(ncaudit.DemoOptions(out=str(out)))
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["retrieval"]) == ["start", "plain", "soft", "oracle"]
    assert set(summary["retrieval"]["soft"]) == {"i2t_r1", "t2i_r1", "i2t_r10", "t2i_r10"}
    assert summary["detection"]["similarity"]["auroc"] == result.detection["similarity"].auroc
    assert summary["seconds"] > 0
    assert (out / "report.html").exists()
    assert result.report == str(out / "report.html")
    assert all(recalls.i2t_r1 > 5 for recalls in result.retrieval.values())  # chance is 0.1


def test_the_fast_demo_is_the_audit_of_the_sample_and_trains_nothing(fast):
    out, ran, files, names = fast
    assert ran.exit_code == 0, ran.output
    assert names - {".ncaudit.json", ".report.html.ncaudit.json"} == {
        *("embeddings", "scores", "report.html", "summary.json")
    }
    assert json.loads(files["summary.json"])["retrieval"] == {}
    assert ran.stdout.splitlines()[-1] == f"next: open {out}/report.html in a browser"


def test_help_does_not_load_torch():
    code = "import sys, ncaudit.cli.app, ncaudit; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "words", [(), ("embed",), ("score",), ("filter",), ("train",), ("eval",), ("corrupt",), ("demo",)]
)
def test_every_command_has_help(words):
    ran = subprocess.run([sys.executable, "-m", "ncaudit", *words, "--help"], capture_output=True, text=True)
    assert ran.returncode == 0
    assert "Usage: ncaudit" in ran.stdout

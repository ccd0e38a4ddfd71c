"""`ncaudit labels` as a command: one JSON object, rows on standard output, errors in two lines."""

import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli import app
from tests.worlds import processes
from tests.worlds.embeddings import lists


@pytest.fixture
def embeddings(tmp_path):
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 3, 90)
    image, text = (np.eye(3, 6)[truth] + 0.3 * draw.normal(size=(90, 6)) for _ in range(2))
    table = pa.table(
        {
            "image_embedding": lists(image, dtype=np.float32),
            "text_embedding": lists(text, dtype=np.float32),
            "kind": pa.array(truth),
        }
    )
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in/a.parquet")
    return tmp_path / "in"


def run(*words):
    return CliRunner().invoke(app.app, ["-q", "labels", *map(str, words)])


def test_json_is_one_object_with_rate_interval_and_matrix(embeddings, tmp_path):
    ran = run(embeddings, "--label-column", "kind", "--out", tmp_path / "out", "--json")
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["noise_rate_low"] <= told["noise_rate"] <= told["noise_rate_high"]
    assert told["class_names"] == [0, 1, 2]
    assert np.allclose(np.sum(told["class_noise_matrix"], axis=1), 1, atol=1e-3)
    assert told["accounting"]["rows"] == 90
    assert sum(told["partitions"].values()) == 90


@pytest.mark.slow
def test_rows_on_standard_output_and_words_beside_them(embeddings):
    words = ["labels", str(embeddings), "--label-column", "kind", "--out", "-", "--format", "jsonl"]
    ran = processes.run([sys.executable, "-m", "ncaudit", *words], capture_output=True, check=True, text=True)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(rows) == 90
    assert rows[0]["pair_id"] == "a/0"
    assert "90 rows = 90 ok + 0 failed" in ran.stderr


def test_an_error_is_two_lines_and_exit_code_1(embeddings, tmp_path):
    ran = run(embeddings, "--label-column", "species", "--out", tmp_path / "out")
    assert ran.exit_code == 1
    first, second = ran.stderr.splitlines()
    assert "no column 'species'" in first
    assert second.startswith("  fix: ")


def test_json_and_rows_cannot_share_standard_output(embeddings):
    assert run(embeddings, "--label-column", "kind", "--out", "-", "--json").exit_code == 2


def test_parts_are_refused_with_the_reason(tmp_path):
    words = ["labels", tmp_path, "--out", tmp_path / "l", "--label-column", "kind", "--slice", "0/4"]
    told = CliRunner().invoke(app.app, [str(word) for word in words])
    assert told.exit_code == 2
    assert "ncaudit labels takes no --slice: it judges all pairs against each other" in told.output
    assert "--engine ray" in told.output

"""What ncaudit writes is read by pandas, polars, DuckDB, `datasets` and jq: types, nulls and numbers are the same."""

import io
import json
import shutil
import subprocess
import sys

import datasets
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli import app
from ncaudit.schema import SCORE
from tests.worlds import processes
from tests.worlds.sample import SAMPLE

ROWS, BROKEN = 130, (5, 77)  # of each shard; rows whose image is none
QUICK = ("--scorer", "csls", "--no-check")
EMBED = ("--model", f"local-dir:{SAMPLE / 'tiny-clip'}", "--device", "cpu", "--precision", "float32", "--workers", 0)


def run(*words):
    ran = CliRunner().invoke(app.app, ["-q", *map(str, words)])
    assert ran.exit_code == 0, (ran.stderr, ran.exception)
    return ran.stdout_bytes


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """data/, emb/ and scores/, two shards each."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "data").mkdir()
    whole = pq.read_table(SAMPLE / "train.parquet")
    for number in range(2):
        part = whole.slice(number * ROWS, ROWS)
        images = [b"no image" if row in BROKEN else image for row, image in enumerate(part["jpg"].to_pylist())]
        part = part.set_column(1, "jpg", pa.array(images, pa.binary()))
        notes = pa.array([None if row % 3 else f"Ünïcode \u2713, “{row}”\n" for row in range(ROWS)])
        pq.write_table(part.append_column("note", notes), folder / f"data/{number:05}.parquet")
    run("embed", folder / "data", *EMBED, "--out", folder / "emb")
    run("score", folder / "emb", *QUICK, "--out", folder / "scores")
    return folder


@pytest.fixture(scope="module")
def scores(job):
    """Both score tables as pyarrow has them."""
    return pa.concat_tables(pq.read_table(path) for path in sorted((job / "scores").glob("*.parquet")))


@pytest.fixture(scope="module")
def streams(job):
    """What `score --out -` writes, by format."""
    return {
        kind: run("score", job / "emb", *QUICK, "--out", "-", "--format", kind) for kind in ("arrow", "jsonl", "csv")
    }


def assert_same(column, expected):
    """Numbers with gaps are the same, gaps as NaN."""
    found, wanted = (np.asarray(values, dtype=np.float64) for values in (column, expected.to_pandas()))
    np.testing.assert_array_equal(found, wanted)


def test_the_tables_have_failed_rows_and_gaps(scores):
    assert scores["soft_label"].null_count == 4
    assert scores["note"].null_count > 100
    assert scores.schema.names[: len(SCORE.names)] == SCORE.names


def test_pandas_reads_score_tables(job, scores):
    frame = pd.read_parquet(job / "scores")  # the folder itself: what else lies there begins with an underscore
    assert frame["status"].value_counts().to_dict() == {"ok": 256, "image_undecodable": 4}
    assert {name: str(frame[name].dtype) for name in ("soft_label", "row", "caption_count")} == {
        "soft_label": "float32", "row": "int64", "caption_count": "float64",
    }  # fmt: skip
    assert_same(frame["soft_label"], scores["soft_label"])
    assert frame["note"].isna().sum() == scores["note"].null_count
    assert frame["note"][0] == "Ünïcode \u2713, “0”\n"


def test_pandas_reads_embedding_tables(job):
    frame = pd.read_parquet(job / "emb")
    assert frame["image_embedding"].isna().sum() == 2 * len(BROKEN)
    rows = np.stack(frame["image_embedding"].dropna().tolist())
    assert rows.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(rows.astype(np.float32), axis=1), 1, atol=2e-3)


def test_polars_reads_score_tables_lazily(job, scores):
    frame = pl.scan_parquet(job / "scores/*.parquet").filter(pl.col("status") == "ok").select("pair_id", "soft_label")
    found = frame.collect()
    assert found.schema == {"pair_id": pl.String, "soft_label": pl.Float32}
    assert (found.height, found["soft_label"].null_count()) == (256, 0)
    assert pl.read_parquet(job / "scores/*.parquet").to_arrow().cast(scores.schema).equals(scores)


def test_polars_reads_embedding_tables(job):
    frame = pl.read_parquet(job / "emb/*.parquet")
    assert frame.schema["image_embedding"] == pl.Array(pl.Float16, 96)
    assert frame["image_embedding"].null_count() == 4


def test_duckdb_reads_score_tables(job, scores):
    tables = duckdb.read_parquet(str(job / "scores/*.parquet"))
    counts = tables.query("t", "select status, count(*), count(soft_label) from t group by 1 order by 2").fetchall()
    assert counts == [("image_undecodable", 4, 0), ("ok", 256, 256)]
    types = dict(zip(tables.columns, map(str, tables.types), strict=True))
    assert types["soft_label"] == "FLOAT"
    assert types["row"] == "BIGINT"
    assert types["is_anchor"] == "BOOLEAN"
    assert_same(tables.project("soft_label").df()["soft_label"], scores["soft_label"])


def test_duckdb_reads_half_floats_of_embedding_tables_and_joins_them(job):
    found = duckdb.sql(
        "select array_inner_product(image_embedding::float[96], text_embedding::float[96]), similarity "
        f"from '{job}/emb/*.parquet' join '{job}/scores/*.parquet' using (pair_id) where similarity is not null"
    ).fetchnumpy()
    product, similarity = found.values()
    assert len(product) == 256
    np.testing.assert_allclose(product, similarity, atol=2e-3)


def test_datasets_reads_both_with_types_and_gaps(job, scores, tmp_path):
    for folder, features in (
        ("scores", {"soft_label": datasets.Value("float32"), "pair_id": datasets.Value("string")}),
        ("emb", {"image_embedding": datasets.List(datasets.Value("float16"), length=96)}),
    ):
        files = str(job / folder / "*.parquet")
        loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path), split="train")
        assert loaded.num_rows == 260
        assert features.items() <= loaded.features.items()
    loaded = datasets.Dataset.from_parquet(str(job / "scores/00000.parquet"), cache_dir=str(tmp_path))
    assert loaded["soft_label"][:] == scores["soft_label"].to_pylist()[:ROWS]


def test_what_datasets_writes_from_our_tables_keeps_their_provenance_out_of_its_way(job, tmp_path):
    loaded = datasets.Dataset.from_parquet(str(job / "scores/00000.parquet"), cache_dir=str(tmp_path))
    loaded.filter(lambda row: row["status"] == "ok").to_parquet(tmp_path / "kept.parquet")
    kept = pq.read_table(tmp_path / "kept.parquet")
    assert kept.num_rows == 128
    assert json.loads(kept.schema.metadata[b"huggingface"])["info"]["features"]["soft_label"]["dtype"] == "float32"


@pytest.mark.slow
def test_an_arrow_stream_goes_through_a_pipe_into_polars(job, scores):
    score = [sys.executable, "-m", "ncaudit", "-q", "score", str(job / "emb"), *QUICK, "--out", "-"]
    code = "import sys, polars; polars.read_ipc_stream(sys.stdin.buffer).write_parquet(sys.stdout.buffer)"
    first = processes.Popen(score, stdout=subprocess.PIPE)
    second = subprocess.run([sys.executable, "-c", code], stdin=first.stdout, capture_output=True)
    first.stdout.close()
    assert (first.wait(), second.returncode) == (0, 0), second.stderr
    assert pq.read_table(io.BytesIO(second.stdout)).cast(scores.schema).equals(scores)


def test_duckdb_reads_an_arrow_stream_batch_by_batch(streams):
    stream = duckdb.from_arrow(pa.ipc.open_stream(streams["arrow"]))
    found = stream.query("t", "select shard, count(*), count(soft_label) from t group by 1 order by 1").fetchall()
    assert found == [("00000.parquet", 130, 128), ("00001.parquet", 130, 128)]


def test_embeddings_in_an_arrow_stream_are_single_precision_for_duckdb(job):
    reader = pa.ipc.open_stream(run("embed", job / "data/00000.parquet", *EMBED, "--out", "-"))
    assert reader.schema.field("image_embedding").type == pa.list_(pa.float32(), 96)
    norms = "select array_inner_product(image_embedding, image_embedding) from t where status = 'ok'"
    found = duckdb.from_arrow(reader).query("t", norms).fetchnumpy()
    (squares,) = found.values()
    assert len(squares) == 128
    np.testing.assert_allclose(squares, 1, atol=2e-3)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_reads_json_lines(streams, scores):
    program = 'select(.status == "ok" and .soft_label < 0.5) | .pair_id'
    found = subprocess.run(["jq", "-r", program], input=streams["jsonl"], capture_output=True, check=True)
    low = scores.filter(pa.compute.less(scores["soft_label"], 0.5))
    assert found.stdout.decode().split() == low["pair_id"].to_pylist()
    missing = subprocess.run(
        ["jq", "-c", "select(.soft_label == null) | .status"], input=streams["jsonl"], capture_output=True
    )
    assert missing.stdout.split() == 4 * [b'"image_undecodable"']


def test_json_lines_are_read_by_polars_and_duckdb(streams, scores, tmp_path):
    (tmp_path / "s.jsonl").write_bytes(streams["jsonl"])
    assert_same(pl.read_ndjson(tmp_path / "s.jsonl", infer_schema_length=None)["soft_label"], scores["soft_label"])
    assert_same(duckdb.read_json(str(tmp_path / "s.jsonl")).df()["soft_label"], scores["soft_label"])


def test_csv_is_read_by_pandas_and_duckdb_line_breaks_and_gaps_included(streams, scores, tmp_path):
    (tmp_path / "s.csv").write_bytes(streams["csv"])
    frame = pd.read_csv(tmp_path / "s.csv", dtype={"pair_id": str})
    table = duckdb.read_csv(str(tmp_path / "s.csv"), dtype={"pair_id": "VARCHAR"}).df()
    for found in (frame, table):
        assert found["pair_id"].tolist() == scores["pair_id"].to_pylist()
        np.testing.assert_allclose(found["soft_label"], scores["soft_label"].to_pandas(), rtol=1e-6)
        assert found["note"][0] == "Ünïcode \u2713, “0”\n"
        assert found["note"].isna().sum() == scores["note"].null_count

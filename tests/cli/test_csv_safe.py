"""`--csv-safe`: every command with rows as CSV knows it, and only for those rows."""

import csv
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli import app
from ncaudit.errors import UsageError
from ncaudit.options import FilterForm, FilterOptions, LabelsOptions, ScoreOptions


def rows_of(*words):
    ran = CliRunner().invoke(app.app, ["-q", *map(str, words), "--out", "-", "--format", "csv"])
    assert ran.exit_code == 0, ran.stderr
    return list(csv.DictReader(io.StringIO(ran.stdout)))


@pytest.fixture
def embeddings(write_embeddings):
    folder = write_embeddings(n=120, dims=8)
    table = pq.read_table(folder / "00000.parquet")
    captions = pa.array(["=cmd()"] * 60 + ["a cat"] * 60)
    table = table.set_column(table.schema.get_field_index("caption"), "caption", captions)
    pq.write_table(table.append_column("kind", pa.array(["-a", "b"] * 60)), folder / "00000.parquet")
    return folder


def test_captions_are_guarded_where_asked(embeddings):
    words = ("score", embeddings, "--scorer", "clip-score", "--no-check")
    assert {row["caption"] for row in rows_of(*words)} == {"=cmd()", "a cat"}
    assert {row["caption"] for row in rows_of(*words, "--csv-safe")} == {"'=cmd()", "a cat"}


def test_filter_and_labels_know_it_too(embeddings, tmp_path):
    table = pa.table({"pair_id": ["=a", "b"], "status": ["ok", "ok"], "soft_label": [0.9, 0.9]})
    pq.write_table(table, tmp_path / "s.parquet")
    kept = rows_of("filter", tmp_path / "s.parquet", "--min-soft-label", ".5", "--csv-safe")
    assert [row["pair_id"] for row in kept] == ["'=a", "b"]
    judged = rows_of("labels", embeddings, "--label-column", "kind", "--csv-safe")
    assert {row["given_label"] for row in judged} == {"'-a", "b"}


def test_it_is_refused_where_there_is_no_csv():
    with pytest.raises(UsageError, match="--csv-safe is about rows as CSV"):
        ScoreOptions(embeddings=["e"], out="-", csv_safe=True)
    with pytest.raises(UsageError, match="--csv-safe"):
        LabelsOptions(embeddings=["e"], label_column="kind", out="labels", csv_safe=True)
    with pytest.raises(UsageError, match="--csv-safe"):
        FilterOptions(scores=["s"], out="-", min_soft_label=0.5, write_as=FilterForm.ids, csv_safe=True)

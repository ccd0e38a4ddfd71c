"""`score -` and `labels -`: a stream on standard input is scored as a file of the same rows would be."""

import io
import json
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.options import LabelsOptions, ScoreOptions
from ncaudit.shards.files.provenance import attach, provenance_of
from ncaudit.shards.tables.made_from import data_of
from ncaudit.verbs.labels.labels import labels
from ncaudit.verbs.score.score import score
from tests.worlds.embeddings import MODEL, embedding_table

ROWS = 120


@pytest.fixture
def stdin(monkeypatch):
    def give(raw):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(raw))))

    return give


def arrow(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=50)
    return sink.getvalue()


def lines(table):
    plain = table.drop_columns(["image_hash"]).to_pylist()
    return "".join(json.dumps(row) + "\n" for row in plain).encode()


def scored(out, embeddings="-", **options):
    return score(ScoreOptions(embeddings=[str(embeddings)], out=str(out), check=False, scorer="clip-score", **options))


def read(path):
    return pq.read_table(path, partitioning=None)


def without_hashes(table):
    wide = {name: pa.list_(pa.float32(), 16) for name in ("image_embedding", "text_embedding")}
    fields = [field.with_type(wide.get(field.name, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields)).drop_columns(["image_hash"])


@pytest.mark.parametrize("form", [arrow, lines])
def test_a_stream_is_scored_as_a_file_of_the_same_rows(form, stdin, tmp_path):
    table = without_hashes(embedding_table(ROWS, failed=3)) if form is lines else embedding_table(ROWS, failed=3)
    (tmp_path / "file").mkdir()
    pq.write_table(table, tmp_path / "file/stdin.parquet")
    stdin(form(embedding_table(ROWS, failed=3)))
    result = scored(tmp_path / "streamed")
    scored(tmp_path / "scored", tmp_path / "file")
    assert read(tmp_path / "streamed/stdin.parquet").equals(read(tmp_path / "scored/stdin.parquet"))
    assert (result.accounting.rows, result.accounting.ok) == (ROWS, ROWS - 3)


def test_the_same_stream_again_redoes_nothing_and_another_one_does(stdin, tmp_path):
    for seed, resumed in ((0, 0), (0, 1), (1, 0)):
        stdin(arrow(embedding_table(ROWS, seed=seed)))
        assert scored(tmp_path / "s").accounting.shards_resumed == resumed
    assert read(tmp_path / "s/stdin.parquet")["pair_id"][0].as_py() == "1/0"


def test_pairs_without_a_name_are_called_by_their_row(stdin, tmp_path):
    stdin(arrow(embedding_table(ROWS).drop_columns(["pair_id", "shard", "row"])))
    scored(tmp_path / "s")
    assert read(tmp_path / "s/stdin.parquet")["pair_id"].to_pylist() == [f"stdin/{i}" for i in range(ROWS)]


def test_scores_of_a_stream_of_several_shards_say_what_they_rest_on(stdin, tmp_path):
    shards = [{"name": f"{name}.parquet", "fingerprint": name} for name in "ab"]
    table = embedding_table(ROWS)
    told = {"verb": "embed", "model": MODEL, "shards": shards}
    stdin(arrow(table.cast(attach(table.schema, told))))
    scored(tmp_path / "s.parquet")
    assert data_of(provenance_of(read(tmp_path / "s.parquet").schema)) == shards


def test_what_is_wrong_is_told_of_standard_input(stdin, tmp_path):
    stdin(arrow(embedding_table(ROWS).drop_columns(["text_embedding"])))
    with pytest.raises(BadTable, match=r"^standard input has no column text_embedding"):
        scored(tmp_path / "s")
    stdin(arrow(embedding_table(ROWS))[:-8])
    assert any("without Arrow's end mark" in note for note in scored(tmp_path / "s").notes)


def test_labels_reads_a_stream_too(stdin, tmp_path):
    table = embedding_table(ROWS).append_column("kind", pa.array([i % 3 for i in range(ROWS)]))
    stdin(arrow(table))
    found = labels(LabelsOptions(embeddings=["-"], out=str(tmp_path / "l"), label_column="kind"))
    assert found.accounting.rows == read(tmp_path / "l/stdin.parquet").num_rows == ROWS

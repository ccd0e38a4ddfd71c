"""Scores on standard input have our types, and can be read again once spooled."""

import io
import json

import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.schema import SCORE
from ncaudit.shards.files.provenance import attach
from ncaudit.shards.tables.score_input import StreamedScores

ROWS = [
    {"pair_id": "a", "status": "ok", "soft_label": 1, "score": None, "url": None, "when": "2024-01-01"},
    {"pair_id": "é", "status": "ok", "soft_label": None, "score": 2.5, "url": "u", "n": 3},
]


def streamed(raw):
    return StreamedScores(io.BufferedReader(io.BytesIO(raw)))


def test_json_lines_have_our_types_for_our_columns_and_what_they_show_for_others():
    scores = streamed("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode())
    table = pa.Table.from_batches(list(scores.batches()))
    for name in ("pair_id", "status", "soft_label", "score"):
        assert table.schema.field(name).type == SCORE.field(name).type
    assert table.schema.field("when").type == pa.string()  # a date stays the text that it was
    assert table.to_pylist() == [{name: row.get(name) for name in table.column_names} for row in ROWS]


def test_scores_can_be_read_again_once_spooled():
    sink = io.BytesIO()
    table = pa.table({"pair_id": ["a", "b"], "status": ["ok", "ok"], "jpg": [b"\x00", None]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    scores = streamed(sink.getvalue())
    scores.spool()
    for _ in range(2):
        assert pa.Table.from_batches(list(scores.batches())).equals(table)
    assert [batch.schema.names for batch in scores.batches(["status"])] == [["status"]]
    assert scores.notes == []


def test_a_stream_tells_what_its_schema_says_of_it_but_not_how_many_rows_are_to_come():
    sink = io.BytesIO()
    schema = attach(pa.schema([("pair_id", pa.string()), ("status", pa.string())]), {"verb": "score"})
    pa.ipc.new_stream(sink, schema).close()
    scores = streamed(sink.getvalue())
    assert scores.source == {"source": "standard input", "scored": {"verb": "score"}}
    assert scores.rows is None


def test_a_stream_without_names_or_statuses_is_refused():
    with pytest.raises(BadTable, match="standard input has no column status"):
        streamed(b'{"pair_id": "a"}')

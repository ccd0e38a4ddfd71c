"""What comes in on standard input is told by its bytes, and is all there or an error."""

import io
import json

import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.schema import SCORE
from ncaudit.shards import score_input
from ncaudit.shards.score_input import StreamedScores

ROWS = [
    {"pair_id": "a", "status": "ok", "soft_label": 1, "score": None, "url": None, "when": "2024-01-01"},
    {"pair_id": "é", "status": "ok", "soft_label": None, "score": 2.5, "url": "u", "n": 3},
]

OK = {"pair_id": "a", "status": "ok"}


def lines(*rows, end="\n"):
    return end.join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def streamed(raw):
    return StreamedScores(io.BufferedReader(io.BytesIO(raw)))


def arrow(*, end=True):
    sink = io.BytesIO()
    batch = pa.record_batch({"pair_id": ["a", "b"], "status": ["ok", "ok"], "jpg": [b"\x00", None]})
    writer = pa.ipc.new_stream(sink, batch.schema)
    writer.write_batch(batch)
    whole = sink.getvalue()
    writer.close()
    return sink.getvalue() if end else whole, pa.Table.from_batches([batch])


def test_json_lines_have_our_types_for_our_columns_and_what_they_show_for_others():
    scores = streamed(lines(*ROWS))
    table = pa.Table.from_batches(list(scores.batches()))
    for name in ("pair_id", "status", "soft_label", "score"):
        assert table.schema.field(name).type == SCORE.field(name).type
    assert table.schema.field("when").type == pa.string()  # a date stays the text that it was
    assert table.to_pylist() == [{name: row.get(name) for name in table.column_names} for row in ROWS]


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_marks_and_blank_lines_before_the_first_object_do_no_harm(start):
    assert next(streamed(start + lines(*ROWS)).batches(["pair_id"])).to_pylist() == [{"pair_id": "a"}, {"pair_id": "é"}]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([OK | {"n": 1}, OK | {"n": 1.5}], "n is not always int64"),
        ([OK | {"n": [1]}, OK | {"n": [1.5]}], "n is not always list"),
        ([OK | {"n": {"x": 1}}, OK | {"n": {"x": 1, "y": 2}}], "n is not always struct"),
        ([OK | {"n": 2.5}, OK | {"n": 2**60 + 1}], "n is not always double"),
        ([OK, OK | {"n": 1}], "line 2 has a field n"),
        ([OK, OK | {"pair_id": 7}], "pair_id is not always string"),
        ([OK, [1]], "line 2 is no JSON object"),
    ],
)
def test_lines_unlike_the_first_are_told(rows, told, monkeypatch):
    monkeypatch.setattr(score_input, "LINES_BYTES", 1)  # one line at a time
    with pytest.raises(BadTable, match=told):
        list(streamed(lines(*rows)).batches())


def test_arrow_is_exact_and_can_be_read_again_once_spooled():
    raw, table = arrow()
    scores = streamed(raw)
    scores.spool()
    for _ in range(2):
        assert pa.Table.from_batches(list(scores.batches())).equals(table)
    assert scores.notes == []


def test_an_arrow_stream_that_was_cut_is_noted_or_refused():
    raw, _ = arrow(end=False)
    scores = streamed(raw)
    assert len(list(scores.batches())) == 1
    assert "without Arrow's end mark" in scores.notes[0]
    with pytest.raises(BadTable, match="no whole Arrow stream"):
        list(streamed(raw[:-30]).batches())
    with pytest.raises(BadTable, match="no whole Arrow stream"):
        streamed(raw[:30])

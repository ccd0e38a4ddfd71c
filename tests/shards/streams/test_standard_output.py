"""What comes out of a pipe is what went in."""

import csv
import io
import json
import math

import pyarrow as pa
import pyarrow.ipc
import pytest

from ncaudit.options import StreamFormat
from ncaudit.shards.streams.standard_output import StreamWriter

TABLE = pa.table(
    {
        "caption": pa.array(['a, "b"\nc', "[red]é", None, "=1+1"]),
        "soft_label": pa.array([0.5, math.nan, None, math.inf], pa.float32()),
        "tags": pa.array([["x", "y"], [], None, ["é"]], pa.list_(pa.string())),
        "raw": pa.array([b"\x00\xff", b"", None, b"x"], pa.binary()),
    }
)


def written(kind: StreamFormat, table: pa.Table = TABLE, **options: bool) -> bytes:
    file = io.BytesIO()
    writer = StreamWriter(file, table.schema, kind, **options)
    for batch in table.to_batches(max_chunksize=3):
        writer.write(batch)
    writer.close()
    return file.getvalue()


def test_arrow_is_exact():
    read = pa.ipc.open_stream(written(StreamFormat.arrow)).read_all()
    assert read.schema == TABLE.schema
    assert str(read.to_pylist()) == str(TABLE.to_pylist())


def test_every_json_line_is_json_and_has_no_nan():
    def refuse(name: str) -> None:
        raise AssertionError(name)

    rows = [json.loads(line, parse_constant=refuse) for line in written(StreamFormat.jsonl).decode().splitlines()]
    assert [row["caption"] for row in rows] == TABLE["caption"].to_pylist()
    assert [row["soft_label"] for row in rows] == [0.5, None, None, None]
    assert rows[0]["tags"] == ["x", "y"]
    assert rows[0]["raw"] == "00ff"


def test_csv_keeps_captions_as_they_are():
    rows = list(csv.DictReader(io.StringIO(written(StreamFormat.csv).decode())))
    assert [row["caption"] for row in rows] == ['a, "b"\nc', "[red]é", "", "=1+1"]
    assert rows[0]["tags"] == '["x", "y"]'


HARMFUL = ["=1+1", "+1", "-1", "@x", "\ta", "\ra", "＝1"]
HARMLESS = ["a=1", " =1", "", None, "'=1", "é"]


@pytest.mark.parametrize(
    "text", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_csv_is_safe_only_where_asked_and_then_changes_only_what_begins_like_a_formula(text):
    cells = HARMFUL + HARMLESS
    table = pa.table({"=c": pa.array(cells, pa.string()).cast(text), "score": pa.array([-1.5] * len(cells))})
    rows = list(csv.reader(io.StringIO(written(StreamFormat.csv, table, csv_safe=True).decode(), newline="")))
    assert rows[0] == ["'=c", "score"]
    assert [row[0] for row in rows[1:]] == ["'" + cell for cell in HARMFUL] + [cell or "" for cell in HARMLESS]
    assert {row[1] for row in rows[1:]} == {"-1.5"}  # a number is none
    plain = list(csv.reader(io.StringIO(written(StreamFormat.csv, table).decode(), newline="")))
    assert [row[0] for row in plain] == ["=c", *(cell or "" for cell in cells)]


@pytest.mark.parametrize("kind", [StreamFormat.jsonl, StreamFormat.arrow])
def test_other_formats_have_no_formulas(kind):
    assert written(kind, csv_safe=True) == written(kind)


@pytest.mark.parametrize("kind", list(StreamFormat))
def test_a_stream_without_rows_is_whole(kind: StreamFormat):
    file = io.BytesIO()
    StreamWriter(file, TABLE.schema, kind).close()
    if kind is StreamFormat.arrow:
        assert pa.ipc.open_stream(file.getvalue()).read_all().num_rows == 0


FAR = {
    "year 10000": (pa.array([253402300800000001], pa.timestamp("us")), "10000-01-01 00:00:00.000001"),
    "nanoseconds of a day": (pa.array([1], pa.time64("ns")), "00:00:00.000000001"),
    "year 29349": (pa.array([10**7], pa.date32()), "29349-01-26"),
    "calendar interval": (pa.array([pa.MonthDayNano([1, 2, 3])]), "P1M2DT0.000000003S"),
    "inside a list": (pa.array([[253402300800000001]], pa.list_(pa.timestamp("us"))), ["10000-01-01 00:00:00.000001"]),
    "more seconds than Python knows": (pa.array([10**15], pa.duration("s")), 10**15),
}


@pytest.mark.parametrize("name", FAR)
def test_times_that_python_does_not_know_are_spelled_and_not_changed(name):
    column, spelled = FAR[name]
    table = pa.table({"x": column})
    assert json.loads(written(StreamFormat.jsonl, table)) == {"x": spelled}
    cell = list(csv.reader(io.StringIO(written(StreamFormat.csv, table).decode())))[1][0]
    assert (json.loads(cell) if isinstance(spelled, list) else cell) == (
        spelled if isinstance(spelled, list) else str(spelled)
    )

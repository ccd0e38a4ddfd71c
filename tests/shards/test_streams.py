"""What comes out of a pipe is what went in."""

import csv
import io
import json
import math

import pyarrow as pa
import pyarrow.ipc
import pytest

from ncaudit.options import StreamFormat
from ncaudit.shards.streams import StreamWriter

TABLE = pa.table(
    {
        "caption": pa.array(['a, "b"\nc', "[red]é", None, "=1+1"]),
        "soft_label": pa.array([0.5, math.nan, None, math.inf], pa.float32()),
        "tags": pa.array([["x", "y"], [], None, ["é"]], pa.list_(pa.string())),
        "raw": pa.array([b"\x00\xff", b"", None, b"x"], pa.binary()),
    }
)


def written(kind: StreamFormat) -> bytes:
    file = io.BytesIO()
    writer = StreamWriter(file, TABLE.schema, kind)
    for batch in TABLE.to_batches(max_chunksize=3):
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


@pytest.mark.parametrize("kind", list(StreamFormat))
def test_a_stream_without_rows_is_whole(kind: StreamFormat):
    file = io.BytesIO()
    StreamWriter(file, TABLE.schema, kind).close()
    if kind is StreamFormat.arrow:
        assert pa.ipc.open_stream(file.getvalue()).read_all().num_rows == 0

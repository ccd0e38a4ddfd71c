"""What comes in on standard input is told by its bytes, is all there or an error, and can become a file for a while."""

import errno
import io
import json
import os
import sys
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.shards.files.provenance import fingerprint_of_file
from ncaudit.shards.readers.text import json_lines
from ncaudit.shards.streams import standard_input
from ncaudit.shards.streams.standard_input import StandardInput, received

ROW = {"id": "a"}


def lines(*rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def read(raw, known=()):
    return StandardInput(io.BufferedReader(io.BytesIO(raw)), known)


def rows_of(raw, known=()):
    return pa.Table.from_batches(list(read(raw, known).batches()))


def arrow(*batches, end=True):
    sink = io.BytesIO()
    writer = pa.ipc.new_stream(sink, batches[0].schema)
    for batch in batches:
        writer.write_batch(batch)
    if end:
        writer.close()
    return sink.getvalue()


BATCH = pa.record_batch({"id": ["a", "b"], "jpg": [b"\x00", None]}).replace_schema_metadata({"huggingface": "{}"})


@pytest.fixture
def stdin(monkeypatch):
    """What the command reads."""

    def give(raw):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(raw))))

    return give


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\n \n"])
def test_marks_and_blank_lines_before_the_first_object_do_no_harm(start):
    assert rows_of(start + lines(ROW, {"id": "é"})).to_pylist() == [{"id": "a"}, {"id": "é"}]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([ROW | {"n": 1}, ROW | {"n": 1.5}], "n is not always int64"),
        ([ROW | {"n": [1]}, ROW | {"n": [1.5]}], "n is not always list"),
        ([ROW | {"n": {"x": 1}}, ROW | {"n": {"x": 1, "y": 2}}], "n is not always struct"),
        ([ROW | {"n": 2.5}, ROW | {"n": 2**60 + 1}], "n is not always double"),
        ([ROW, ROW | {"n": 1}], "line 2 has a field n"),
        ([ROW, ROW | {"id": 7}], "id is not always string"),
        ([ROW, [1]], "line 2 is no JSON object"),
    ],
)
def test_lines_unlike_the_first_are_told(rows, told, monkeypatch):
    monkeypatch.setattr(standard_input, "LINES_BYTES", 1)  # one line at a time
    with pytest.raises(BadTable, match=told):
        rows_of(lines(*rows))


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "standard input is empty"),
        (b' [{"id": 1}]', "is a JSON array, not JSON lines"),
        (b"PAR1....", "starts with b'PAR1....': neither an Arrow stream nor JSON lines"),
    ],
)
def test_what_is_no_stream_is_told_by_its_beginning(raw, told):
    with pytest.raises(BadTable) as caught:
        read(raw)
    assert told in caught.value.message


def test_arrow_is_exact():
    found = read(arrow(BATCH))
    assert pa.Table.from_batches(list(found.batches())).equals(pa.Table.from_batches([BATCH]), check_metadata=True)
    assert found.notes == []


def test_an_arrow_stream_that_was_cut_is_noted_or_refused():
    raw = arrow(BATCH, end=False)
    cut = read(raw)
    assert len(list(cut.batches())) == 1
    assert "without Arrow's end mark" in cut.notes[0]
    with pytest.raises(BadTable, match="no whole Arrow stream"):
        list(read(raw[:-30]).batches())
    with pytest.raises(BadTable, match="no whole Arrow stream"):
        read(raw[:30])


def test_sources_that_are_files_stay_as_they_are():
    with received(["a", "b"]) as given:
        assert (given.sources, given.spooled) == (["a", "b"], False)
    with pytest.raises(UsageError, match="- is one of several inputs"), received(["a", "-"]):
        pass


def test_standard_input_becomes_a_file_of_bounded_row_groups_until_the_end(stdin, monkeypatch):
    monkeypatch.setattr(standard_input, "GROUP_ROWS", 4)
    spans = ((0, 1), (1, 10), (10, 10), (10, 12))
    numbers = [pa.record_batch({"n": pa.array(range(first, last), pa.int64())}) for first, last in spans]
    stdin(arrow(*numbers, end=False))
    with received(["-"]) as given:
        (path,) = given.sources
        assert os.path.basename(path) == "stdin.parquet"
        file = pq.ParquetFile(path)
        assert file.read().to_pydict() == {"n": list(range(12))}
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert (min(sizes[:-1]), max(sizes)) == (4, 5)
        assert "without Arrow's end mark" in given.notes[0]
    assert not os.path.exists(os.path.dirname(path))


def test_json_lines_in_a_file_have_the_types_of_all_of_them(stdin, monkeypatch):
    monkeypatch.setattr(json_lines, "LINES_BYTES", 1)
    rows = [{"id": "a", "n": None, "e": [0, 1]}, {"id": "b", "n": 1, "e": None}, {"id": "c", "n": 1.5, "e": [0.5]}]
    stdin(b"\xef\xbb\xbf" + lines(*rows, {"id": "d", "new": "x"}))
    with received(["-"]) as given:
        table = pq.read_table(given.sources[0])
        assert [table.schema.field(name).type for name in "ne"] == [pa.float64(), pa.list_(pa.float64())]
        assert table.to_pylist()[:3] == [row | {"new": None} for row in rows]
        assert os.listdir(os.path.dirname(given.sources[0])) == ["stdin.parquet"]
    stdin(lines(ROW) + b'\n{"id":')
    with pytest.raises(BadTable, match=r"^standard input, line 2 is no JSON"), received(["-"]):
        pass


def test_hashes_of_64_bits_come_in_as_they_are(monkeypatch):
    rows = [{"id": "a", "n": 2**64 - 1}, {"id": "b", "n": 2**63}, {"id": "c", "n": 0}]
    assert rows_of(lines(*rows)).to_pylist() == rows
    monkeypatch.setattr(standard_input, "LINES_BYTES", 1)  # one line at a time
    with pytest.raises(BadTable, match="n is not always int64"):
        rows_of(lines({"id": "a", "n": 1}, {"id": "b", "n": 2**63}))


def test_the_files_fingerprint_speaks_for_every_byte(stdin):
    def found(middle):
        stdin(arrow(pa.record_batch({"x": [[0.0, 9.0], [0.0, middle], [0.0, 9.0]]})))  # statistics are all the same
        with received(["-"]) as given:
            return fingerprint_of_file(given.sources[0])

    assert found(2.0) == found(2.0) != found(3.0)


def test_errors_name_standard_input_and_nothing_is_left_even_after_ctrl_c(stdin):
    kept = []

    def fails(error):
        stdin(arrow(BATCH))
        with received(["-"]) as given:
            kept.extend(given.sources)
            raise error(given.sources[0])

    with pytest.raises(BadTable, match=r"^standard input has no column caption$"):
        fails(lambda path: BadTable(f"{path} has no column caption", fix="f"))
    with pytest.raises(KeyboardInterrupt):
        fails(KeyboardInterrupt)
    assert len(kept) == 2
    assert not any(os.path.exists(os.path.dirname(path)) for path in kept)


def test_a_full_disk_and_a_type_that_parquet_lacks_are_told(stdin, monkeypatch):
    stdin(arrow(pa.record_batch({"x": pa.array([{}], pa.struct([]))})))
    with pytest.raises(BadTable, match="standard input has a column that cannot be kept"), received(["-"]):
        pass

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    stdin(arrow(BATCH))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(NcauditError) as caught, received(["-"]):
        pass
    assert "TMPDIR" in caught.value.fix


VIEWS = {
    "id": pa.array(["a", "b"], pa.string_view()),
    "raw": pa.array([b"\xff", None], pa.binary_view()),
    "lang": pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), pa.array(["en"], pa.string_view())),
    "uid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16), None], pa.binary(16))),
}


def test_views_and_extensions_come_in_as_plain_types(stdin):
    sent = arrow(pa.record_batch(VIEWS))
    plain = {
        "id": ["a", "b"],
        "raw": [b"\xff", None],
        "lang": ["en", None],
        "uid": ["-".join("0" * n for n in (8, 4, 4, 4, 12)), None],
    }
    assert rows_of(sent).to_pydict() == plain
    stdin(sent)
    with received(["-"]) as given:
        assert pq.read_table(given.sources[0]).to_pydict() == plain


def test_what_the_file_for_a_while_cannot_hold_is_left_out_and_said(stdin):
    stdin(arrow(pa.record_batch({"id": ["a"], "age": pa.array([pa.MonthDayNano([1, 2, 3])])})))
    with received(["-"]) as given:
        assert pq.read_table(given.sources[0]).column_names == ["id"]
        assert given.notes == ("left out, as parquet has no such type: age (month_day_nano_interval)",)


def test_a_stream_keeps_what_parquet_could_not_hold():
    sent = pa.record_batch({"age": pa.array([pa.MonthDayNano([1, 2, 3])])})
    assert rows_of(arrow(sent)).to_batches() == [sent]


def test_two_columns_of_one_name_are_refused_in_a_stream():
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(BadTable, match="standard input has two columns a"):
        read(arrow(batch))
    with pytest.raises(BadTable, match="standard input, line 1 names a twice"):
        read(b'{"a": 1, "a": 2}')


def test_an_offset_that_lies_is_told_before_anybody_follows_it():
    offsets = pa.array([0, 2**30, 2], pa.int32()).buffers()[1]
    lies = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"ab"))
    with pytest.raises(BadTable, match="standard input is no whole Arrow stream"):
        rows_of(arrow(pa.record_batch({"a": lies})))

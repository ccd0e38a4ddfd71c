"""Columns of types that other tools write: named by, carried, settled once for all shards, left out or refused."""

import io
import json
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds.commands import embedded, told
from tests.worlds.datasets import write
from tests.worlds.images import of_one_colour
from tests.worlds.made import made_in

ROWS = 6
IMAGES = [of_one_colour((40 * i, 99, 7), (16, 16)) for i in range(ROWS)]
CAPTIONS = [f"caption {i}" for i in range(ROWS)]
UUIDS = [uuid.UUID(int=i) for i in range(ROWS)]
NESTED = ["--columns", "list", "--columns", "struct", "--columns", "n"]


def pairs(**more):
    return {"image": pa.array(IMAGES, pa.binary()), "caption": CAPTIONS, **more}


def uuids():
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array([one.bytes for one in UUIDS], pa.binary(16)))


def arrow(path, table, new=pa.ipc.new_file):
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table)
    return path


def types(path):
    return {field.name: field.type for field in pq.read_schema(path)}


def options(path):
    return json.loads(pq.read_schema(path).metadata[b"ncaudit"])["options"]


def test_a_uuid_names_pairs_is_found_as_the_key_and_is_text_wherever_it_is_written(tmp_path):
    embedded(write(tmp_path / "x.parquet", pairs(uid=uuids())), tmp_path / "e")
    embedded(tmp_path / "x.parquet", tmp_path / "named", "--key", "uid")
    for folder in ("e", "named"):
        table = pq.read_table(tmp_path / folder / "x.parquet")
        assert table["pair_id"].to_pylist() == table["uid"].to_pylist() == [str(one) for one in UUIDS]
    rows = json.loads(embedded(tmp_path / "x.parquet", "-", "--format", "jsonl").stdout.splitlines()[3])
    assert rows["uid"] == rows["pair_id"] == str(UUIDS[3])


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_tables_of_views_are_embedded_like_the_same_rows_in_parquet(tmp_path, new):
    plain = pa.table(pairs(lang=pa.array(["en", None, "de"] * 2).dictionary_encode(), n=range(ROWS)))
    category = pa.DictionaryArray.from_arrays(pa.array([0, None, 1] * 2), pa.array(["en", "de"], pa.string_view()))
    struct = [pa.array(IMAGES, pa.binary_view()), pa.nulls(ROWS, pa.string_view())]
    for name, image in (
        ("bytes", pa.array(IMAGES, pa.binary_view())),
        ("struct", pa.StructArray.from_arrays(struct, ["bytes", "path"])),
    ):
        views = {"image": image, "caption": pa.array(CAPTIONS, pa.string_view()), "lang": category, "n": range(ROWS)}
        embedded(arrow(tmp_path / "x.arrow", pa.table(views), new), tmp_path / name)
    embedded(write(tmp_path / "x.parquet", plain), tmp_path / "plain")
    assert (
        pq.read_table(tmp_path / "bytes/x.parquet")
        .drop(["shard"])
        .equals(pq.read_table(tmp_path / "plain/x.parquet").drop(["shard"]))
    )
    assert pq.read_table(tmp_path / "struct/x.parquet").equals(pq.read_table(tmp_path / "bytes/x.parquet"))


def test_what_parquet_cannot_hold_is_left_out_and_said_and_refused_where_it_was_asked_for(tmp_path):
    interval = pa.array([pa.MonthDayNano([1, 2, 3])] * ROWS)
    path = arrow(tmp_path / "x.arrow", pa.table(pairs(age=interval, n=range(ROWS))))
    ran = embedded(path, tmp_path / "e", "--json")
    assert json.loads(ran.stdout)["notes"] == ["left out, as parquet has no such type: age (month_day_nano_interval)"]
    assert "age" not in types(tmp_path / "e/x.parquet")
    assert types(tmp_path / "e/x.parquet")["n"] == pa.int64()
    assert "age is month_day_nano_interval, which no table in parquet can hold" in told(
        "embed", path, "--model", "local-dir:nowhere", "--out", tmp_path / "f", "--columns", "age"
    )


def shards(folder):
    """Two shards: three columns are open in the first alone, one in both."""
    open_ones = {"n": pa.nulls(ROWS), "list": [[None]] * ROWS, "struct": [{"a": None, "b": 1}] * ROWS}
    full = {"n": range(ROWS), "list": [[1]] * ROWS, "struct": [{"a": "x", "b": 1}] * ROWS}
    write(folder / "0.parquet", pairs(**open_ones, never=pa.nulls(ROWS)))
    write(folder / "1.parquet", pairs(**full, never=pa.nulls(ROWS)))
    return folder


def test_a_column_that_is_null_throughout_a_shard_has_the_type_of_the_others(tmp_path):
    embedded(shards(tmp_path / "data"), tmp_path / "e", *NESTED, "--columns", "never")
    first, second = (types(tmp_path / f"e/{i}.parquet") for i in range(2))
    assert first == second
    assert (first["n"], first["list"].value_type) == (pa.int64(), pa.int64())
    assert (first["struct"].field("a").type, first["never"]) == (pa.string(), pa.string())
    assert options(tmp_path / "e/0.parquet")["types"]["n"] == "int64"
    assert "types" not in options(tmp_path / "e/1.parquet")
    assert pq.read_table(tmp_path / "e/0.parquet")["n"].null_count == ROWS


def test_what_was_settled_stays_when_shards_come_and_is_not_done_again(tmp_path):
    embedded(shards(tmp_path / "data"), tmp_path / "e")
    before = {path.name: path.read_bytes() for path in (tmp_path / "e").glob("*.parquet")}
    settled = json.loads((tmp_path / "e/_run.json").read_text())["types"]
    write(tmp_path / "data/2.parquet", pairs(n=pa.nulls(ROWS), never=range(ROWS)))
    write(tmp_path / "data/-.parquet", pairs(n=["a"] * ROWS, never=pa.nulls(ROWS)))  # first by its name
    embedded(tmp_path / "data", tmp_path / "e")
    assert {name: (tmp_path / "e" / name).read_bytes() for name in before} == before
    assert json.loads((tmp_path / "e/_run.json").read_text())["types"] == settled
    assert (types(tmp_path / "e/2.parquet")["n"], types(tmp_path / "e/2.parquet")["never"]) == (pa.int64(), pa.int64())
    assert types(tmp_path / "e/-.parquet")["never"] == pa.string()


def test_types_do_not_depend_on_how_the_work_is_divided(tmp_path):
    data = shards(tmp_path / "data")
    embedded(data, tmp_path / "e")
    for name in ("1", "0"):
        embedded(data / f"{name}.parquet", tmp_path / "one by one")
    assert made_in(tmp_path / "one by one") == made_in(tmp_path / "e")


def test_a_stream_of_such_shards_has_one_type(tmp_path):
    ran = embedded(shards(tmp_path / "data"), "-")
    table = pa.ipc.open_stream(io.BytesIO(ran.stdout_bytes)).read_all()
    assert table["n"].to_pylist() == [None] * ROWS + list(range(ROWS))
    assert table["n"].type == pa.int64()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_empty_column_of_text_formats_has_the_type_of_the_others(tmp_path, suffix):
    (tmp_path / "data").mkdir()
    for shard, numbers in enumerate(([None] * ROWS, range(ROWS))):
        for i, image in enumerate(IMAGES):
            (tmp_path / f"data/{i}.png").write_bytes(image)
        rows = [(f"{i}.png", caption, n) for i, (caption, n) in enumerate(zip(CAPTIONS, numbers, strict=True))]
        if suffix == "csv":
            lines = ["image_path,caption,n", *(f"{path},{text},{'' if n is None else n}" for path, text, n in rows)]
        else:
            lines = [json.dumps({"image_path": path, "caption": text, "n": n}) for path, text, n in rows]
        (tmp_path / f"data/{shard}.{suffix}").write_text("\n".join(lines) + "\n")
    embedded(tmp_path / "data", tmp_path / "e")
    assert [types(tmp_path / f"e/{i}.parquet")["n"] for i in range(2)] == [pa.int64(), pa.int64()]


def test_two_columns_of_one_name_are_refused_unless_others_are_asked_for(tmp_path):
    table = pa.table(pairs(uid=[f"u{i}" for i in range(ROWS)], n=range(ROWS)))
    for name in ("caption", "image", "n", "uid"):
        write(tmp_path / f"{name}.parquet", table.append_column(name, table[name]))
        words = ("--model", "local-dir:nowhere", "--out", tmp_path / "never")
        assert f"{name}.parquet has two columns {name} | " in told("embed", tmp_path / f"{name}.parquet", *words)
    embedded(tmp_path / "n.parquet", tmp_path / "e", "--columns", "uid")
    assert pq.read_table(tmp_path / "e/n.parquet")["pair_id"].to_pylist() == [f"u{i}" for i in range(ROWS)]
    assert "has two columns n" in told("inspect", tmp_path / "n.parquet")


def test_damaged_pages_of_a_finished_table_are_found_when_it_is_next_read(tmp_path):
    embedded(write(tmp_path / "x.parquet", pairs()), tmp_path / "e")
    path = tmp_path / "e/x.parquet"
    chunks = map(pq.read_metadata(path).row_group(0).column, range(12))
    chunk = next(c for c in chunks if "image_embedding" in c.path_in_schema)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 8] ^= 0x10  # a value, which would pass for another
    path.write_bytes(data)
    said = told("score", tmp_path / "e", "--out", tmp_path / "s", "--no-check", "--device", "cpu")
    assert "x.parquet is damaged: a page of it is not what its checksum says" in said
    assert "delete it and run that command again" in said

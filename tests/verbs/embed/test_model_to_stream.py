"""`embed -` reads a stream as it would read a file of the same rows; `embed --out -` streams what it would write."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ncaudit.encoders.open_clip import Encoder, load_encoder
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import EmbedOptions
from ncaudit.shards.files.provenance import provenance_of
from ncaudit.verbs.embed import model_here, model_to_stream, shard
from ncaudit.verbs.embed.embed import embed
from tests.worlds.sample import TINY


@pytest.fixture(scope="module")
def encoder():
    options = EmbedOptions(sources=["-"], out="-", model=TINY, device="cpu", precision="float32")
    return load_encoder(options)


@pytest.fixture(autouse=True)
def loaded_once(encoder, monkeypatch):
    monkeypatch.setattr(model_here, "load_encoder", lambda options: encoder)


@pytest.fixture
def stdout(monkeypatch):
    sink = io.BytesIO()
    written_to(sink, monkeypatch)
    return sink


def written_to(sink, monkeypatch):
    # not sys.stdout itself, which pytest changes between fixture and test
    monkeypatch.setattr(model_to_stream, "sys", SimpleNamespace(stdout=SimpleNamespace(buffer=sink)))


def give(monkeypatch, raw):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(raw))))


def arrow(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def photo(seed):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def pairs(first, last, **more):
    rows = range(first, last)
    images = [b"no image" if i == 1 else photo(i) for i in rows]
    return pa.table({"png": images, "caption": [f"number {i}" for i in rows], **more})


def run(source, out, **options):
    usual = {"model": TINY, "device": "cpu", "precision": "float32", "workers": 0, "batch_pairs": 4}
    return embed(EmbedOptions(sources=[str(source)], out=str(out), **usual | options))


def read(path):
    return pq.read_table(path, partitioning=None)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(pairs(0, 5, n=pa.array([1, 2, 3, 4, 5], pa.int32())), tmp_path / "data/0.parquet")
    pq.write_table(pairs(5, 8, n=pa.array([2**40, 0, None]), url=["a", "b", "c"]), tmp_path / "data/1.parquet")
    return tmp_path / "data"


def test_the_stream_has_the_rows_of_the_tables_in_single_precision(data, stdout, tmp_path):
    run(data, tmp_path / "out")
    result = run(data, "-")
    tables = [read(tmp_path / f"out/{i}.parquet") for i in (0, 1)]
    streamed = pa.ipc.open_stream(stdout.getvalue()).read_all()
    assert streamed.to_pylist() == pa.concat_tables(tables, promote_options="permissive").to_pylist()
    assert streamed.schema.field("image_embedding").type.value_type == pa.float32()
    assert (result.accounting.rows, result.accounting.ok) == (8, 7)
    told, kept = provenance_of(streamed.schema), provenance_of(tables[0].schema)
    assert told["model"] == kept["model"]
    assert told["shards"] == [provenance_of(table.schema)["source"] for table in tables]
    assert not (tmp_path / "-").exists()


def test_one_shard_is_told_as_its_table_would_and_jsonl_is_lists(data, stdout, tmp_path):
    run(data / "0.parquet", "-", format="jsonl", columns=[])
    run(data / "0.parquet", tmp_path / "out", columns=[])
    table = read(tmp_path / "out/0.parquet")
    rows = [json.loads(line) for line in stdout.getvalue().splitlines()]
    assert [row["image_embedding"] for row in rows] == table["image_embedding"].to_pylist()
    assert [row["status"] for row in rows] == ["ok", "image_undecodable", "ok", "ok", "ok"]
    stdout.seek(stdout.truncate(0))
    run(data / "0.parquet", "-", columns=[])
    assert (
        provenance_of(pa.ipc.open_stream(stdout.getvalue()).schema)["source"] == provenance_of(table.schema)["source"]
    )


def test_shards_that_cannot_share_a_stream_are_refused_before_the_first_row(data, stdout):
    pq.write_table(pairs(5, 8, n=["x", "y", "z"]), data / "1.parquet")
    with pytest.raises(BadTable, match=r"1\.parquet has a column of another type"):
        run(data, "-")
    assert stdout.getvalue() == b""


def test_a_reader_that_leaves_is_not_an_error_of_ours(data, monkeypatch):
    class Closed(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError

    written_to(Closed(), monkeypatch)
    with pytest.raises(BrokenPipeError):  # the command makes 141 of it
        run(data, "-")


@pytest.mark.parametrize("failing", [1, 2])
def test_out_of_memory_begins_a_shard_again_unless_its_rows_are_out(failing, data, stdout, monkeypatch):
    monkeypatch.setattr(shard, "WINDOW_ROWS", 2)
    begin, calls = Encoder.begin_images, []

    def limited(self, pixels):
        calls.append(len(pixels))
        if len(calls) == failing:
            raise torch.OutOfMemoryError
        return begin(self, pixels)

    monkeypatch.setattr(Encoder, "begin_images", limited)
    if failing == 1:
        assert run(data / "0.parquet", "-", batch_pairs=2).accounting.rows == 5
        assert pa.ipc.open_stream(stdout.getvalue()).read_all().num_rows == 5
    else:
        with pytest.raises(NcauditError, match=r"0\.parquet: out of memory, and some of its rows") as caught:
            run(data / "0.parquet", "-", batch_pairs=2)
        assert caught.value.fix == "give a --batch-pairs below 2"


def test_a_stream_is_embedded_as_a_file_of_the_same_rows(data, tmp_path, monkeypatch):
    table = pq.read_table(data / "0.parquet")
    (tmp_path / "file").mkdir()
    pq.write_table(table, tmp_path / "file/stdin.parquet")
    give(monkeypatch, arrow(table))
    result = run("-", tmp_path / "streamed")
    run(tmp_path / "file", tmp_path / "out")
    found = read(tmp_path / "streamed/stdin.parquet")
    assert found.equals(read(tmp_path / "out/stdin.parquet"))
    assert found["pair_id"].to_pylist() == [f"stdin/{i}" for i in range(5)]
    assert result.accounting.rows == 5
    give(monkeypatch, arrow(table))
    assert run("-", tmp_path / "streamed").accounting.shards_resumed == 1


@pytest.mark.parametrize("root", [None, "photos"])
def test_image_paths_in_json_lines_start_from_the_working_folder_or_the_root(root, tmp_path, monkeypatch):
    folder = tmp_path / (root or ".")
    folder.mkdir(exist_ok=True)
    for i in (0, 2):
        (folder / f"{i}.png").write_bytes(photo(i))
    rows = [{"image_path": f"{i}.png", "caption": f"number {i}", "uid": i, "similarity": 0.3} for i in (0, 1, 2)]
    give(monkeypatch, "\n".join(map(json.dumps, rows)).encode())
    monkeypatch.chdir(tmp_path)
    run("-", tmp_path / "out", image_root=root)
    table = read(tmp_path / "out/stdin.parquet")
    assert table["status"].to_pylist() == ["ok", "image_missing", "ok"]
    assert table["pair_id"].to_pylist() == ["0", "1", "2"]
    assert table["input_similarity"].to_pylist() == [0.3] * 3  # the user's own, not rounded to ours


def test_what_is_wrong_is_told_of_standard_input(tmp_path, monkeypatch):
    give(monkeypatch, arrow(pa.table({"png": [b""]})))
    with pytest.raises(BadTable, match=r"^stdin\.parquet has no caption column"):
        run("-", tmp_path / "out")
    give(monkeypatch, arrow(pairs(0, 0)))
    with pytest.raises(BadTable, match=r"^standard input holds no rows"):
        run("-", tmp_path / "out")
    with pytest.raises(UsageError, match="one stream"):
        EmbedOptions(sources=["-"], out="-", devices="cpu,cpu")

"""Arrow files and streams, compressed or not, local or remote, are the tables that were written to them."""

import os

import fsspec
import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard

TABLE = pa.table(
    {"caption": [f"caption {i}" for i in range(100)], "kind": pa.array(["a", "b"] * 50).dictionary_encode()},
    metadata={"huggingface": "{}"},
)


def write(path, new, rows=30, **options):
    with pa.OSFile(str(path), "wb") as file, new(file, TABLE.schema, options=pa.ipc.IpcWriteOptions(**options)) as to:
        to.write_table(TABLE, max_chunksize=rows)
    return str(path)


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
@pytest.mark.parametrize("remote", [False, True])
def test_what_is_written_is_what_is_read(new, compression, remote, tmp_path):
    path = write(tmp_path / "x.arrow", new, compression=compression)
    if remote:
        fsspec.filesystem("memory").put(path, "/arrow_ipc.arrow")
        path = "memory://arrow_ipc.arrow"
    shard = open_shard(Shard.of_file(path))
    assert shard.schema.equals(TABLE.schema, check_metadata=True)
    assert (shard.rows, shard.pieces) == (100, 4 if new is pa.ipc.new_file else 1)
    for _ in range(2):
        batches = list(shard.batches(8))
        assert max(map(len, batches)) == 8
        assert pa.Table.from_batches(batches).equals(TABLE)
    assert pa.Table.from_batches(shard.batches(8, ["kind"])).column_names == ["kind"]
    assert sum(len(b) for piece in range(shard.pieces) for b in shard.batches(8, [], [piece])) == 100


def test_no_batch_is_no_row(tmp_path):
    for new in (pa.ipc.new_file, pa.ipc.new_stream):
        with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file, new(file, TABLE.schema):
            pass
        shard = open_shard(Shard.of_file(str(tmp_path / "x.arrow")))
        assert (shard.rows, list(shard.batches(8))) == (0, [])


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_a_file_cut_anywhere_is_told(new, tmp_path):
    whole = (tmp_path / "x.arrow", write(tmp_path / "x.arrow", new, rows=50))[0].read_bytes()
    for end in (12, len(whole) // 2, len(whole) - 8, len(whole) - 1):
        (tmp_path / "x.arrow").write_bytes(whole[:end])
        with pytest.raises(BadTable, match=r"x\.arrow (cannot be read as Arrow IPC|was cut short)"):
            list(open_shard(Shard.of_file(str(tmp_path / "x.arrow"))).batches(8))


def test_a_stream_cut_between_batches_is_told(tmp_path):
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file:
        writer = pa.ipc.new_stream(file, TABLE.schema)
        writer.write_table(TABLE)
        file.flush()
        (tmp_path / "cut.arrow").write_bytes((tmp_path / "x.arrow").read_bytes())
        writer.close()
    with pytest.raises(BadTable, match="no end mark"):
        open_shard(Shard.of_file(str(tmp_path / "cut.arrow")))


def test_a_stream_that_was_read_is_open_no_longer(tmp_path):
    path = write(tmp_path / "x.arrow", pa.ipc.new_stream)
    shard = open_shard(Shard.of_file(path))
    assert (shard.rows, len(list(shard.batches(100)))) == (100, 4)
    open_files = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]
    assert path not in [os.readlink(f"/proc/self/fd/{fd}") for fd in open_files]

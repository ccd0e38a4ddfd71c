"""Files with a few damaged bytes, each read in a process of its own: `python -m tests.worlds.mutated_files KIND COUNT`.

Prints one JSON object: how many readings ended in which way. The parent has imported and computed nothing, so that a
fork is cheap and sound; torch is never loaded here.
"""

import io
import json
import os
import random
import signal
import sys
import tempfile
import uuid
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit.errors import NcauditError
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.streams.standard_input import StandardInput

ROWS, GROUP, SECONDS = 60, 25, 30
HOW = ("flip", "flip", "flip", "word", "cut", "insert", "repeat", "zero")
WORDS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x05\x00\x00\x00", bytes(4))
KINDS = ("arrow file", "arrow file lz4", "arrow stream", "standard input", "parquet")


def main(kind: str, count: int) -> None:
    """Read `count` mutations of a file of this kind."""
    whole, ends = _whole(kind), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(count):
            path = os.path.join(folder, f"{seed}.parquet" if kind == "parquet" else f"{seed}.arrow")
            with open(path, "wb") as file:
                file.write(_mutated(whole, random.Random(f"{kind} {seed}")))
            ends[_end_of(path, kind, seed)] += 1
            os.remove(path)
    print(json.dumps(ends))


def _whole(kind: str) -> bytes:
    sink, table = io.BytesIO(), _table(views=kind != "parquet")
    if kind == "parquet":
        pq.write_table(table, sink, row_group_size=GROUP)
        return sink.getvalue()
    new = pa.ipc.new_file if kind.startswith("arrow file") else pa.ipc.new_stream
    options = pa.ipc.IpcWriteOptions(compression="lz4" if "lz4" in kind else None)
    with new(sink, table.schema, options=options) as writer:
        writer.write_table(table, GROUP)
    return sink.getvalue()


def _table(views: bool) -> pa.Table:
    ids = pa.array([uuid.UUID(int=i).bytes for i in range(ROWS)], pa.binary(16))
    columns = {
        "jpg": pa.array([bytes([i]) * 40 if i % 7 else None for i in range(ROWS)], pa.binary()),
        "caption": [f"a red circle {i}" for i in range(ROWS)],
        "lang": pa.array(["en", "de", None] * 20).dictionary_encode(),
        "uid": pa.ExtensionArray.from_storage(pa.uuid(), ids),
        "list": pa.array([[1, 2], None, [3]] * 20),
        "image": pa.array([{"bytes": b"x", "path": "p"}, None, {"bytes": None, "path": "q"}] * 20),
        "map": pa.array([[("a", 1)], None, []] * 20, pa.map_(pa.string(), pa.int8())),
        "embedding": pa.array([[1.0, 2.0]] * ROWS, pa.list_(pa.float16(), 2)),
    }
    if views:
        columns["view"] = pa.array(["x" * (i % 30) for i in range(ROWS)], pa.string_view())
        columns["list_view"] = pa.array([[1, 2], None, [3]] * 20, pa.list_view(pa.int64()))
        columns["runs"] = pa.RunEndEncodedArray.from_arrays(pa.array([20, ROWS], pa.int32()), ["a", "b"])
    return pa.table(columns)


def _mutated(whole: bytes, draw: random.Random) -> bytes:
    data, how, at = bytearray(whole), draw.choice(HOW), draw.randrange(len(whole))
    if draw.random() < 0.4:  # where a file tells what it holds
        at = max(0, len(whole) - 1 - int(draw.expovariate(1 / 300)))
    if how == "flip":
        for _ in range(draw.choice((1, 1, 2, 8))):
            data[min(len(data) - 1, at + draw.randrange(16))] ^= 1 << draw.randrange(8)
    elif how == "word":
        data[at - at % 4 : at - at % 4 + 4] = draw.choice(WORDS)
    elif how == "cut":
        del data[at:]
    elif how == "zero":
        data[at : at + 64] = bytes(min(64, len(data) - at))
    else:
        data[at:at] = draw.randbytes(9) if how == "insert" else data[at : at + draw.randrange(1, 64)]
    return bytes(data)


def _end_of(path: str, kind: str, seed: int) -> str:
    child = os.fork()
    if not child:
        signal.alarm(SECONDS)
        os._exit(_read(path, kind))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {0: "read", 1: "told"}.get(code, f"seed {seed} ended with {code}")


def _read(path: str, kind: str) -> int:
    try:
        if kind == "standard input":
            stream = StandardInput(io.BufferedReader(io.FileIO(path)))
            return 0 if sum(len(batch) for batch in stream.batches()) <= 2 * ROWS else 3
        file = open_shard(Shard.of_file(path))
        return 0 if sum(_looked_into(batch) for batch in file.batches(16)) == file.rows else 3
    except (NcauditError, MemoryError):
        return 1
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


def _looked_into(batch: pa.RecordBatch) -> int:
    batch.to_pylist()
    return len(batch)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

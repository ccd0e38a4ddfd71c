"""Small files that stand for gigabytes, and a process that reads each in a child: `python -m tests.worlds.bombs DIR`.

Prints one JSON object: by file the exit code, what was said, and the most memory it took.
"""

import gzip
import io
import json
import os
import sys
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

from ncaudit.cli.app import app
from tests.worlds.images import of_one_colour

MIB = 1 << 20
LONG = "a" * MIB
ROWS = 1_200
IMAGE = of_one_colour((9, 9, 9), (8, 8))


def repeated(rows: int = ROWS, text: str = LONG) -> pa.Array:
    """A dictionary of one long text, which every row means."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [text])


def pairs(captions: pa.Array) -> pa.RecordBatch:
    """Images with these captions."""
    return pa.record_batch({"jpg": pa.array([IMAGE] * len(captions), pa.binary()), "caption": captions})


def views() -> pa.Array:
    """One long text, of which every row is a view."""
    heads = np.zeros((ROWS, 4), np.int32)
    heads[:, 0], heads[:, 1] = MIB, int.from_bytes(LONG[:4].encode(), "little")
    buffers = [None, pa.py_buffer(heads.tobytes()), pa.py_buffer(LONG.encode())]
    return pa.Array.from_buffers(pa.string_view(), ROWS, buffers)


def runs() -> pa.Array:
    """One long text in a run of all rows."""
    return pa.RunEndEncodedArray.from_arrays(pa.array([ROWS], pa.int32()), [LONG])


def write_arrow(path: str, batch: pa.RecordBatch, *, stream: bool = False, packed: str | None = None) -> None:
    """An Arrow file or stream."""
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(path, batch.schema, options=pa.ipc.IpcWriteOptions(compression=packed)) as writer:
        writer.write_batch(batch)


def write_parquet(path: str, captions: pa.Array, **how: object) -> None:
    """A parquet file that does not say it once was a dictionary."""
    table = pa.Table.from_batches([pairs(captions)])
    pq.write_table(table, path, compression="zstd", store_schema=False, row_group_size=len(table), **how)


def write_gzip(path: str, first: bytes, part: bytes, times: int, last: bytes) -> None:
    """Text in gzip, most of it one part many times."""
    with gzip.open(path, "wb", 1) as file:
        file.write(first)
        for _ in range(times):
            file.write(part)
        file.write(last)


class _Zeros(io.RawIOBase):
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        buffer[:] = bytes(len(buffer))
        return len(buffer)


def write_tar(path: str, large: int) -> None:
    """Samples of which one each has an image, a caption and a JSON of `large` bytes; the others are whole."""
    sizes = {"0.txt": 0, "1.txt": large, "2.jpg": large, "2.txt": 0, "3.txt": 0, "3.json": large, "4.txt": 0}
    with gzip.open(path, "wb", 1) as packed, tarfile.open(fileobj=packed, mode="w|") as tar:
        for number in range(5):
            members = {name: size for name, size in sizes.items() if name.startswith(str(number))}
            members = members if f"{number}.jpg" in members else {f"{number}.jpg": 0, **members}
            for name, size in members.items():
                content = IMAGE if name.endswith("jpg") else b"a dog"
                member = tarfile.TarInfo(name)
                member.size = size or len(content)
                tar.addfile(member, _Zeros() if size else io.BytesIO(content))


def write_features(folder: str, rows: int, dims: int) -> None:
    """A table and the features beside it, which are all the same."""
    table = pa.table({"uid": [f"{i:032x}" for i in range(rows)], "text": ["a dog"] * rows})
    pq.write_table(table, os.path.join(folder, "features.parquet"))
    head, row = io.BytesIO(), np.full(dims, 0.5, np.float32).tobytes()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (rows, dims)})
    with zipfile.ZipFile(os.path.join(folder, "features.npz"), "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for kind in ("img", "txt"):
            with archive.open(f"l14_{kind}.npy", "w") as file:
                file.write(head.getvalue())
                for _ in range(rows):
                    file.write(row)


def write_all(folder: str) -> None:
    """Every kind."""

    def at(name: str) -> str:
        return os.path.join(folder, name)

    write_parquet(at("dictionary.parquet"), repeated())
    plain = repeated(300).cast(pa.string())
    write_parquet(at("page.parquet"), plain, use_dictionary=False)
    prefixes = {"caption": "DELTA_BYTE_ARRAY", "jpg": "PLAIN"}
    write_parquet(at("prefixes.parquet"), plain, use_dictionary=False, column_encoding=prefixes)
    nested = pa.ListArray.from_arrays(pa.array([0, 400, *range(401, 901)], pa.int32()), repeated(900, LONG[: MIB // 4]))
    write_parquet(at("nested.parquet"), nested)
    nulls = pa.ListArray.from_arrays(pa.array([0, 1, 100_000_000], pa.int32()), pa.nulls(100_000_000))
    write_parquet(at("nulls.parquet"), nulls)
    write_arrow(at("packed.arrow"), pairs(plain), packed="zstd")
    write_arrow(at("packed_stream.arrow"), pairs(plain), packed="lz4", stream=True)
    write_arrow(at("dictionary.arrow"), pairs(repeated()))
    write_arrow(at("views.arrow"), pairs(views()))
    write_arrow(at("runs.arrow"), pairs(runs()), stream=True)
    many = LONG.encode() * 8
    write_gzip(at("line.jsonl.gz"), b'{"image_path": "x.jpg", "caption": "', many, 12, b'"}\n')
    write_gzip(at("values.jsonl.gz"), b'{"image_path": "x.jpg", "v": [', b"[]," * (16 * MIB), 1, b"[]]}\n")
    write_gzip(at("cell.csv.gz"), b"image_path,caption\nx.jpg,a dog\nx.jpg,", many, 12, b"\n")
    write_gzip(at("quote.csv.gz"), b'image_path,caption\nx.jpg,"', b"a\n" * (8 * MIB), 6, b"\n")
    write_gzip(at("header.csv.gz"), b"", many, 12, b"")
    write_tar(at("members.tar.gz"), 80 * MIB)
    write_features(folder, 1_500, 16_000)


def main(folder: str) -> None:
    """Inspect every file."""
    told: dict[str, list[object]] = {}
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".npz"):
            told[name] = _inspected(os.path.join(folder, name))
    sys.stdout.write(json.dumps(told))


def _inspected(path: str) -> list[object]:
    """Exit code, errors, output, and the most MiB that it took: in a child, as memory once had is seldom given back."""
    receiving, sending = os.pipe()
    child = os.fork()
    if not child:
        ran = CliRunner().invoke(app, ["inspect", path])
        with os.fdopen(sending, "w") as file:
            json.dump([ran.exit_code, ran.stderr, ran.stdout[:2_000]], file)
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as file:
        said: list[object] = json.load(file)
    return [*said, os.wait4(child, 0)[2].ru_maxrss >> 10]


if __name__ == "__main__":
    main(sys.argv[1])

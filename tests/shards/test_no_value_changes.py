"""No read changes a value: of any type that parquet knows, far ones included, carried into a table or written back."""

import decimal
import struct

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.options import DataOptions
from ncaudit.shards.arrow_types import normal_array
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.rows import carried_fields, read_rows
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_table
from ncaudit.shards.readers import open_shard
from ncaudit.shards.rewriting.kept_rows import Target, split_shard
from ncaudit.shards.rewriting.rewrite import rewrite_shard


def whole(bits, signed=True):
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


def decimals(digits, places):
    context = decimal.Context(prec=digits)
    return whole(1 + 3 * digits).filter(lambda n: abs(n) < 10**digits).map(
        lambda n: context.scaleb(decimal.Decimal(n), -places)
    )  # fmt: skip


HALVES = st.floats(width=16, allow_nan=False)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
MOST_SECONDS = 2**63 // 1000 - 1  # parquet has no unit above the millisecond
DECIMALS = (pa.decimal128(38, 0), pa.decimal128(5, 5), pa.decimal256(76, 10), pa.decimal32(9, 2), pa.decimal64(18, 3))
TYPES = {
    **{kind: (kind, whole(kind.bit_width)) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())},
    **{kind: (kind, whole(kind.bit_width, False)) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())},
    **{pa.timestamp(unit, zone): (pa.timestamp(unit, zone), whole(64)) for unit in ("ms", "us", "ns")
       for zone in (None, "UTC", "Europe/Berlin", "+05:30")},
    pa.timestamp("s"): (pa.timestamp("s"), st.integers(-MOST_SECONDS, MOST_SECONDS)),
    **{pa.duration(unit): (pa.duration(unit), whole(64)) for unit in ("s", "ms", "us", "ns")},
    pa.date32(): (pa.date32(), whole(32)),
    pa.time32("ms"): (pa.time32("ms"), st.integers(0, 86_399_999)),
    pa.time64("us"): (pa.time64("us"), st.integers(0, 86_399_999_999)),
    pa.time64("ns"): (pa.time64("ns"), st.integers(0, 86_399_999_999_999)),
    pa.bool_(): (pa.bool_(), st.booleans()),
    pa.float16(): (pa.float16(), HALVES.map(np.float16)),
    pa.float32(): (pa.float32(), st.floats(width=32, allow_nan=False)),
    pa.float64(): (pa.float64(), st.floats(allow_nan=False)),
    **{kind: (kind, decimals(kind.precision, kind.scale)) for kind in DECIMALS},
    pa.string(): (pa.string(), TEXT),
    pa.large_string(): (pa.large_string(), TEXT),
    pa.string_view(): (pa.string_view(), TEXT),
    pa.binary(5): (pa.binary(5), st.binary(min_size=5, max_size=5)),
    pa.uuid(): (pa.uuid(), st.binary(min_size=16, max_size=16)),
    pa.json_(): (pa.json_(), TEXT),
    pa.bool8(): (pa.bool8(), whole(8)),
    pa.null(): (pa.null(), st.none()),
    pa.dictionary(pa.int16(), pa.string()): (pa.dictionary(pa.int16(), pa.string()), TEXT),
}  # fmt: skip


def column(kind, values):
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode()
    if pa.types.is_temporal(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        return pa.array(values, width).view(kind)
    return pa.array(values, kind)


def carried(shard):
    """The column as an embedding table holds it, read from that."""
    file = open_shard(shard)
    columns = find_columns(file.schema, shard.name, DataOptions(), key=None)
    (field,) = carried_fields(file.schema, columns)
    out = shard.path + ".table.parquet"
    with atomic_table(out, pa.schema([field])) as table:
        for window in read_rows(shard, columns, rows=7):
            table.write(window.carried)
    return pq.read_table(out)["x"]


def exact(array):
    """The values as they are stored: NaN, zeros of both signs and points in time beyond Python's included."""
    plain = normal_array(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    plain = plain.dictionary_decode() if pa.types.is_dictionary(plain.type) else plain
    if pa.types.is_temporal(plain.type):
        unit = getattr(plain.type, "unit", None)
        numbers = plain.view(pa.int32() if plain.type.bit_width == 32 else pa.int64()).to_pylist()
        scale = {"s": 10**9, "ms": 10**6, "us": 10**3}.get(unit, 1)
        return [None if n is None else n * scale for n in numbers]
    values = plain.to_pylist()
    return [struct.pack("d", v) if isinstance(v, float) else v for v in values]


@pytest.mark.parametrize("kind", TYPES, ids=str)
@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_a_column_of_any_type_is_carried_and_written_back_as_it_is(tmp_path_factory, kind, data):
    _, values = TYPES[kind]
    array = column(kind, data.draw(st.lists(st.none() | values, min_size=1, max_size=20)))
    rows, folder = len(array), tmp_path_factory.mktemp("types")
    images = pa.array([b"i"] * rows, pa.binary())
    shard = Shard.of_file(str(folder / "x.parquet"))
    pq.write_table(pa.table({"jpg": images, "caption": ["c"] * rows, "x": array}), shard.path, row_group_size=8)
    assert exact(carried(shard)) == exact(array)
    rewrite_shard(shard, str(folder / "again.parquet"), columns_for=lambda first, batch: [])
    kept = Target(str(folder / "kept.parquet"), {})
    split_shard(shard, np.zeros(rows, np.int16), kept, None, pa.field("why", pa.string()), ["kept"])
    before = pq.ParquetFile(shard.path).schema.column(2)
    for path in (folder / "again.parquet", folder / "kept.parquet"):
        assert exact(pq.read_table(path)["x"]) == exact(array)
        after = pq.ParquetFile(path).schema.column(2)
        assert (after.physical_type, str(after.logical_type)) == (before.physical_type, str(before.logical_type))

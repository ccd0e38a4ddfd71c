"""Arrow's many ways to hold the same values, made the few that everything behind the readers knows.

Knows arrow types and arrays; nothing of files, or of what columns mean.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as t

HEX = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(256, 2)
TYPELESS = b"ncaudit_typeless"
UUID_BYTES, UUID_LETTERS = 16, 36
DIGITS_128, MOST_DIGITS = 38, 76  # that decimals have of 128 and of 256 bits
HYPHENS = (8, 13, 18, 23)
DIGITS = [place for place in range(UUID_LETTERS) if place not in HYPHENS]


def normal_type(kind: pa.DataType) -> pa.DataType:
    """The type that the readers give for this one: no views, no runs, no extensions, at any depth.

    A UUID is its 36 characters, JSON is text, and every other extension is what it stores. Decimals that count in
    thousands, say (a scale below zero, which parquet has none of), count in ones.

    >>> normal_type(pa.list_view(pa.string_view())), normal_type(pa.uuid())
    (ListType(list<item: string>), DataType(string))
    """
    if isinstance(kind, pa.BaseExtensionType):
        return _of_extension(kind)
    if t.is_dictionary(kind):
        return _of_dictionary(kind)
    if t.is_run_end_encoded(kind):
        return normal_type(kind.value_type)
    if t.is_string_view(kind) or t.is_binary_view(kind):
        return pa.string() if t.is_string_view(kind) else pa.binary()
    if t.is_decimal(kind) and kind.scale < 0:
        return _of_coarse(kind)
    return _of_nested(kind) if t.is_nested(kind) else kind


def _of_coarse(kind: pa.DataType) -> pa.DataType:
    digits = kind.precision - kind.scale
    if digits > MOST_DIGITS:
        return kind  # no type has room for its values
    return pa.decimal128(digits, 0) if digits <= DIGITS_128 else pa.decimal256(digits, 0)


def _of_extension(kind: pa.BaseExtensionType) -> pa.DataType:
    known = {"arrow.uuid": pa.string(), "arrow.bool8": pa.bool_()}
    return known.get(kind.extension_name) or normal_type(kind.storage_type)


def _of_dictionary(kind: pa.DictionaryType) -> pa.DataType:
    inner = normal_type(kind.value_type)  # of nested values no table can hold a dictionary
    return inner if t.is_nested(inner) else pa.dictionary(kind.index_type, inner, kind.ordered)


def _of_nested(kind: pa.DataType) -> pa.DataType:
    if t.is_struct(kind):
        return pa.struct([normal_field(kind.field(i)) for i in range(kind.num_fields)])
    if t.is_map(kind):
        return pa.map_(normal_field(kind.key_field), normal_field(kind.item_field), kind.keys_sorted)
    if t.is_union(kind):
        return kind
    inner = normal_field(kind.value_field)
    if t.is_fixed_size_list(kind):
        return pa.list_(inner, kind.list_size)
    return pa.large_list(inner) if t.is_large_list(kind) or t.is_large_list_view(kind) else pa.list_(inner)


def normal_field(field: pa.Field) -> pa.Field:
    """The field with its type as `normal_type` has it."""
    kind = normal_type(field.type)
    return field if kind == field.type else field.with_type(kind)


def normal_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with the types that `normal_batch` gives; metadata stays."""
    fields = [normal_field(field) for field in schema]
    return schema if fields == list(schema) else pa.schema(fields, schema.metadata)


def normal_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows in the types of `normal_schema`. Raises ArrowInvalid where text is too long for one column."""
    schema = normal_schema(batch.schema)
    if schema is batch.schema:
        return batch
    return pa.RecordBatch.from_arrays([normal_array(column) for column in batch.columns], schema=schema)


def normal_array(array: pa.Array) -> pa.Array:
    """The same values as `normal_type` of their type.

    >>> normal_array(pa.array([["a"], None, ["b", "c"]], pa.list_view(pa.string_view()))).to_pylist()
    [['a'], None, ['b', 'c']]
    """
    kind, wanted = array.type, normal_type(array.type)
    if wanted == kind:
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return _from_storage(array, kind)
    if t.is_dictionary(kind):
        return _from_dictionary(array, wanted)
    if t.is_run_end_encoded(kind):
        return _from_runs(array)
    return _from_nested(array, wanted) if t.is_nested(kind) else array.cast(wanted)


def _from_storage(array: pa.Array, kind: pa.BaseExtensionType) -> pa.Array:
    known: dict[str, Callable[[pa.Array], pa.Array]] = {
        "arrow.uuid": uuid_text,
        "arrow.bool8": lambda stored: stored.cast(pa.bool_()),
    }
    return known.get(kind.extension_name, normal_array)(array.storage)


def _from_dictionary(array: pa.DictionaryArray, wanted: pa.DataType) -> pa.Array:
    if not t.is_dictionary(wanted):
        return normal_array(array.dictionary.take(array.indices))
    return pa.DictionaryArray.from_arrays(array.indices, normal_array(array.dictionary), ordered=wanted.ordered)


def _from_runs(array: pa.RunEndEncodedArray) -> pa.Array:
    """Arrow itself knows no runs of views."""
    rows = np.arange(array.offset, array.offset + len(array))
    runs = np.searchsorted(array.run_ends.to_numpy(), rows, side="right")
    return normal_array(array.values).take(pa.array(runs))


def _from_nested(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    kind, missing = array.type, array.is_null()
    if t.is_struct(kind):
        columns = [normal_array(array.field(i)) for i in range(kind.num_fields)]
        return pa.StructArray.from_arrays(columns, fields=list(wanted), mask=missing)
    if t.is_map(kind):
        starts, keys, items = pc.add(array.offsets, 0), normal_array(array.keys), normal_array(array.items)
        return pa.MapArray.from_arrays(starts, keys, items, type=wanted, mask=missing)
    if t.is_fixed_size_list(kind):
        inside = array.values.slice(array.offset * kind.list_size, len(array) * kind.list_size)
        return pa.FixedSizeListArray.from_arrays(normal_array(inside), type=wanted, mask=missing)
    return _from_list(array, wanted, missing)


def _from_list(array: pa.Array, wanted: pa.DataType, missing: pa.Array) -> pa.Array:
    """Arrow's own cast of list views to lists loses values (pyarrow 26), hence by lengths."""
    large = t.is_large_list(wanted)
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    offsets = pa.array(starts, pa.int64() if large else pa.int32())
    kind = pa.LargeListArray if large else pa.ListArray
    return kind.from_arrays(offsets, normal_array(array.flatten()), type=wanted, mask=missing)


def uuid_text(stored: pa.Array) -> pa.Array:
    """UUIDs, 16 bytes each, in their usual spelling.

    >>> uuid_text(pa.array([bytes(range(16)), None], pa.binary(16))).to_pylist()
    ['00010203-0405-0607-0809-0a0b0c0d0e0f', None]
    """
    filled = pc.fill_null(stored, bytes(UUID_BYTES)) if stored.null_count else stored
    data = np.frombuffer(b"".join(filled.to_pylist()), np.uint8).reshape(-1, UUID_BYTES)
    letters = np.full((len(data), UUID_LETTERS), ord("-"), np.uint8)
    letters[:, DIGITS] = HEX[data].reshape(-1, 2 * UUID_BYTES)
    starts = pa.array(np.arange(len(data) + 1) * UUID_LETTERS, pa.int32())
    spelled = pa.StringArray.from_buffers(len(data), starts.buffers()[1], pa.py_buffer(letters.tobytes()))
    return pc.if_else(stored.is_valid(), spelled, pa.scalar(None, pa.string())) if stored.null_count else spelled


@lru_cache(1024)
def parquet_holds(kind: pa.DataType) -> bool:
    """Whether a parquet table can have a column of this type: not of calendar intervals, unions, structs of nothing,
    decimals of more than 76 digits before the point.

    >>> parquet_holds(pa.duration("s")), parquet_holds(pa.month_day_nano_interval())
    (True, False)
    """
    try:
        pq.write_table(pa.schema([pa.field("column", kind)]).empty_table(), io.BytesIO())
    except (pa.ArrowException, OSError):  # OSError: of decimals
        return False
    return True


def typeless(field: pa.Field) -> pa.Field:
    """The field, marked: its type is a guess, as no value of the file shows one."""
    return field.with_metadata({**(field.metadata or {}), TYPELESS: b"1"})


def is_typeless(field: pa.Field) -> bool:
    """Whether `typeless` has marked it."""
    return TYPELESS in (field.metadata or {})


def repeated_names(names: Iterable[str]) -> list[str]:
    """The names that are there more than once, in the order of the alphabet.

    >>> repeated_names(["b", "a", "a", "B"])
    ['a']
    """
    return sorted(name for name, times in Counter(names).items() if times > 1)


def repeats_within(kind: pa.DataType) -> list[str]:
    """Names that a struct at any depth of this type has more than once."""
    fields = [kind.field(i) for i in range(kind.num_fields)]
    own = repeated_names(field.name for field in fields) if t.is_struct(kind) else []
    return own or [name for field in fields for name in repeats_within(field.type)]

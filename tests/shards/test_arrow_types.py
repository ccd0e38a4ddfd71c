"""Every way in which arrow holds values becomes one that the rest knows, with the same values, sliced or not."""

import uuid
from decimal import Decimal

import pyarrow as pa
import pytest

from ncaudit.shards.arrow_types import normal_array, normal_batch, normal_schema, normal_type, parquet_holds

UUIDS = [uuid.UUID(int=i * 7919**5) for i in range(5)]
SPELLED = [None if i == 2 else str(one) for i, one in enumerate(UUIDS)]
WORDS = [["a", "b"], None, [], ["c", None], ["d"]]
TEXTS, BYTES = ["a", None, "b" * 40, "", "c"], [b"a", None, b"\xff" * 40, b"", b"c"]
PAIRS = [[("k", "v")], None, [], [("a", None), ("b", "c")], [("z", "z")]]


def extension(kind, stored):
    return pa.ExtensionArray.from_storage(kind, stored)


def uuids():
    return extension(pa.uuid(), pa.array([None if i == 2 else u.bytes for i, u in enumerate(UUIDS)], pa.binary(16)))


def structs():
    fields = [uuids(), pa.array(list("abcde"), pa.string_view())]
    return pa.StructArray.from_arrays(fields, ["u", "v"], mask=pa.array([i == 1 for i in range(5)]))


STRUCTS = [None if i == 1 else {"u": SPELLED[i], "v": "abcde"[i]} for i in range(5)]
LISTS = [[STRUCTS[0], None], [], [STRUCTS[2]], [STRUCTS[3]], [STRUCTS[4]]]


def runs(values):
    return pa.RunEndEncodedArray.from_arrays([2, 5], values)


def by_dictionary(values):
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0, 1]), values)


WAYS = {
    "uuid": (uuids, pa.string(), SPELLED),
    "json": (
        lambda: extension(pa.json_(pa.string_view()), pa.array(["1", None, "{}", "[]", '"a"'], pa.string_view())),
        pa.string(),
        ["1", None, "{}", "[]", '"a"'],
    ),
    "bool8": (
        lambda: extension(pa.bool8(), pa.array([0, 1, None, -3, 1], pa.int8())),
        pa.bool_(),
        [False, True, None, True, True],
    ),
    "tensor": (
        lambda: extension(
            pa.fixed_shape_tensor(pa.float32(), [2]),
            pa.array([[1, 2], None, [3, 4], [5, 6], [7, 8]], pa.list_(pa.float32(), 2)),
        ),
        pa.list_(pa.float32(), 2),
        [[1, 2], None, [3, 4], [5, 6], [7, 8]],
    ),
    "opaque": (
        lambda: extension(pa.opaque(pa.string_view(), "a", "b"), pa.array(TEXTS, pa.string_view())),
        pa.string(),
        TEXTS,
    ),
    "text view": (lambda: pa.array(TEXTS, pa.string_view()), pa.string(), TEXTS),
    "bytes view": (lambda: pa.array(BYTES, pa.binary_view()), pa.binary(), BYTES),
    "list view": (lambda: pa.array(WORDS, pa.list_view(pa.string_view())), pa.list_(pa.string()), WORDS),
    "large list view": (lambda: pa.array(WORDS, pa.large_list_view(pa.string())), pa.large_list(pa.string()), WORDS),
    "list view out of order": (
        lambda: pa.ListViewArray.from_arrays(
            pa.array([3, 0, 0, 1, 2], pa.int32()), pa.array([1, 2, 0, 2, 2], pa.int32()), pa.array(list("wxyz"))
        ),
        pa.list_(pa.string()),
        [["z"], ["w", "x"], [], ["x", "y"], ["y", "z"]],
    ),
    "list of views": (lambda: pa.array(WORDS, pa.list_(pa.string_view())), pa.list_(pa.string()), WORDS),
    "large list of views": (
        lambda: pa.array(WORDS, pa.large_list(pa.string_view())),
        pa.large_list(pa.string()),
        WORDS,
    ),
    "fixed list of views": (
        lambda: pa.array([["a", "b"], None, ["c", None], ["e", "f"], ["g", "h"]], pa.list_(pa.string_view(), 2)),
        pa.list_(pa.string(), 2),
        [["a", "b"], None, ["c", None], ["e", "f"], ["g", "h"]],
    ),
    "map of views": (
        lambda: pa.array(PAIRS, pa.map_(pa.string_view(), pa.string_view())), pa.map_(pa.string(), pa.string()), PAIRS
    ),
    "struct": (structs, pa.struct([("u", pa.string()), ("v", pa.string())]), STRUCTS),
    "list of structs": (
        lambda: pa.ListArray.from_arrays(pa.array([0, 2, 2, 3, 4, 5], pa.int32()), structs()),
        pa.list_(pa.struct([("u", pa.string()), ("v", pa.string())])),
        LISTS,
    ),
    "dictionary of views": (
        lambda: by_dictionary(pa.array(["x", None], pa.string_view())),
        pa.dictionary(pa.int64(), pa.string()),
        ["x", None, None, "x", None],
    ),
    "dictionary of uuids": (
        lambda: by_dictionary(uuids().slice(3, 2)),
        pa.dictionary(pa.int64(), pa.string()),
        [SPELLED[3], SPELLED[4], None, SPELLED[3], SPELLED[4]],
    ),
    "dictionary of lists": (
        lambda: by_dictionary(pa.array([["q"], None], pa.list_view(pa.string()))),
        pa.list_(pa.string()),
        [["q"], None, None, ["q"], None],
    ),
    "decimals that count in hundreds": (
        lambda: pa.array([Decimal("1E+3"), None, Decimal("-9.9E+6"), Decimal(0), Decimal(100)], pa.decimal128(5, -2)),
        pa.decimal128(7, 0),
        [Decimal(1000), None, Decimal(-9_900_000), Decimal(0), Decimal(100)],
    ),
    "lists of such that need 256 bits": (
        lambda: pa.array([[Decimal("1E+30")], None, [], [None], [Decimal("1E+3")]], pa.list_(pa.decimal128(37, -3))),
        pa.list_(pa.decimal256(40, 0)),
        [[Decimal(10**30)], None, [], [None], [Decimal(1000)]],
    ),
    "runs of views": (lambda: runs(pa.array(["a", None], pa.string_view())), pa.string(), ["a", "a", None, None, None]),
    "runs of uuids": (lambda: runs(uuids().slice(3, 2)), pa.string(), [SPELLED[3]] * 2 + [SPELLED[4]] * 3),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("first", "rows"), [(0, 5), (1, 4), (2, 2), (3, 0)])
def test_values_are_the_same_in_a_plain_type(way, first, rows):
    make, kind, values = WAYS[way]
    plain = normal_array(make().slice(first, rows))
    plain.validate(full=True)
    assert plain.type == normal_type(make().type) == kind
    assert plain.to_pylist() == values[first : first + rows]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_binary(), pa.decimal256(70, 3), pa.float16(), pa.duration("ns"), pa.null(), pa.binary(16),
     pa.month_day_nano_interval(), pa.dictionary(pa.int8(), pa.string()), pa.dense_union([pa.field("a", pa.int8())])],
)  # fmt: skip
def test_what_is_plain_already_is_left_alone(kind):
    column = pa.nulls(3, kind)
    assert normal_type(kind) == kind
    assert normal_array(column) is column


def test_a_batch_keeps_names_metadata_and_the_promise_of_no_nulls():
    fields = [pa.field("id", pa.uuid(), nullable=False, metadata={"a": "b"}), pa.field("n", pa.int8())]
    columns = [uuids().slice(3), pa.array([1, 2], pa.int8())]
    batch = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, {"c": "d"}))
    plain = normal_batch(batch)
    assert plain.schema.equals(normal_schema(batch.schema), check_metadata=True)
    assert plain.schema.metadata == {b"c": b"d"}
    assert (plain.schema.field("id").nullable, plain.schema.field("id").metadata) == (False, {b"a": b"b"})
    assert plain.to_pylist() == [{"id": SPELLED[3], "n": 1}, {"id": SPELLED[4], "n": 2}]


@pytest.mark.parametrize("within", [lambda kind: kind, pa.list_, lambda kind: pa.struct([("a", kind)])])
def test_calendar_intervals_and_unions_are_what_parquet_cannot_hold(within):
    union = pa.sparse_union([pa.field("a", pa.int8())])
    assert [parquet_holds(within(kind)) for kind in (pa.month_day_nano_interval(), union)] == [False, False]
    kinds = [pa.duration("us"), pa.decimal256(70, 3), pa.float16(), pa.null(), pa.time64("ns")]
    assert all(parquet_holds(within(kind)) for kind in kinds)
    assert not parquet_holds(within(normal_type(pa.decimal256(70, -9))))  # no type has room for its values

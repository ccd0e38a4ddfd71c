"""Class columns of every type, read as numbered classes: hand-worked rows."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.dataset.class_labels import (
    Classes,
    class_values,
    classes_among,
    count_classes,
    require_class_column,
)

NUMBERS = pa.array([10, None, 9, 10], pa.int8())
TAGS = pa.array([["b", "a", "b"], None, [], ["c", None]])


def _rows(column: pa.Array, classes: Classes) -> list[list[object]]:
    labels = classes.read(column)
    return [[classes.names[code] for code in codes] for codes in np.split(labels.codes, labels.starts[1:-1])]


def test_numbers_are_ordered_as_numbers() -> None:
    classes = Classes(count_classes(NUMBERS))
    assert classes.names == (9, 10)
    assert _rows(NUMBERS, classes) == [[10], [], [9], [10]]


def test_lists_lose_repeats_and_nulls() -> None:
    classes = Classes(count_classes(TAGS))
    assert _rows(TAGS, classes) == [["a", "b"], [], [], ["c"]]
    assert classes.read(TAGS).labelled.tolist() == [True, False, False, True]
    assert classes.read(TAGS).hot(3).astype(int).tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())],
    ids=["string", "large", "dictionary"],
)
def test_text_of_every_type_reads_alike(kind: pa.DataType) -> None:
    column = pa.array(["x", None, "w"]).cast(kind)
    assert _rows(column, Classes(count_classes(column))) == [["x"], [], ["w"]]


@pytest.mark.parametrize("make", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.string(), 2)])
def test_lists_of_every_type_read_alike(make: pa.DataType) -> None:
    column = pa.array([["q", "p"], None, ["p", None]], make)
    assert _rows(column, Classes(["p", "q"])) == [["p", "q"], [], ["p"]]


def test_a_slice_is_read_from_its_own_first_row() -> None:
    assert _rows(TAGS.slice(2), Classes(["a", "b", "c"])) == [[], ["c"]]


def test_unknown_classes_leave_a_row_unlabelled() -> None:
    assert _rows(pa.array(["a", "new"]), Classes(["a"])) == [["a"], []]


def test_classes_are_counted_over_files_and_are_of_one_type() -> None:
    parts = [("a", TAGS), ("b", pa.nulls(2)), ("c", pa.array(["b"]))]
    assert classes_among(parts, "tag") == {"b": 3, "a": 1, "c": 1}
    with pytest.raises(BadTable, match="column tag holds text in a and numbers in d"):
        classes_among([*parts, ("d", NUMBERS), ("e", NUMBERS)], "tag")


def test_a_column_of_nulls_has_no_class() -> None:
    assert not count_classes(pa.nulls(3))
    assert Classes([]).read(pa.nulls(3)).labelled.tolist() == [False] * 3


def test_counts_are_of_values() -> None:
    assert count_classes(TAGS) == {"b": 2, "a": 1, "c": 1}
    assert np.array(sorted(count_classes(NUMBERS).items())).tolist() == [[9, 1], [10, 2]]


def test_a_missing_column_names_the_file_and_what_there_is() -> None:
    with pytest.raises(BadTable, match="no column 'kind'") as error:
        require_class_column("a.parquet", pa.schema([("caption", pa.string())]), "kind")
    assert "caption" in str(error.value.fix)


@pytest.mark.parametrize("kind", [pa.float32(), pa.binary(), pa.list_(pa.float16()), pa.struct([("a", pa.int8())])])
def test_what_is_no_class_is_refused(kind: pa.DataType) -> None:
    with pytest.raises(BadTable, match="column kind is of type"):
        require_class_column("a.parquet", pa.schema([("kind", kind)]), "kind")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.uint64(), [2**63 + 5, 2**64 - 1, 0, None]),
        (pa.int64(), [2**53 + 1, 2**53, -(2**63), None]),
        (pa.decimal128(38, 0), [10**37, 2**64, -1, None]),
        (pa.decimal256(76, 0), [10**70 + 1, 10**70, 0, None]),
        (pa.decimal32(9, 0), [999_999_999, 7, 0, None]),
    ],
    ids=str,
)
def test_whole_numbers_of_any_size_are_classes_as_they_are(kind: pa.DataType, values: list[int | None]) -> None:
    column = pa.array(
        [None if value is None else Decimal(value) for value in values] if "dec" in str(kind) else values, kind
    )
    classes = Classes(count_classes(column))
    assert list(classes.names) == sorted(value for value in values if value is not None)
    assert _rows(column, classes) == [[] if value is None else [value] for value in values]
    lists = pa.array([[value, value] for value in column.to_pylist()], pa.list_(kind))
    assert _rows(lists, classes) == [[] if value is None else [value] for value in values]
    assert class_values(classes.names, kind).cast(kind).to_pylist() == list(classes.names)
    require_class_column("t", pa.schema({"c": kind}), "c")


def test_one_class_is_one_whatever_type_a_table_holds_it_in() -> None:
    parts = [pa.array([5, 2**40]), pa.array([5, 2**63], pa.uint64()), pa.array([Decimal(5)], pa.decimal128(20, 0))]
    assert classes_among([("t", part) for part in parts], "c") == {5: 3, 2**40: 1, 2**63: 1}


def test_decimals_with_digits_behind_the_point_are_no_classes() -> None:
    with pytest.raises(BadTable, match="decimal128") as error:
        require_class_column("t", pa.schema({"c": pa.decimal128(5, 2)}), "c")
    assert "whole numbers" in error.value.fix

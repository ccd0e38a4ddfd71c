"""What cells take once every row holds its own, worked out by hand."""

import pyarrow as pa
import pytest

from ncaudit.shards.readers.bounds.weights import bounded, cell_bytes, largest, without

TEXT = pa.string()


@pytest.mark.parametrize(
    ("array", "sizes"),
    [
        (pa.array(["abc", None, "é"]).slice(1), [0, 2]),
        (pa.array(["abc", None, "é"]).dictionary_encode(), [3, 0, 2]),
        (pa.array(["abc", None, "é" * 20]).cast(pa.string_view()).slice(1), [0, 40]),
        (pa.array([["ab", "c"], None, [], ["é"]]).slice(1), [0, 0, 2]),
        (pa.array([["ab", "c"], None, ["x"]], pa.list_view(TEXT)).slice(1), [0, 1]),
        (pa.array([{"a": "xx", "b": 1}], pa.struct({"a": TEXT, "b": pa.int64()})), [10]),
        (pa.array([[("k", "vv")], None], pa.map_(TEXT, TEXT)), [3, 0]),
        (pa.array([[1, 2], None], pa.list_(pa.float16(), 2)), [4, 4]),
        (pa.array([[None] * 5, None], pa.list_(pa.null())), [5, 0]),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["abc", "z"]).slice(1), [3, 1]),
        (pa.array([["a", "a"], ["b"]], pa.list_(pa.dictionary(pa.int32(), TEXT))), [2, 1]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_each_row_takes_what_its_own_values_take(array, sizes):
    assert cell_bytes(array).tolist() == sizes


def test_batches_are_cut_where_text_counts_four_times_and_rows_stay_in_order():
    batch = pa.record_batch({"x": pa.array(["a" * 100] * 5).dictionary_encode(), "n": range(5)})
    assert [len(part) for part in bounded(batch, 800)] == [2, 2, 1]
    assert [n for part in bounded(batch, 10) for n in part["n"].to_pylist()] == list(range(5))


def test_only_cells_that_are_larger_are_told_and_taken_away():
    batch = pa.record_batch({"x": ["aaa", "b"], "v": pa.array(["c", "ddd"]).cast(pa.string_view())})
    assert largest(batch, 2) == {0: ("x", 3), 1: ("v", 3)}
    assert [without(column, 2).to_pylist() for column in batch.columns] == [[None, "b"], ["c", None]]

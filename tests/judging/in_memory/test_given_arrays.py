"""Embeddings in whatever form a notebook has them are the same numbers."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from ncaudit import NcauditError
from ncaudit.judging.in_memory.given_arrays import embeddings_of, names_of

ROWS = np.array([[1.0, 0.5, -2.0], [0.25, 4.0, 8.0]], dtype=np.float32)
LISTS = [list(map(float, row)) for row in ROWS]
HALVES = pa.array([list(row) for row in ROWS.astype(np.float16)], pa.list_(pa.float16(), 3))
FORMS = {
    "numpy": ROWS,
    "numpy of 64 bits": ROWS.astype(np.float64),
    "numpy, turned": np.asfortranarray(ROWS),
    "tensor": torch.from_numpy(ROWS).to(torch.bfloat16),
    "lists": LISTS,
    "a data frame": pd.DataFrame(ROWS),
    "pandas' column of lists": pd.Series(LISTS),
    "pandas' column of arrays": pd.Series(list(ROWS)),
    "arrow, one width": HALVES,
    "arrow, lists": pa.array(LISTS, pa.list_(pa.float32())),
    "arrow, large lists": pa.array(LISTS, pa.large_list(pa.float64())),
    "arrow in chunks": pa.chunked_array([HALVES[:1], HALVES[1:]]),
    "arrow, a part": pa.concat_arrays([HALVES[1:], HALVES])[1:],
    "arrow's tensors": pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float16(), [3]), HALVES),
    "polars": pl.Series(LISTS),
    "polars, one width": pl.Series(LISTS, dtype=pl.Array(pl.Float32, 3)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(form):
    given = embeddings_of(FORMS[form], "image")
    assert given.dtype == torch.float32
    np.testing.assert_array_equal(given.numpy(), ROWS)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros(3), r"image has shape \(3,\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (pa.array([[1.0], None, [2.0]]), "row 1 of image is null"),
        (pa.array([[1.0], [1.0, 2.0]]), "row 1 of image has 2 numbers, and row 0 has 1"),
        (pd.Series([[1.0], [1.0, 2.0]]), "row 1 of image has 2 numbers, and row 0 has 1"),
        (pd.Series([[1.0], None]), "row 1 of image is None"),
        (pa.array(["a", "b"]), "image is a column of string"),
        (pa.array([["a"], ["b"]]), "image is a column of list"),
        ([[1.0], [1.0, 2.0]], "image is no table of numbers"),
        ([["a"], ["b"]], "image is no table of numbers"),
        (pa.array([], pa.list_(pa.float32())), r"shape \(0, 0\)"),
    ],
)
def test_what_is_no_table_of_numbers_is_told_with_its_row(given, said):
    with pytest.raises(NcauditError, match=said):
        embeddings_of(given, "image")


@pytest.mark.parametrize("form", [list, np.array, pd.Series, pl.Series, pa.array, lambda x: pa.chunked_array([x])])
def test_names_come_in_every_form(form):
    assert list(names_of(form(["a", "b", "a"]))) == ["a", "b", "a"]

"""Embeddings and names in memory, in whatever form a notebook has them: NumPy, PyTorch, pandas, polars, Arrow, lists.

Knows arrays; nothing of files, or of what the numbers mean.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch

from ncaudit.errors import NcauditError

ROWS_OF_ONE_WIDTH = "give (n, d) numbers: an array, a tensor, a DataFrame, or a column of equally long lists"


def embeddings_of(given: Any, name: str) -> torch.Tensor:
    """(n, d) float32 of an array, a tensor, a DataFrame of numbers, or a column of lists; n > 0.

    Columns of lists: Arrow (lists of any kind, chunked or not), polars, pandas. Raises NcauditError for what is not a
    table of numbers, and names the first row that is null or has another length than the first.
    """
    array = _tensor(given, name)
    if array.ndim != 2 or not len(array):
        raise NcauditError(f"{name} has shape {tuple(array.shape)}", fix="give (n, d) embeddings, n > 0")
    return array


def names_of(given: Any) -> npt.NDArray[Any]:
    """(n,) of an array, a list, or a column of Arrow, polars or pandas."""
    column = _arrow(given)
    return np.asarray(given) if column is None else column.to_numpy(zero_copy_only=False)


def _tensor(given: Any, name: str) -> torch.Tensor:
    if isinstance(given, torch.Tensor):
        return given.float()
    if (column := _arrow(given)) is not None:
        return torch.from_numpy(_rows_of_column(column, name))
    if isinstance(given, pd.Series):
        return torch.from_numpy(_rows_of_objects(list(given), name))
    try:
        return torch.from_numpy(np.ascontiguousarray(np.asarray(given), dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise NcauditError(f"{name} is no table of numbers ({error})", fix=ROWS_OF_ONE_WIDTH) from None


def _arrow(given: Any) -> pa.Array | None:
    """The column in one piece, where it is Arrow's or knows how to become that."""
    if type(given).__module__.partition(".")[0] == "polars" and hasattr(given, "to_arrow"):
        given = given.to_arrow()
    if isinstance(given, pa.ChunkedArray):
        given = given.combine_chunks()
    if isinstance(given, pa.ChunkedArray):  # none of its chunks has a row, or they are too many for one
        given = pa.concat_arrays(given.chunks)
    return given if isinstance(given, pa.Array) else None


def _rows_of_column(column: pa.Array, name: str) -> npt.NDArray[np.float32]:
    while isinstance(column, pa.ExtensionArray):
        column = column.storage
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise NcauditError(f"row {row} of {name} is null", fix="leave these pairs out")
    if not hasattr(column, "flatten") or not pa.types.is_floating(column.type.value_type):
        raise NcauditError(f"{name} is a column of {column.type}", fix=ROWS_OF_ONE_WIDTH)
    if not pa.types.is_fixed_size_list(column.type):
        _require_one_width(column.value_lengths().to_numpy(zero_copy_only=False), name)
    values: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return values.reshape(len(column), -1) if len(column) else values.reshape(0, 0)


def _rows_of_objects(rows: list[Any], name: str) -> npt.NDArray[np.float32]:
    for number, row in enumerate(rows):
        if not np.ndim(row):
            raise NcauditError(f"row {number} of {name} is {row!r:.60}, and no list of numbers", fix=ROWS_OF_ONE_WIDTH)
    _require_one_width(np.array([len(row) for row in rows]), name)
    return np.array([np.asarray(row) for row in rows], dtype=np.float32)


def _require_one_width(widths: npt.NDArray[Any], name: str) -> None:
    other = np.flatnonzero(widths != widths[0]) if len(widths) else widths
    if len(other):
        raise NcauditError(
            f"row {other[0]} of {name} has {widths[other[0]]} numbers, and row 0 has {widths[0]}",
            fix=ROWS_OF_ONE_WIDTH,
        )

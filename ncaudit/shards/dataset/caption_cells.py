"""The captions of rows from whatever a column holds: text, its bytes, lists of either, fields of structs, lines.

Knows arrow columns; nothing of images, files or models.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.shards.dataset.image_files import Problem

Caption = str | bytes | None  # bytes: those that are no UTF-8


def captions_in(chunks: Iterable[pa.Array], fields: Sequence[str] = (), lines: bool = False) -> list[list[Caption]]:
    """The captions of each row; a row without any has one that is None.

    fields: where they are below a column of structs. lines: whether each line is a caption.
    """
    found = [_of_cell(value) for chunk in chunks for value in _values(chunk, fields)]
    return [[line for each in row for line in lines_of(each)] for row in found] if lines else found


def caption_problem(caption: Caption) -> Problem | None:
    """Why there is no caption; None where there is one."""
    if isinstance(caption, bytes):
        return "caption_missing", "not UTF-8 text"
    if caption is None or not caption.strip():
        return "caption_missing", "null" if caption is None else "blank"
    return None


def _values(array: pa.Array, fields: Sequence[str]) -> list[Any]:
    """The cells of a column, or of a field below it, as Python values: bytes where bytes are held."""
    for field in fields:
        array = _field(array, field)
    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    try:
        return list(array.to_pylist())
    except UnicodeDecodeError:  # text that is not UTF-8 becomes replacement characters, not an error
        return list(map(_replaced, array.cast(_in_bytes(array.type)).to_pylist()))


def _field(array: pa.Array, name: str) -> pa.Array:
    """A field of a column of structs, or of lists of structs."""
    if t.is_struct(array.type):
        return pc.struct_field(array, [name])
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    starts = pa.array(np.cumsum([0, *lengths]), pa.int64())
    inner = pc.struct_field(pc.list_flatten(array), [name])
    return pa.LargeListArray.from_arrays(starts, inner, mask=array.is_null())


def _replaced(value: Any) -> Any:
    if isinstance(value, list):
        return [_replaced(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _in_bytes(kind: pa.DataType) -> pa.DataType:
    """The type with bytes for text."""
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return pa.large_list(_in_bytes(kind.value_type))
    if t.is_dictionary(kind):
        return _in_bytes(kind.value_type)
    return kind if t.is_null(kind) else pa.large_binary()


def _of_cell(value: Any) -> list[Caption]:
    if isinstance(value, list):
        return [_text(each) for each in value] or [None]
    return [_text(value)]


def _text(value: str | bytes | None) -> Caption:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def lines_of(caption: Caption) -> list[Caption]:
    """The lines of a caption that say something; one that says nothing stays as it is."""
    if not isinstance(caption, str):
        return [caption]
    return [line.strip() for line in caption.splitlines() if line.strip()] or [caption]

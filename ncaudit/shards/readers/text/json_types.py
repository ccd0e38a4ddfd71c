"""Which arrow types JSON values show, and which holds those of several.

Knows JSON values and arrow types; nothing of lines, of files, or of fields that mix what no type holds.
"""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as t

HALVES = re.compile("[\ud800-\udfff]")


def shown_type(values: Sequence[Any]) -> pa.DataType | None:
    """The type that values show; None where they show several, or a number beyond 64 bits."""
    array = as_array(values, None)
    return None if array is None else array.type


def as_array(values: Sequence[Any], kind: pa.DataType | None) -> pa.Array | None:
    """The values as a column, of the type that they show where `kind` is None; None where they do not fit into one."""
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return as_array(values, pa.uint64()) if kind is None and all(map(_is_whole, values)) else None


def _is_whole(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds values of both, None where none does."""
    if one == other or t.is_null(other):
        return one
    if t.is_null(one):
        return other
    if t.is_struct(one) and t.is_struct(other):
        return _common_struct(one, other)
    if t.is_list(one) and t.is_list(other):
        inner = common_type(one.value_type, other.value_type)
        return None if inner is None else pa.list_(inner)
    if t.is_integer(one) and t.is_integer(other):
        return pa.uint64()  # one of them holds numbers that int64 has no room for
    numbers = all(t.is_integer(kind) or t.is_floating(kind) for kind in (one, other))
    return pa.float64() if numbers else None


def _common_struct(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    fields = {field.name: field.type for field in one}
    for field in other:
        both = common_type(fields.get(field.name, pa.null()), field.type)
        if both is None:
            return None
        fields[field.name] = both
    return pa.struct(list(fields.items()))


def text_for_nulls(kind: pa.DataType) -> pa.DataType:
    """The type with text wherever nothing but null was seen."""
    if t.is_struct(kind):
        return pa.struct([(field.name, text_for_nulls(field.type)) for field in kind])
    if t.is_list(kind):
        return pa.list_(text_for_nulls(kind.value_type))
    return pa.string() if t.is_null(kind) else kind


def whole_text(value: Any) -> Any:
    """Half of a surrogate pair, which JSON can spell and UTF-8 cannot, becomes U+FFFD."""
    if isinstance(value, str):
        return HALVES.sub("\ufffd", value)
    if isinstance(value, list):
        return [whole_text(entry) for entry in value]
    return {whole_text(k): whole_text(v) for k, v in value.items()} if isinstance(value, dict) else value

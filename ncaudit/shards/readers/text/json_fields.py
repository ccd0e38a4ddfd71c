"""Columns of JSON objects whose fields nobody declared: every field that any object has, of a type that fits them all.

Knows JSON values and arrow types; nothing of files.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ncaudit.shards.readers.text.json_types import whole_text

TEXT = pa.string()
TYPES = {"bool": pa.bool_(), "float": pa.float64(), "text": TEXT, "texts": pa.list_(TEXT)}
# Whole numbers by what holds them: floats and all types of 64 bits; only these; only those with or without a sign.
WHOLE = {
    "exact": range(2**53 + 1), "exact negative": range(-(2**53), 0), "natural": range(2**63),
    "negative": range(-(2**63), 0), "unsigned": range(2**64),
}  # fmt: skip
NEGATIVE, EXACT = {"negative", "exact negative"}, {"exact", "exact negative"}


class JsonFields:
    """What all objects shown to it have in common. The result does not depend on their order, but for that of fields.

    Whole numbers among others become floats where these hold all of them. Lists of strings stay lists, as they may be
    captions. Values of several types, other lists and objects become text: a string as it is, anything else as JSON.
    All null is text.
    may_have_fields: names under which objects of strings stay what they are: texts in several languages, say.
    """

    def __init__(self, may_have_fields: Collection[str] = ()) -> None:
        self._kinds: dict[str, set[str]] = {}
        self._inner: dict[str, dict[str, None]] = {name: {} for name in may_have_fields}  # in the order of their names

    def see(self, values: Mapping[str, Any]) -> None:
        """Take one more object into account."""
        for name, value in values.items():
            kind = _kind(value)
            if name in self._inner and _is_of_strings(value):
                kind = "texts by name"
                self._inner[name].update(dict.fromkeys(value))
            self._kinds.setdefault(name, set()).add(kind)

    @property
    def types(self) -> dict[str, pa.DataType]:
        """The type of each field, in the order in which they were first seen."""
        inner = {name: pa.struct([(one, TEXT) for one in ones]) for name, ones in self._inner.items()}
        return {name: _type_of(kinds - {"null"}, inner.get(name, TEXT)) for name, kinds in self._kinds.items()}


def json_column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The values of one field as a column of the type that `JsonFields` found.

    >>> json_column(["a", 1, None, [2]], pa.string()).to_pylist()
    ['a', '1', None, '[2]']
    """
    if pa.types.is_string(kind):
        return text_column([value if value is None or isinstance(value, str) else _as_json(value) for value in values])
    if pa.types.is_floating(kind):
        values = [value if value is None else float(value) for value in values]
    if pa.types.is_struct(kind):
        return pa.array([None if value is None else whole_text(value) for value in values], kind)
    if pa.types.is_list(kind):
        lengths = [0 if value is None else len(value) for value in values]
        words = text_column([word for value in values for word in value or ()])
        missing = pa.array([value is None for value in values])
        return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *lengths]), pa.int32()), words, mask=missing)
    return pa.array(values, kind)


def text_column(values: Sequence[str | None]) -> pa.Array:
    r"""A column of text. Half of a surrogate pair, which JSON can hold and UTF-8 cannot, becomes U+FFFD.

    >>> text_column(["a\ud800"])[0].as_py() == "a\ufffd"
    True
    """
    try:
        return pa.array(values, TEXT)
    except UnicodeEncodeError:
        return pa.array([whole_text(value) for value in values], TEXT)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return next((kind for kind, values in WHOLE.items() if value in values), "text")
    if isinstance(value, list) and all(map(_is_string, value)):
        return "texts"
    return "float" if isinstance(value, float) else "text"


def _is_string(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_of_strings(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_is_string, value.values()))


def _type_of(kinds: set[str], by_name: pa.DataType) -> pa.DataType:
    """The type that holds values of all these kinds. by_name: of texts by name."""
    if kinds == {"texts by name"}:
        return by_name
    if kinds and kinds <= {*WHOLE}:
        if "unsigned" in kinds:
            return TEXT if kinds & NEGATIVE else pa.uint64()
        return pa.int64()
    if "float" in kinds and kinds <= {"float", *EXACT}:
        return pa.float64()
    return TYPES[next(iter(kinds))] if len(kinds) == 1 else TEXT


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""Which type a column has in our tables that is null throughout a shard: that of the other shards, settled once.

Knows schemas and arrow types; nothing of rows. Other tools write a column of nothing but nulls without a type (arrow's
null, at any depth), and the same column of the next shard with one.
"""

import base64
from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.types as t

from ncaudit.shards.arrow_types import is_typeless
from ncaudit.shards.columns import carried_type

Types = Mapping[str, pa.DataType]


def settled_types(schemas: Iterable[pa.Schema], known: Types) -> Types:
    """The type of every column: what `known` says, else what the first shard says that has one.

    known: what an earlier run into the same place has settled. It stays, whatever shards have come since. A column
    that is null in all shards is text.
    """
    types = dict[str, pa.DataType]()
    for schema in schemas:
        for field in schema:
            if field.name not in known:
                before = types.get(field.name, pa.null())
                types[field.name] = filled(before, _shown(field)) if has_null(before) else before
    return {**known, **{name: carried_type(kind) for name, kind in types.items()}}


def filled(kind: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type with what it leaves open taken from another one; where those differ otherwise it stays as it is.

    >>> filled(pa.list_(pa.null()), pa.list_(pa.int64()))
    ListType(list<item: int64>)
    """
    if t.is_null(kind):
        return other
    if not has_null(kind):
        return kind
    if t.is_struct(kind) and t.is_struct(other):
        return pa.struct([_filled_field(field, other) for field in kind])
    if t.is_map(kind) and t.is_map(other):
        return pa.map_(kind.key_type, kind.item_field.with_type(filled(kind.item_type, other.item_type)))
    if _is_list(kind) and _is_list(other):
        return _list_like(kind, kind.value_field.with_type(filled(kind.value_type, other.value_type)))
    return kind


def has_null(kind: pa.DataType) -> bool:
    """Whether the type leaves open what its values are, itself or inside."""
    return bool(t.is_null(kind)) or any(has_null(kind.field(i).type) for i in range(kind.num_fields))


def leaves_open(schema: pa.Schema) -> bool:
    """Whether any column of a shard leaves open what its values are."""
    return any(has_null(_shown(field)) for field in schema)


def types_of_nulls(schema: pa.Schema, types: Types) -> dict[str, pa.DataType]:
    """The columns of a shard that `types` makes something else of than they would be alone."""
    open_ones = [field.with_type(_shown(field)) for field in schema if has_null(_shown(field))]
    changed = {field.name: _given(field.type, types.get(field.name)) for field in open_ones}
    return {name: kind for name, kind in changed.items() if kind != carried_type(schema.field(name).type)}


def as_text(types: Types) -> str:
    """For a record: one line, exact for every type there is."""
    schema = pa.schema([pa.field(name, types[name]) for name in sorted(types)])
    return base64.b64encode(schema.serialize().to_pybytes()).decode("ascii")


def from_text(text: object) -> Types:
    """What `as_text` made of them; none where the record has none that can be read."""
    if not isinstance(text, str):
        return {}
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text, validate=True)))
    except (pa.ArrowException, ValueError, OSError):
        return {}
    return {field.name: field.type for field in schema}


def _shown(field: pa.Field) -> pa.DataType:
    """The type that the values have; null where none shows one."""
    if is_typeless(field):
        return pa.null()
    return field.type.value_type if t.is_dictionary(field.type) else field.type


def _given(kind: pa.DataType, other: pa.DataType | None) -> pa.DataType:
    return carried_type(filled(kind, pa.null() if other is None else other))


def _filled_field(field: pa.Field, other: pa.StructType) -> pa.Field:
    place = other.get_field_index(field.name)
    return field if place < 0 else field.with_type(filled(field.type, other.field(place).type))


def _is_list(kind: pa.DataType) -> bool:
    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind))


def _list_like(kind: pa.DataType, inside: pa.Field) -> pa.DataType:
    if t.is_fixed_size_list(kind):
        return pa.list_(inside, kind.list_size)
    return pa.large_list(inside) if t.is_large_list(kind) else pa.list_(inside)

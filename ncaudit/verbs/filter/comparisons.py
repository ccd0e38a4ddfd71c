"""What a condition compares: columns by their types, and literals read as what stands beside them. All exact.

Knows arrow schemas and what can be compared with what; nothing of how a condition is written, or of files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.errors import BadTable, NcauditError
from ncaudit.nearest import nearest
from ncaudit.shards.columns import is_text
from ncaudit.verbs.filter.exact import (
    ARROW,
    FLIPPED,
    PYTHON,
    Number,
    Place,
    among,
    comparable,
    compare_columns,
    number,
    place_among_whole,
    place_of,
)
from ncaudit.verbs.filter.moments import NotThat, can_meet, compare_moments, group_of, read_ticks, ticks

Literal = str | Number | bool
Evaluate = Callable[[pa.RecordBatch], pa.Array]
Bind = Callable[[pa.Schema, str], Evaluate]
FORMS = (
    "column > 0.5, column = 'text', column in (1, 2), column between 1 and 2, column is not null, "
    "joined by and, or, not and parentheses"
)
NUMBER, TEXT, BOOLEAN, NOTHING, OTHER = "a number", "text", "true or false", "nothing", "nested or bytes"
LISTED, SHOWN = 40, 60  # columns that an answer lists; signs of what somebody wrote that it repeats
NOT_A_NUMBER = {
    "nan": "nan equals nothing, itself included: write `x != x` for it, `x = x` for numbers",
    "inf": "write a number that no row exceeds, such as 1e999",
    "infinity": "write a number that no row exceeds, such as 1e999",
}


@dataclass(frozen=True)
class Operand:
    """A column by its name, or a literal. at: where it stands in the condition, from 0."""

    at: int
    column: str | None = None
    value: Literal | None = None

    def __str__(self) -> str:
        return self.column if self.column is not None else shortened(repr(self.value))


def refusal(at: int, what: str, fix: str | None = None) -> NcauditError:
    """What is wrong with a condition, and at which of its signs."""
    return NcauditError(f"--where, position {at + 1}: {what}", fix=fix or f"write it like: {FORMS}")


def shortened(text: str) -> str:
    """What somebody wrote, in a length that a line holds."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def comparison(left: Operand, sign: str, right: Operand) -> Bind:
    """`left sign right`. What it is bound to raises NcauditError where the two cannot be compared."""
    if left.column is None and right.column is not None:
        return comparison(right, FLIPPED.get(sign, sign), left)

    def bind(schema: pa.Schema, path: str) -> Evaluate:
        if left.column is None:
            _refuse_quoted_columns([left, right], schema)
            answer = _of_literals(left, sign, right)
            return lambda batch: pa.array([answer] * len(batch), pa.bool_())
        if right.column is None:
            return _beside_literal(left, sign, right, schema, path)
        return _beside_column(left, sign, right, schema, path)

    return bind


def null_test(operand: Operand, *, negated: bool) -> Bind:
    """Whether a column is null, or is not."""

    def bind(schema: pa.Schema, path: str) -> Evaluate:
        _kind(operand, schema, path)
        test = pc.is_valid if negated else pc.is_null
        return lambda batch: test(batch[str(operand.column)])

    return bind


def membership(operand: Operand, wanted: Sequence[Operand], *, negated: bool) -> Bind:
    """Whether a column is one of some literals, or is none of them; null where it is null."""

    def bind(schema: pa.Schema, path: str) -> Evaluate:
        kind = _kind(operand, schema, path)
        if t.is_null(kind):
            return _unknown
        is_one = _one_of(operand, wanted, kind, path)
        return lambda batch: pc.invert(is_one(batch)) if negated else is_one(batch)

    return bind


def truth(operand: Operand) -> Bind:
    """A column of true and false by itself."""

    def bind(schema: pa.Schema, path: str) -> Evaluate:
        kind = _kind(operand, schema, path)
        if _group(kind) not in (BOOLEAN, NOTHING):
            fix = f"for example: {operand} is not null, or {operand} {_example(kind)}"
            raise refusal(operand.at, f"{operand} is {kind} in {path}; compare it with something", fix)
        return lambda batch: batch[str(operand.column)].cast(pa.bool_())

    return bind


def _unknown(batch: pa.RecordBatch) -> pa.Array:
    return pa.nulls(len(batch), pa.bool_())


def _refuse_quoted_columns(sides: Sequence[Operand], schema: pa.Schema) -> None:
    """Raises where text beside no column is a column's name: SQL quotes names, and here all rows or none would stay."""
    for side in sides:
        if isinstance(side.value, str) and side.value in schema.names:
            what = f"{side} in quotes is text, and no column stands beside it"
            raise refusal(side.at, what, f"write the column's name without quotes, or in backticks: `{side.value}`")


def _of_literals(left: Operand, sign: str, right: Operand) -> bool:
    if type(left.value) is not type(right.value):
        raise refusal(right.at, f"{_told(left, None)} and {_told(right, None)}, cannot be compared")
    return PYTHON[sign](*(side.value.value if isinstance(side.value, Number) else side.value for side in (left, right)))


def _beside_literal(left: Operand, sign: str, right: Operand, schema: pa.Schema, path: str) -> Evaluate:
    kind = _kind(left, schema, path)
    if t.is_null(kind):
        return _unknown
    name, known = str(left.column), _read(left, right, kind, path)
    if isinstance(known, Place):
        return lambda batch: known.compare(sign, _plain(batch[name]))
    return lambda batch: ARROW[sign](_plain(batch[name]), known)


def _one_of(operand: Operand, wanted: Sequence[Operand], kind: pa.DataType, path: str) -> Evaluate:
    name, known = str(operand.column), [_read(operand, one, kind, path) for one in wanted]
    places = [one for one in known if isinstance(one, Place)]
    if places:
        return lambda batch: among(_plain(batch[name]), places, places[0].kind)
    values = pa.array([one.as_py() for one in known], known[0].type)

    def found(batch: pa.RecordBatch) -> pa.Array:
        column = _plain(batch[name])
        return pc.if_else(column.is_valid(), pc.is_in(column, value_set=values), pa.scalar(None, pa.bool_()))

    return found


def _beside_column(left: Operand, sign: str, right: Operand, schema: pa.Schema, path: str) -> Evaluate:
    kinds = [_kind(side, schema, path) for side in (left, right)]
    groups = [_group(kind) for kind in kinds]
    if NOTHING in groups:
        return _unknown
    if OTHER in groups or not (groups[0] == groups[1] or can_meet(*groups)):
        _refuse(left, kinds[0], right, kinds[1], path)
    names = [str(side.column) for side in (left, right)]
    compare = _comparer(kinds[0])
    return lambda batch: compare(_decoded(batch[names[0]]), sign, _decoded(batch[names[1]]))


def _comparer(kind: pa.DataType) -> Callable[[pa.Array, str, pa.Array], pa.Array]:
    """How two columns are compared, of which one has this type and the other one that can be compared with it."""
    if _group(kind) is NUMBER:
        return compare_columns
    return compare_moments if t.is_temporal(kind) else lambda one, sign, other: ARROW[sign](_plain(one), _plain(other))


def _read(column: Operand, literal: Operand, kind: pa.DataType, path: str) -> Any:
    """The literal as what the column beside it holds: a `Place` among numbers and ticks, or a scalar."""
    value, group = literal.value, _group(kind)
    if isinstance(value, Number) and group is NUMBER:
        return place_of(value, kind)
    if isinstance(value, bool) and group is BOOLEAN:
        return pa.scalar(value)
    if isinstance(value, str) and group is TEXT:
        return pa.scalar(value, pa.large_string())
    if isinstance(value, str) and t.is_temporal(kind):
        try:
            return place_among_whole(read_ticks(value, kind), pa.int64())
        except NotThat as error:
            raise refusal(literal.at, f"{literal} {error.what} ({column} in {path})", error.fix) from error
    return _refuse(column, kind, literal, None, path)


def _kind(operand: Operand, schema: pa.Schema, path: str) -> pa.DataType:
    """The type of a column, or of what its dictionary holds. Raises BadTable where it is not there."""
    name = str(operand.column)
    if name not in schema.names:
        raise _missing(operand, schema, path)
    return _value_type(schema.field(name).type)


def _missing(operand: Operand, schema: pa.Schema, path: str) -> BadTable:
    name, names = str(operand.column), schema.names
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    there = ", ".join(names[:LISTED]) + more
    near = nearest(name, names)
    fix = NOT_A_NUMBER.get(name.lower(), f"name a column that is there; text is written in quotes: '{shortened(name)}'")
    if near and len(name) > 2:
        fix = f"did you mean {near}? Text is written in quotes: '{shortened(name)}'"
    what = f"{path} has no column {shortened(name)} (found: {there or 'none'})"
    return BadTable(f"--where, position {operand.at + 1}: {what}", fix=fix)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return _value_type(kind.value_type) if t.is_dictionary(kind) else kind


def _group(kind: pa.DataType) -> str:
    """What values of this type can be compared with."""
    if t.is_null(kind):
        return NOTHING
    if t.is_boolean(kind):
        return BOOLEAN
    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind):
        return NUMBER
    if is_text(kind):
        return TEXT
    if t.is_timestamp(kind) or t.is_date(kind) or t.is_time(kind) or t.is_duration(kind):
        return group_of(kind)
    return OTHER


def _decoded(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if t.is_dictionary(array.type) else array


def _plain(array: pa.Array) -> pa.Array:
    """A column as arrow compares it: text in one type, half floats as floats, times as their ticks."""
    array = _decoded(array)
    if is_text(array.type):
        return array.cast(pa.large_string())
    return ticks(array) if t.is_temporal(array.type) else comparable(array)


def _refuse(left: Operand, one: pa.DataType, right: Operand, other: pa.DataType | None, path: str) -> NoReturn:
    told = f"{_told(left, one)} and {_told(right, other)}, cannot be compared ({path})"
    raise refusal(right.at, told, _fix(left, one, right))


def _told(side: Operand, kind: pa.DataType | None) -> str:
    value = side.value
    if kind is not None:
        return f"{side} is {_group(kind)}"
    return f"{side} is {BOOLEAN if isinstance(value, bool) else NUMBER if isinstance(value, Number) else TEXT}"


def _fix(column: Operand, kind: pa.DataType, other: Operand) -> str:
    """The form that works, for the column and what was compared with it."""
    group, value = _group(kind), other.value
    if group is OTHER:
        return f"{column} can only be asked for null: {column} is not null"
    if value is None:
        return f"compare each with a literal: {column} {_example(kind)}"
    if group is TEXT and not isinstance(value, str):
        return f"write it in quotes: {column} = '{shortened(str(value).lower())}'"
    if group is NUMBER and isinstance(value, str) and _is_number(value):
        return f"write the number without quotes: {column} = {shortened(value.strip())}"
    return f"write for example: {column} {_example(kind)}"


def _example(kind: pa.DataType) -> str:
    group = _group(kind)
    plain = {NUMBER: "> 0.5", TEXT: "= 'text'", BOOLEAN: "= true", OTHER: "is not null", NOTHING: "is null"}
    if group in plain:
        return plain[group]
    clock, span = t.is_time(kind), t.is_duration(kind)
    return ">= '12:30:00'" if clock else "is not null" if span else ">= '2024-03-01'"


def _is_number(text: str) -> bool:
    try:
        number(text.strip())
    except ArithmeticError:  # as decimal calls what it cannot read
        return False
    return True

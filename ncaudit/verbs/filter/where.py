"""`--where`: a condition on a table's columns, read by our own parser and computed by arrow. Nothing is ever evaluated.

Knows arrow columns and the words of a condition; nothing of files or of what the columns mean. The grammar:

    or    := and ("or" and)*
    and   := not ("and" not)*
    not   := "not" not | "(" or ")" | test
    test  := COLUMN | operand SIGN operand | COLUMN "is" "not"? "null" | COLUMN "not"? "in" list
    list  := "(" LITERAL ("," LITERAL)* ")"
    SIGN  := "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="

A literal is a number, 'text' or "text" (the quote is doubled inside), true or false. `odd name` is a column's name.
Null compares as in SQL: neither true nor false.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.errors import NcauditError
from ncaudit.shards.columns import is_text

Literal = str | int | float | bool
Evaluate = Callable[[pa.RecordBatch], pa.Array]

TOKEN = re.compile(
    r"""(?P<number>[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?(?![\w.]))
      | (?P<string>'([^']|'')*'|"([^"]|"")*")
      | (?P<quoted>`[^`]+`)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,)""",
    re.VERBOSE,
)
SIGNS = {
    "=": pc.equal, "==": pc.equal, "!=": pc.not_equal, "<>": pc.not_equal,
    "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
WORDS = frozenset({"and", "or", "not", "is", "in", "null", "true", "false"})
MAX_DEPTH = 100
FORMS = "column > 0.5, column = 'text', column in (1, 2), column is not null, joined by and, or, not and parentheses"
NUMBER, TEXT, BOOLEAN, TIME, NOTHING = "a number", "text", "true or false", "a time", "nothing"


@dataclass(frozen=True)
class Condition:
    """A condition that has been read: what it says, and the columns it is about."""

    text: str
    columns: tuple[str, ...]
    _bind: Callable[[pa.Schema, str], Evaluate]

    def bind(self, schema: pa.Schema, path: str) -> Callable[[pa.RecordBatch], npt.NDArray[np.bool_]]:
        """The test of a batch with these columns: (n,) bool, false where a null leaves it open.

        Raises NcauditError naming `path` and the place when a column is not there or is compared with what it is not.
        """
        evaluate = self._bind(schema, path)
        return lambda batch: np.asarray(pc.fill_null(evaluate(batch), False).to_numpy(zero_copy_only=False), dtype=bool)


def parse(text: str) -> Condition:
    """Read a condition. Raises NcauditError with the position, from 1, of what is not understood.

    >>> parse("similarity >= .28 and not lang in ('en', 'de')").columns
    ('similarity', 'lang')
    """
    reader = _Reader(text)
    bind = reader.alternatives(0)
    if reader.now.kind != "end":
        reader.refuse("expected and, or, or the end")
    return Condition(text, tuple(dict.fromkeys(reader.columns)), bind)


@dataclass(frozen=True)
class _Token:
    kind: str  # number, string, quoted, name, word, sign, end
    text: str
    at: int


@dataclass(frozen=True)
class _Operand:
    """A column by its name, or a literal."""

    at: int
    column: str | None = None
    value: Literal | None = None


Bind = Callable[[pa.Schema, str], Evaluate]


class _Reader:
    """One token of a condition after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self.columns: list[str] = []

    @property
    def now(self) -> _Token:
        return self._tokens[self._next]

    def refuse(self, what: str) -> NoReturn:
        found = f"{self.now.text!r}" if self.now.kind != "end" else "the end"
        raise _error(self.now.at, f"{what}, found {found}")

    def alternatives(self, depth: int) -> Bind:
        return self._joined("or", pc.or_kleene, lambda: self._joined("and", pc.and_kleene, lambda: self._not(depth)))

    def _joined(self, word: str, join: Callable[[Any, Any], pa.Array], part: Callable[[], Bind]) -> Bind:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else _join(join, parts)

    def _not(self, depth: int) -> Bind:
        if depth > MAX_DEPTH:
            self.refuse(f"more than {MAX_DEPTH} conditions inside each other")
        if self._take("not"):
            inner = self._not(depth + 1)
            return lambda schema, path: _inverted(inner(schema, path))
        if self._take("("):
            inner = self.alternatives(depth + 1)
            self._expect(")")
            return inner
        return self._test()

    def _test(self) -> Bind:
        left = self._operand()
        if self.now.kind == "sign" and self.now.text in SIGNS:
            sign = self._advance().text
            return _comparison(left, sign, self._operand())
        if left.column is None:
            self.refuse(f"expected one of {' '.join(SIGNS)}")
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return _null_test(left, negated=negated)
        negated = self._take("not")
        if negated or self.now.text.lower() == "in":
            self._expect("in")
            return _membership(left, self._literals(), negated=negated)
        return _truth(left)

    def _operand(self) -> _Operand:
        token = self.now
        if token.kind in ("name", "quoted"):
            self._advance()
            self.columns.append(token.text.strip("`"))
            return _Operand(token.at, column=self.columns[-1])
        return self._literal("a column or a literal")

    def _literal(self, wanted: str) -> _Operand:
        token = self.now
        values = {"true": True, "false": False}
        if token.kind == "word" and token.text.lower() in values:
            value: Literal = values[token.text.lower()]
        elif token.kind == "number":
            value = _number(token.text)
        elif token.kind == "string":
            quote = token.text[0]
            value = token.text[1:-1].replace(2 * quote, quote)
        else:
            self.refuse(f"expected {wanted}")
        self._advance()
        return _Operand(token.at, value=value)

    def _literals(self) -> list[_Operand]:
        self._expect("(")
        found = [self._literal("a literal")]
        while self._take(","):
            found.append(self._literal("a literal"))
        self._expect(")")
        return found

    def _advance(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _take(self, text: str) -> bool:
        hit = self.now.kind in ("word", "sign") and self.now.text.lower() == text
        self._next += hit
        return hit

    def _expect(self, text: str) -> None:
        if not self._take(text):
            self.refuse(f"expected {text}")


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while rest := text[at:].lstrip():
        at = len(text) - len(rest)
        match = TOKEN.match(text, at)
        if match is None:
            raise _error(at, f"{rest.split()[0]!r} is not understood")
        kind = str(match.lastgroup)
        kind = "word" if kind == "name" and match.group().lower() in WORDS else kind
        found.append(_Token(kind, match.group(), at))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


def _number(text: str) -> Literal:
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


def _error(at: int, what: str) -> NcauditError:
    return NcauditError(f"--where, position {at + 1}: {what}", fix=f"write it like: {FORMS}")


def _join(join: Callable[[Any, Any], pa.Array], parts: Sequence[Bind]) -> Bind:
    def bind(schema: pa.Schema, path: str) -> Evaluate:
        bound = [part(schema, path) for part in parts]

        def evaluate(batch: pa.RecordBatch) -> pa.Array:
            found = bound[0](batch)
            for one in bound[1:]:
                found = join(found, one(batch))
            return found

        return evaluate

    return bind


def _inverted(evaluate: Evaluate) -> Evaluate:
    return lambda batch: pc.invert(evaluate(batch))


def _comparison(left: _Operand, sign: str, right: _Operand) -> Bind:
    compare = SIGNS[sign]

    def bind(schema: pa.Schema, path: str) -> Evaluate:
        kinds = [_type(side, schema, path) for side in (left, right)]
        groups = [_group(kind) for kind in kinds]
        _agree(left, groups[0], right, groups[1], path)
        if NOTHING in groups:
            return lambda batch: pa.nulls(len(batch), pa.bool_())
        values = [_values(side, kinds[1 - i], path) for i, side in enumerate((left, right))]
        return lambda batch: _full(compare(values[0](batch), values[1](batch)), len(batch))

    return bind


def _null_test(operand: _Operand, *, negated: bool) -> Bind:
    def bind(schema: pa.Schema, path: str) -> Evaluate:
        _type(operand, schema, path)
        test = pc.is_valid if negated else pc.is_null
        return lambda batch: test(batch[str(operand.column)])

    return bind


def _membership(operand: _Operand, wanted: Sequence[_Operand], *, negated: bool) -> Bind:
    def bind(schema: pa.Schema, path: str) -> Evaluate:
        kind = _type(operand, schema, path)
        for one in wanted:
            _agree(operand, _group(kind), one, _group(_type(one, schema, path)), path)
        if _group(kind) == NOTHING:
            return lambda batch: pa.nulls(len(batch), pa.bool_())
        values, known = _values(operand, None, path), [_scalar(one, kind, path) for one in wanted]

        def evaluate(batch: pa.RecordBatch) -> pa.Array:
            found = pa.nulls(len(batch), pa.bool_()).fill_null(False)
            for one in known:  # by comparison: arrow's is_in has no types in common for 1.5 and whole numbers
                found = pc.or_kleene(found, pc.equal(values(batch), one))
            return pc.invert(found) if negated else found

        return evaluate

    return bind


def _truth(operand: _Operand) -> Bind:
    def bind(schema: pa.Schema, path: str) -> Evaluate:
        kind = _type(operand, schema, path)
        if _group(kind) not in (BOOLEAN, NOTHING):
            raise _error(operand.at, f"{operand.column} is {kind} in {path}; compare it with something")
        return lambda batch: batch[str(operand.column)].cast(pa.bool_())

    return bind


def _type(operand: _Operand, schema: pa.Schema, path: str) -> pa.DataType:
    if operand.column is None:
        return pa.scalar(operand.value).type if abs(_size(operand.value)) < 2**63 else pa.float64()
    if operand.column not in schema.names:
        found = ", ".join(schema.names)
        raise _error(operand.at, f"{path} has no column {operand.column} (found: {found})")
    return _decoded(schema.field(operand.column).type)


def _size(value: Literal | None) -> int:
    return value if isinstance(value, int) else 0


def _decoded(kind: pa.DataType) -> pa.DataType:
    return _decoded(kind.value_type) if t.is_dictionary(kind) else kind


def _group(kind: pa.DataType) -> str | None:
    """What values of this type can be compared with; None: with nothing."""
    if t.is_null(kind):
        return NOTHING
    if t.is_boolean(kind):
        return BOOLEAN
    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind):
        return NUMBER
    if is_text(kind):
        return TEXT
    return TIME if t.is_temporal(kind) else None


def _agree(left: _Operand, one: str | None, right: _Operand, other: str | None, path: str) -> None:
    timed = {one, other} == {TIME, TEXT} and (left.column is None or right.column is None)
    if None in (one, other) or not (one == other or timed or NOTHING in (one, other)):
        told = " and ".join(_told(side, kind) for side, kind in ((left, one), (right, other)))
        raise _error(right.at, f"{told} cannot be compared ({path})")


def _told(side: _Operand, group: str | None) -> str:
    return f"{side.value!r} is {group}," if side.column is None else f"{side.column} is {group or 'nested or bytes'}"


def _values(operand: _Operand, beside: pa.DataType | None, path: str) -> Callable[[pa.RecordBatch], Any]:
    if operand.column is None:
        scalar = _scalar(operand, beside, path)
        return lambda batch: scalar
    name = operand.column
    return lambda batch: _plain(batch[name])


def _plain(array: pa.Array) -> pa.Array:
    """A column in a type that arrow can compare."""
    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_text(array.type):
        return array.cast(pa.large_string())
    if t.is_float16(array.type) or t.is_decimal(array.type):
        return array.cast(pa.float64() if t.is_decimal(array.type) else pa.float32())
    return array


def _scalar(operand: _Operand, beside: pa.DataType | None, path: str) -> pa.Scalar:
    """The literal in the type of what it is compared with: 0.9 is not above a float32 of 0.9."""
    value = operand.value
    if isinstance(value, bool):
        return pa.scalar(value)
    if isinstance(value, str):
        if beside is None or not t.is_temporal(beside):
            return pa.scalar(value, pa.large_string())
        try:
            return pa.scalar(value).cast(beside)
        except pa.ArrowException as error:
            raise _error(operand.at, f"{value!r} is no {beside} ({path})") from error
    if beside is not None and (t.is_float32(beside) or t.is_float16(beside)):
        rounded = np.float32(value) if t.is_float32(beside) else np.float16(value)
        return pa.scalar(float(rounded), pa.float32())
    return pa.scalar(value) if abs(_size(value)) < 2**63 else pa.scalar(float(value or 0))


def _full(found: Any, rows: int) -> pa.Array:
    """Two literals compare to one answer for all rows."""
    return found if isinstance(found, pa.Array) else pa.array([found.as_py()] * rows, pa.bool_())

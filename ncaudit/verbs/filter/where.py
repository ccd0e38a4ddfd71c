"""`--where`: a condition on a table's columns, read by our own parser and computed by arrow. Nothing is ever evaluated.

Knows arrow columns and the words of a condition; nothing of files or of what the columns mean. The grammar:

    or    := and ("or" and)*
    and   := not ("and" not)*
    not   := "not" not | "(" or ")" | test
    test  := COLUMN | operand SIGN operand | COLUMN "is" "not"? "null" | COLUMN "not"? "in" list
           | COLUMN "not"? "between" operand "and" operand
    list  := "(" LITERAL ("," LITERAL)* ")"
    SIGN  := "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="

A literal is a number, 'text' or "text" (the quote is doubled inside), true or false. `odd name` is a column's name.
Beside a column of dates or times, text is a date or a time, in the column's own zone unless it names one.
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

from ncaudit.errors import NcauditError
from ncaudit.verbs.filter.comparisons import (
    Bind,
    Evaluate,
    Literal,
    Operand,
    comparison,
    membership,
    null_test,
    refusal,
    shortened,
    truth,
)
from ncaudit.verbs.filter.exact import ARROW as SIGNS
from ncaudit.verbs.filter.exact import number

TOKEN = re.compile(
    r"""(?P<number>[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?(?![\w.]))
      | (?P<string>'([^']|'')*'|"([^"]|"")*")
      | (?P<quoted>`[^`]+`)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,)""",
    re.VERBOSE,
)
BLANK, UNTIL_BLANK = re.compile(r"\s*"), re.compile(r"\S{1,60}")
WORDS = frozenset({"and", "or", "not", "is", "in", "null", "true", "false"})
MAX_DEPTH = 100
MEANT = {"&": "and", "|": "or", "!": "not", "~": "not"}  # what other languages write
OPEN_QUOTE = "close it; a quote inside text is written twice, 'it''s', and a shell wants \" around it all"


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

    def refuse(self, what: str, fix: str | None = None) -> NoReturn:
        found = shortened(repr(self.now.text)) if self.now.kind != "end" else "the end"
        raise refusal(self.now.at, f"{what}, found {found}", fix)

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
            return _inverted(self._not(depth + 1))
        if self._take("("):
            inner = self.alternatives(depth + 1)
            self._expect(")")
            return inner
        return self._test()

    def _test(self) -> Bind:
        left = self._operand()
        if self.now.kind == "sign" and self.now.text in SIGNS:
            sign = self._advance().text
            return comparison(left, sign, self._operand())
        if left.column is None:
            self.refuse(f"expected one of {' '.join(SIGNS)}")
        if self._take("is"):
            negated = self._take("not")
            self._expect("null")
            return null_test(left, negated=negated)
        negated = self._take("not")
        if self._is_word("between"):
            self._advance()
            return self._between(left, negated=negated)
        if negated or self._is_word("in"):
            self._expect("in")
            return membership(left, self._literals(), negated=negated)
        return truth(left)

    def _between(self, left: Operand, *, negated: bool) -> Bind:
        low = self._operand()
        self._expect("and")
        inside = _join(pc.and_kleene, [comparison(left, ">=", low), comparison(left, "<=", self._operand())])
        return _inverted(inside) if negated else inside

    def _is_word(self, text: str) -> bool:
        return self.now.kind in ("name", "word") and self.now.text.lower() == text

    def _operand(self) -> Operand:
        token = self.now
        if token.kind in ("name", "quoted"):
            self._advance()
            if self.now.text == "(" and token.kind == "name":
                raise refusal(token.at, f"there are no functions, and so no {shortened(token.text)}()")
            self.columns.append(token.text.strip("`"))
            return Operand(token.at, column=self.columns[-1])
        return self._literal("a column or a literal")

    def _literal(self, wanted: str) -> Operand:
        token = self.now
        values = {"true": True, "false": False}
        if token.kind == "word" and token.text.lower() in values:
            value: Literal = values[token.text.lower()]
        elif token.kind == "number":
            value = number(token.text)
        elif token.kind == "string":
            quote = token.text[0]
            value = token.text[1:-1].replace(2 * quote, quote)
        elif self._is_word("null"):
            self.refuse(f"expected {wanted}", "nothing equals null: write `column is null` or `column is not null`")
        else:
            self.refuse(f"expected {wanted}")
        self._advance()
        return Operand(token.at, value=value)

    def _literals(self) -> list[Operand]:
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
    found: list[_Token] = []
    _require_text(text)
    at = _skipped(text, 0)
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise _not_understood(text, at)
        kind = str(match.lastgroup)
        kind = "word" if kind == "name" and match.group().lower() in WORDS else kind
        found.append(_Token(kind, match.group(), at))
        at = _skipped(text, match.end())
    return [*found, _Token("end", "", len(text))]


def _skipped(text: str, at: int) -> int:
    match = BLANK.match(text, at)
    return match.end() if match else at


def _require_text(text: str) -> None:
    """Bytes of a command line that are not UTF-8 arrive as halves of characters, which nothing can print or compare."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fix = "write it in UTF-8, as your terminal's locale should be; parquet's own text is UTF-8 too"
        raise refusal(error.start, "a byte that is not UTF-8", fix) from error


def _not_understood(text: str, at: int) -> NcauditError:
    match = UNTIL_BLANK.match(text, at)
    word = match.group() if match else text[at]
    if word[0] in "'\"`":
        return refusal(at, f"the quote {word[0]} that opens here is not closed", OPEN_QUOTE)
    fix = None
    if word[0] in MEANT:
        fix = f"write {MEANT[word[0]]} instead of {word[0]}"
    elif word[0] == "." and at and re.match(r"\w", text[at - 1]):
        fix = "a column's name with other signs than letters, digits and _ stands in backticks: `a.b`"
    return refusal(at, f"{shortened(repr(word))} is not understood", fix)


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


def _inverted(part: Bind) -> Bind:
    def bind(schema: pa.Schema, path: str) -> Evaluate:
        evaluate = part(schema, path)
        return lambda batch: pc.invert(evaluate(batch))

    return bind

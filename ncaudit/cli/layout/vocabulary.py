"""What a command's words are made of: each thing says what it is, and how it stands on the page is decided elsewhere.

Knows text and what it means; nothing of widths, colours and streams. Text is data: never markup.
"""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

Change = Callable[[str], str]
DEEPEST, SHALLOW = 12, 4  # columns: below a key that is longer than the one, lines begin at the other


class Meaning(StrEnum):
    """What a colour may say; nothing is coloured for its looks."""

    answer = "answer"
    clean = "clean"
    unsure = "unsure"
    noisy = "noisy"
    warning = "warning"
    error = "error"


@dataclass(frozen=True)
class Span:
    """Some of a line, with what it means."""

    text: str
    meaning: Meaning | None = None

    def mapped(self, change: Change) -> "Span":
        """The same with its text changed."""
        return replace(self, text=change(self.text))


@dataclass(frozen=True)
class Told:
    """A paragraph. head: what stands before it. hang: where its further lines begin.

    most: of a text that is somebody else's: columns of it that are shown, its end is cut and its length told; its words
    may then be cut, too, where a line ends. None: one's own words, which stay whole, so that paths can be copied.
    """

    text: tuple[Span, ...]
    head: Span = Span("")
    hang: int = 2
    most: int | None = None

    def mapped(self, change: Change) -> "Told":
        """The same with every text changed."""
        return replace(self, head=self.head.mapped(change), text=tuple(span.mapped(change) for span in self.text))


@dataclass(frozen=True)
class Command:
    """A command to be copied: whole, or broken so that it can be pasted. lead: before it. why: what it is good for."""

    words: str
    lead: str = "next: "
    why: str = ""

    def mapped(self, change: Change) -> "Command":
        """The same with every text changed."""
        return Command(*map(change, (self.words, self.lead, self.why)))


class Kind(StrEnum):
    """What stands in a column, and how it gives way where there is too little room."""

    number = "number"  # to the right; never
    words = "words"  # wrapped in its cell
    name = "name"  # its end becomes an ellipsis
    place = "place"  # its beginning does: a pair's name tells most at its end
    caption = "caption"  # one line of it, its end becomes an ellipsis; the first to give way


@dataclass(frozen=True)
class Column:
    """A column of a table. detail: only shown where everything is told."""

    name: str
    kind: Kind = Kind.number
    detail: bool = False


@dataclass(frozen=True)
class Table:
    """Cells are data, never markup. A header that is plain text: the first column holds names, the others numbers.

    keys: how many columns, from the left, are repeated where a table is too wide and goes on below itself.
    more: rows that are only shown where everything is told, and `hint` where they are not.
    """

    title: str
    header: Sequence[str | Column]
    rows: Sequence[Sequence[str]]
    keys: int = 1
    more: Sequence[Sequence[str]] = ()
    hint: str = ""

    @property
    def columns(self) -> list[Column]:
        """The header, each with what stands in it."""
        usual = [Kind.name if number == 0 else Kind.number for number in range(len(self.header))]
        given = zip(self.header, usual, strict=True)
        return [Column(one, kind) if isinstance(one, str) else one for one, kind in given]

    def mapped(self, change: Change) -> "Table":
        """The same with every text changed."""
        header = [replace(column, name=change(column.name)) for column in self.columns]
        rows, more = ([[change(cell) for cell in row] for row in rows] for rows in (self.rows, self.more))
        return replace(self, title=change(self.title), header=header, rows=rows, more=more, hint=change(self.hint))

    def whole(self) -> "Table":
        """With all that is only shown where everything is told."""
        return replace(self, rows=[*self.rows, *self.more], more=(), hint="")

    def brief(self) -> "Table":
        """Without."""
        kept = [number for number, column in enumerate(self.columns) if not column.detail]
        rows = [[row[number] for number in kept] for row in self.rows]
        return replace(self, header=[self.columns[number] for number in kept], rows=rows, more=())


@dataclass(frozen=True)
class Detail:
    """Words that are only told where everything is."""

    words: "Sequence[Word]"

    def mapped(self, change: Change) -> "Detail":
        """The same with every text changed."""
        return Detail([mapped(word, change) for word in self.words])


Word = str | Told | Command | Table | Detail  # a plain text is a paragraph
Words = list[Word]  # what a command tells at its end, from above


def mapped(word: Word, change: Change) -> Word:
    """The same with every text changed."""
    return change(word) if isinstance(word, str) else word.mapped(change)


def prose(*parts: str | Span, indent: int = 0) -> Told:
    """A paragraph, some of which may mean something."""
    return Told(_spans(parts), head=Span(" " * indent), hang=indent + 2)


def headline(text: str, more: str = "") -> Told:
    """The answer: what a user asked for."""
    return Told((Span(text, Meaning.answer), *_spans([more])))


def item(*parts: str | Span) -> Told:
    """One of several, below what it belongs to."""
    return prose(*parts, indent=2)


def value(key: str, *parts: str | Span, indent: int = 0) -> Told:
    """What something is: its key, and behind it the value."""
    head = f"{'':{indent}}{key}: "
    return Told(_spans(parts), head=Span(head), hang=_below(head, indent))


def note(text: str) -> Told:
    """What is surprising and makes no answer wrong."""
    return Told((Span(text),), head=Span("note: ", Meaning.warning), hang=len("note: "))


def fix(text: str) -> Told:
    """What to do about what was told before it."""
    return Told((Span(text),), head=Span("  fix: "), hang=len("  fix: "))


def failure(text: str, head: str = "failed shard: ") -> Told:
    """What could not be done."""
    return Told((Span(text),), head=Span(head, Meaning.error), hang=_below(head))


def quoted(text: str, head: str, *, at: int, most: int, hang: int | None = None) -> Told:
    """Somebody else's text from column `at` on, behind `head`. hang: where its further lines begin, if elsewhere."""
    return Told((Span(text),), head=Span(f"{head:<{at}}"), hang=at if hang is None else hang, most=most)


def command(*words: str, lead: str = "next: ", why: str = "") -> Command:
    """A command of these words, each quoted for a shell where it must be."""
    return Command(shlex.join(words), lead, why)


def _below(head: str, indent: int = 0) -> int:
    return len(head) if len(head) <= indent + DEEPEST else indent + SHALLOW


def _spans(parts: Sequence[str | Span]) -> tuple[Span, ...]:
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts if part)

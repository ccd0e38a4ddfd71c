"""Where the rows of CSV and TSV begin and end: text cut into blocks of whole rows, and quotes held to their grammar.

Knows separators, quotes and lines; nothing of columns, types or what cells say.

A cell in quotes must end where its quote closes (`"a ""red"" car"`): one that goes on behind it (`"red" car`) is no
cell in quotes, and whoever guesses where it ends may swallow the rows that follow. A quote within a cell that does not
begin with one (`a 7" tablet`) is a plain character.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.files.formats import BYTE_ORDER_MARK
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.readers.bounds.unpacked import FLAG
from ncaudit.shards.readers.text.plain_text import open_text

STEP = 4 * MIB  # text is read in steps
LINE_END = re.compile(rb"\r\n|[\r\n]")
SWALLOWED = 0  # line ends within a quoted cell between lines that would all be rows: with more it is no chance
SWALLOWED_ELSE = 2  # text has commas by itself
SWALLOWED_ALONE = 1  # any line is a row of one cell
NUMBER = re.compile(rb"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")
BACKSLASH = b"\\"
TOLD = re.compile(rb'"?sep=([,;\t|])"?(?:\r\n|[\r\n])')


@dataclass(frozen=True)
class Dialect:
    """How a file is cut into cells. quoted: whether quotes hold a cell together, or are characters like any other.

    longest: bytes that a row may have.
    """

    separator: str
    quoted: bool = True
    longest: int = MAX_ROW_BYTES


@dataclass(frozen=True)
class Block:
    """Whole rows. line: that on which the first one begins, from 1."""

    line: int
    text: bytes

    @property
    def lines(self) -> int:
        """How many."""
        return _lines(self.text)

    def line_of(self, record: int, dialect: Dialect) -> int:
        """The line on which a row begins. record: its number in the block from 0, blank lines not counted."""
        return self.line + _lines(self.text[: next(islice(_rows(self.text, dialect), record, None))[0]])

    def ragged(self, dialect: Dialect, columns: int) -> tuple[int, int] | None:
        """The line of the first row that has not so many cells, and how many it has; None: all have."""
        for start, end in _rows(self.text, dialect):
            if (cells := _count(self.text, start, end, dialect)) != columns:
                return self.line + _lines(self.text[:start]), cells
        return None

    def behind_header(self, dialect: Dialect) -> "Block":
        """The block less its first row."""
        end = next((end for _, end in _rows(self.text, dialect)), len(self.text))
        return Block(self.line + _lines(self.text[:end]), self.text[end:])


class MisquotedError(BadTable):
    """A quote closes where no cell ends, or never. plain: whether it may be a character like any other."""

    def __init__(self, message: str, *, fix: str, plain: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.plain = plain


@dataclass(frozen=True)
class _Grammar:
    """row: one with its line end. rows: as many as there are. cell: one that is whole, without what ends it."""

    row: re.Pattern[bytes]
    rows: re.Pattern[bytes]
    cell: re.Pattern[bytes]


OPENED = re.compile(rb'"[^"]*+(?:""[^"]*+)*+"?')


@cache
def _grammar(dialect: Dialect) -> _Grammar:
    separator = re.escape(dialect.separator).encode()
    plain = rb"[^S\r\n]*+"
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"(?=[S\r\n])|[^"S\r\n][^S\r\n]*+)?+' if dialect.quoted else plain
    row = cell + rb"(?:S" + cell + rb")*+(?:\r\n|[\r\n])"
    made = (row, rb"(?:" + row + rb")*+", cell + rb"(?=[S\r\n])")
    return _Grammar(*(re.compile(pattern.replace(b"S", separator)) for pattern in made))


def blocks(path: str, dialect: Dialect) -> Iterator[Block]:
    """The text in blocks of whole rows, the header first, in memory bounded by the longest row that is allowed.

    Raises MisquotedError naming the line of a cell whose quote closes where no cell ends, or never; BadTable for a row
    that is longer than allowed, or when the file cannot be read.
    """
    line, held = 1, b""
    for piece, last in _pieces(path):
        held += piece
        if line == 1 and (told := TOLD.match(held)):
            line, held = 2, held[told.end() :]
        end = _end_of_rows(held, dialect, last)
        if end:
            yield Block(line, held[:end])
            line += _lines(held[:end])
            held = held[end:]
        if held and (last or len(held) > dialect.longest):
            raise _refused(path, line, held, dialect, last)


def told_separator(text: bytes) -> tuple[str | None, bytes]:
    r"""What the first line says to separate by, as spreadsheet programs write it, and the text behind that line.

    >>> told_separator(b"sep=;\r\nimage;caption\r\n")
    (';', b'image;caption\r\n')
    """
    told = TOLD.match(text)
    return (told[1].decode(), text[told.end() :]) if told else (None, text)


def swallows_rows(path: str, dialect: Dialect, columns: int) -> int | None:
    """The line of a quoted cell that holds whole lines each of which would be a row, where nothing tells that it means
    to: as plain text every line has all its cells, and quotes are not put as programs put them. Or None.
    """
    if not fits_unquoted(path, dialect.separator, columns, dialect.longest, wrapped=True):
        return None
    if _quotes_like_a_program(path, dialect):
        return None
    enough = SWALLOWED_ALONE if columns == 1 else SWALLOWED
    if columns > 1 and dialect.separator != "\t" and not _has_bare_quotes(path, dialect):
        enough = SWALLOWED_ELSE
    for block in blocks(path, dialect):
        for at, cell in _quoted_cells(block.text, dialect):
            if _lines(cell) > enough:
                return block.line + _lines(block.text[:at])
    return None


def fits_unquoted(
    path: str, separator: str, columns: int, longest: int = MAX_ROW_BYTES, *, wrapped: bool = False
) -> bool:
    """Whether every line has so many cells when quotes are plain characters, and no cell begins and ends with one
    (unless `wrapped`: then some may).
    """
    plain = Dialect(separator, quoted=False, longest=longest)
    split = re.escape(separator).encode()
    line = rb"[^S\r\n]*+(?:S[^S\r\n]*+){%d}" % (columns - 1)
    whole = re.compile((rb"(?:(?:" + line + rb")?(?:\r\n|[\r\n]))*+").replace(b"S", split))
    # a blank behind the closing quote makes no text of it
    around = re.compile(rb'(?:\A|[S\r\n])"[^S\r\n]*"[ \t]*(?=[S\r\n])'.replace(b"S", split))
    try:
        return all(whole.fullmatch(b.text) and (wrapped or not around.search(b.text)) for b in blocks(path, plain))
    except BadTable:
        return False


def _pieces(path: str) -> Iterator[tuple[bytes, bool]]:
    """The text without its mark, piece by piece, and whether that was the last; a line end is put behind that."""
    with open_text(path) as file:
        piece = file.read(STEP) or b""
        piece = piece.removeprefix(BYTE_ORDER_MARK)
        while following := file.read(STEP):
            yield piece, False
            piece = following
        yield piece if piece.endswith((b"\n", b"\r")) or not piece else piece + b"\n", True


def _end_of_rows(text: bytes, dialect: Dialect, last: bool) -> int:
    """Where the last whole row ends. The mark at the end may be half of one."""
    sure = len(text) - (not last and text.endswith(b"\r"))
    if dialect.quoted and b'"' in text:
        found = _grammar(dialect).rows.match(text, 0, sure)
        return found.end() if found else 0
    return 1 + max(text.rfind(b"\n", 0, sure), text.rfind(b"\r", 0, sure))


def _refused(path: str, line: int, text: bytes, dialect: Dialect, last: bool) -> BadTable:
    """What is wrong with text that begins with a row and holds no whole one."""
    at = 0
    cell = _grammar(dialect).cell
    while (found := cell.match(text, at)) and found.end() < len(text) - 1:
        at = found.end() + 1
    opened = OPENED.match(text, at) if dialect.quoted else None
    line += _lines(text[:at])
    if opened and opened[0].endswith(b'"') and 1 < len(opened[0]) and opened.end() < len(text):
        return _closes_inside(path, line, line + _lines(opened[0]), BACKSLASH in opened[0][-2:])
    if opened and last:
        fix = "close that quote, or write it twice within quotes if it is part of the text; or fetch the file again"
        what = f"{path} ends within a quoted cell, which opens on line {line}"
        # on the last line the file was rather cut; and rows of commas are easily taken for each other
        plain = dialect.separator == "\t" and _lines(opened[0]) > 1
        return MisquotedError(what, fix=fix, plain=plain)
    perhaps = ", perhaps as a quote is left open" if opened else ""
    what = f"{path} line {line}: a row is longer than {dialect.longest:,} bytes ({FLAG}){perhaps}"
    return BadTable(what, fix=f"repair the file or leave it out, or raise {FLAG} if that is right")


def _closes_inside(path: str, opens: int, closes: int, escaped: bool) -> MisquotedError:
    where = f", on line {closes}" if closes != opens else ""
    fix = "write quotes that are part of the text twice, within quotes; or give parquet or JSON lines"
    if escaped:
        fix = "write quotes within quotes twice and not behind a backslash (in Spark: escape='\"'), or give parquet"
    what = f"{path} line {opens}: a cell begins with a quote there, which closes in the middle of a cell{where}"
    return MisquotedError(what, fix=fix, plain=not escaped)


def _rows(text: bytes, dialect: Dialect) -> Iterator[tuple[int, int]]:
    """Where each row of whole ones begins and ends, blank lines left out."""
    for found in _grammar(dialect).row.finditer(text):
        if found[0].strip(b"\r\n"):
            yield found.span()


def _count(text: bytes, start: int, end: int, dialect: Dialect) -> int:
    cells = 0
    while start < end and (found := _grammar(dialect).cell.match(text, start)):
        cells, start = cells + 1, found.end() + 1
        if text[found.end() : start] in (b"\r", b"\n"):
            break
    return cells


def _quoted_cells(text: bytes, dialect: Dialect) -> Iterator[tuple[int, bytes]]:
    """The cells in quotes of whole rows, and where each begins."""
    cell, at = _grammar(dialect).cell, 0
    while at < len(text) and (found := cell.match(text, at)):
        if found[0].startswith(b'"'):
            yield at, found[0]
        at = found.end() + 1


def _quotes_like_a_program(path: str, dialect: Dialect) -> bool:
    """Whether quotes are written twice within quotes, stand around empty text, or around every text of a column.

    People put some captions in quotes and others not, and quotes of theirs hold no cell together.
    """
    quoted, bare = set[int](), set[int]()
    for column, cell in _cells_of_rows(path, dialect):
        if cell.startswith(b'"') and not _lines(cell):
            if cell == b'""' or b'""' in cell[1:-1]:
                return True
            quoted.add(column)
        elif cell and not cell.startswith(b'"') and not NUMBER.fullmatch(cell):
            bare.add(column)
    return bool(quoted - bare)


def _cells_of_rows(path: str, dialect: Dialect) -> Iterator[tuple[int, bytes]]:
    """Every cell behind the header, and the number of its column from 0."""
    first = True
    for block in blocks(path, dialect):
        text = block.behind_header(dialect).text if first else block.text
        first = first and not block.text.strip(b"\r\n")
        for start, end in _rows(text, dialect):
            column = 0
            while start < end and (found := _grammar(dialect).cell.match(text, start)):
                yield column, found[0]
                if text[found.end() : found.end() + 1] in (b"\r", b"\n"):
                    break
                column, start = column + 1, found.end() + 1


def _has_bare_quotes(path: str, dialect: Dialect) -> bool:
    """Whether a cell without quotes around it has one inside: whoever wrote it puts none around what holds some."""
    bare = re.compile(rb'(?:\A|[S\r\n])[^"S\r\n][^"S\r\n]*+"'.replace(b"S", re.escape(dialect.separator).encode()))
    return any(bare.search(_between_cells(block.text, dialect)) for block in blocks(path, dialect))


def _between_cells(text: bytes, dialect: Dialect) -> bytes:
    """Whole rows with nothing in their cells in quotes."""
    kept, at = [], 0
    for start, cell in _quoted_cells(text, dialect):
        kept.append(text[at:start])
        at = start + len(cell)
    return b"".join([*kept, text[at:]])


def _lines(text: bytes) -> int:
    """How many line ends there are."""
    return text.count(b"\n") if b"\r" not in text else len(LINE_END.findall(text))

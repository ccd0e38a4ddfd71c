"""How wide a table's columns are, and its lines: numbers are never cut, and everything else gives way before them.

Knows cells and widths; nothing of what they mean. First headers are wrapped, then captions, names and words give way;
what is too wide even then goes on below, with the columns repeated that say what a row is about.
"""

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len

from ncaudit.cli.layout.vocabulary import Column, Kind, Span, Table, Told
from ncaudit.cli.layout.wrapping import Line, paragraph, short

GAP = 2
LEAST = {Kind.caption: 24, Kind.name: 12, Kind.place: 12, Kind.words: 16}  # columns that each keeps
MOST_UNWRAPPED = 150  # columns of a caption where lines have no width
Rows = Sequence[Sequence[str]]


def table_lines(table: Table, width: int | None) -> list[Line]:
    """The table with its title."""
    title = paragraph(Told((Span(table.title),)), width) if table.title else []
    hint = paragraph(Told((Span(table.hint),), head=Span("  ")), width) if table.hint else []
    lines = [line for number in _blocks(table, width) for line in _block(_part(table, number), width)]
    return [*title, *([Span(line)] if line else [] for line in lines), *hint]


def _part(table: Table, numbers: Sequence[int]) -> Table:
    columns, rows = table.columns, [[row[number] for number in numbers] for row in table.rows]
    return Table("", [columns[number] for number in numbers], rows)


def _blocks(table: Table, width: int | None) -> list[list[int]]:
    """Which columns stand beside each other: all, or as many as there is room for."""
    columns, keys = table.columns, list(range(table.keys))
    blocks, others = [keys.copy()], range(table.keys, len(columns))
    for number in others:
        if width is not None and len(blocks[-1]) > len(keys) and _least(table, [*blocks[-1], number]) > width:
            blocks.append(keys.copy())
        blocks[-1].append(number)
    return blocks


def _least(table: Table, numbers: Sequence[int]) -> int:
    part = _part(table, numbers)
    return sum(_narrowest(column, cells) for column, cells in _by_column(part)) + GAP * (len(numbers) - 1)


def _by_column(table: Table) -> list[tuple[Column, list[str]]]:
    return [(column, [row[number] for row in table.rows]) for number, column in enumerate(table.columns)]


def _narrowest(column: Column, cells: Sequence[str]) -> int:
    header = max((cell_len(word) for word in column.name.split()), default=0)
    widest = max(map(cell_len, cells), default=0)
    return max(header, widest if column.kind is Kind.number else min(widest, LEAST[column.kind]))


def _widths(table: Table, width: int | None) -> list[int]:
    """What every column gets: all it wants, and where that is too much, less for those that can give way."""
    columns = _by_column(table)
    cells = [max(map(cell_len, found), default=0) for _, found in columns]
    wanted = [max(cell_len(column.name), widest) for (column, _), widest in zip(columns, cells, strict=True)]
    if width is None:
        return [_unwrapped(column, want) for (column, _), want in zip(columns, wanted, strict=True)]
    least = [_narrowest(column, found) for column, found in columns]
    room = width - GAP * (len(columns) - 1)
    wanted = _shrunk(wanted, list(map(max, least, cells)), room)  # headers first
    for kind in (Kind.caption, Kind.place, Kind.name, Kind.words):
        given = zip(columns, least, wanted, strict=True)
        floors = [one if column.kind is kind else want for (column, _), one, want in given]
        wanted = _shrunk(wanted, floors, room)
    return [_tight(column, size, widest) for (column, _), size, widest in zip(columns, wanted, cells, strict=True)]


def _tight(column: Column, size: int, widest: int) -> int:
    """Not wider than what stands there: a header that is wrapped may need less than it was given."""
    return min(size, max(widest, *map(cell_len, _wrapped(column.name, size))))


def _unwrapped(column: Column, wanted: int) -> int:
    return min(wanted, MOST_UNWRAPPED) if column.kind is Kind.caption else wanted


def _shrunk(wanted: Sequence[int], floors: Sequence[int], room: int) -> list[int]:
    """The widest ones smaller, one column at a time, until there is room or nothing can give way any more."""
    widths = list(wanted)
    while sum(widths) > room:
        able = [number for number, width in enumerate(widths) if width > floors[number]]
        if not able:
            break
        widths[max(able, key=lambda number: widths[number])] -= 1
    return widths


def _block(table: Table, width: int | None) -> list[str]:
    widths, columns = _widths(table, width), table.columns
    kinds = [column.kind for column in columns]
    names = [_wrapped(column.name, size) for column, size in zip(columns, widths, strict=True)]
    deepest = max(map(len, names))
    headed = [[""] * (deepest - len(name)) + name for name in names]  # headers stand on their columns
    head = [_row(cells, widths, kinds) for cells in zip(*headed, strict=True)]
    return [*(line for line in head if line), *(line for row in table.rows for line in _cells(row, widths, kinds))]


def _cells(row: Sequence[str], widths: Sequence[int], kinds: Sequence[Kind]) -> list[str]:
    """The lines of a row."""
    cells = [_cell(cell, size, kind) for cell, size, kind in zip(row, widths, kinds, strict=True)]
    return [_row(line, widths, kinds) for line in zip_longest(*cells, fillvalue="")]


def _cell(cell: str, size: int, kind: Kind) -> list[str]:
    if kind is Kind.number:
        return [cell]
    return _wrapped(cell, size) if kind is Kind.words else [short(cell, size, front=kind is Kind.place)]


def _wrapped(text: str, size: int) -> list[str]:
    lines = paragraph(Told((Span(text),), hang=0, most=len(text) * 2 + 1), max(1, size))
    return ["".join(span.text for span in line) for line in lines]


def _row(cells: Sequence[str], widths: Sequence[int], kinds: Sequence[Kind]) -> str:
    return (" " * GAP).join(map(_set, cells, widths, kinds)).rstrip(" ")


def _set(cell: str, size: int, kind: Kind) -> str:
    missing = " " * (size - cell_len(cell))
    return missing + cell if kind is Kind.number else cell + missing

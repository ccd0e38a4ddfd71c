"""A table for people, as it stands among the lines of a command's words. Knows its cells; nothing of who draws it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ncaudit.cli.shared.user_text import visible


@dataclass(frozen=True)
class Table:
    """Cells are data, never markup. The first column stands to the left, numbers to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def width(self) -> int:
        """What every cell needs, with two spaces between columns: nothing is folded."""
        columns = zip(self.header, *self.rows, strict=True)
        return sum(max(len(cell) for cell in column) + 2 for column in columns)


def visible_table(table: Table) -> Table:
    """The same table with every character that would steer a terminal spelled out."""
    rows = [[visible(cell) for cell in row] for row in table.rows]
    return Table(visible(table.title), [visible(name) for name in table.header], rows)


Words = list[str | Table]  # what a command tells at its end, from above

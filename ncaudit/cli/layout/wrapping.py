r"""Where lines end: at word borders, by the columns that a terminal gives each letter; what belongs together stays so.

Knows words, what they mean and widths; nothing of what is told. A number stays with what it counts or measures
(`90 %`, `0.97 ± 0.02`, `2,000 rows`). A command goes on behind a backslash, so that it can be pasted.
"""

import re
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

from ncaudit.cli.layout.vocabulary import Command, Span, Told

Line = list[Span]  # what stands in one line, from the left
LOOSE = 32  # columns of words that stay together; beyond that they are words like others
NUMBER = re.compile(r"[(\[~<>]*[-+±]?\d[\d,.]*(?<![,.])")
ASIDE = re.compile(r"\([^ ]*\)[,.;:]?")  # (string), of what stands before it
BETWEEN = {"±", "->", "=", "+", "-", "/", "×", "<", ">"}
BEHIND = {"%", "±", "->", "MiB", "KiB", "GiB", "bytes"}
ARGUMENT = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*"|['"\\])+""", re.DOTALL)
CONTINUED = 4  # columns before the rest of a command


def paragraph(told: Told, width: int | None) -> list[Line]:
    """The lines of a paragraph; one where there is no width."""
    text = told.text if told.most is None else (Span(_short(_joined(told.text), told.most)),)
    whole = [told.head, *text]
    if width is None or cell_len(_joined(whole)) <= width:
        return [_trimmed(whole)]
    page = _Page(told, width)
    for group in _loosened(_groups(text), max(1, width - told.hang)):
        page.add(group)
    return [_trimmed(line) for line in page.lines]


def command(given: Command, width: int | None) -> list[Line]:
    """The lines of a command: one that is too long goes on behind a backslash. Arguments are never cut."""
    lead, indent = given.lead, len(given.lead) + CONTINUED
    if width is None or cell_len(lead + given.words) <= width:
        lines = [lead + given.words]
    else:
        lines = list(_continued(lead, indent, _arguments(given.words), width))
    why = paragraph(Told((Span(given.why),), Span(" " * len(lead)), hang=len(lead)), width) if given.why else []
    return [[Span(line)] for line in lines] + why


def short(text: str, cells: int, *, front: bool = False) -> str:
    """A text in so many columns: its end becomes an ellipsis, or, with `front`, its beginning.

    >>> short("a red car", 6), short("data/00017.parquet/12", 12, front=True)
    ('a red…', '….parquet/12')
    """
    if cell_len(text) <= cells:
        return text
    if front:
        return f"…{_first_cells(text[::-1], cells - 1)[::-1]}"
    return f"{_first_cells(text, cells - 1).rstrip()}…"


def _first_cells(text: str, cells: int) -> str:
    taken, room = 0, cells
    for letter in text:
        room -= cell_len(letter)
        if room < 0:
            break
        taken += 1
    return text[:taken]


class _Page:
    """Lines that words are set in, one after the other."""

    def __init__(self, told: Told, width: int) -> None:
        self.lines: list[Line] = [[told.head]]
        self._hang, self._width, self._cuts = told.hang, width, told.most is not None
        self._used, self._empty = cell_len(told.head.text), True

    def add(self, group: Line) -> None:
        """Words that stay together. Longer than a line they are cut, in somebody else's text, or stay whole."""
        text = _joined(group)
        if not self._fits(text) and not (self._empty and self._used <= self._hang):
            self._break()
        if not self._cuts or self._fits(text):
            self._put(group)
            return
        for piece in chop_cells(text, max(1, self._width - self._hang)):
            if not self._empty:
                self._break()
            self._put([Span(piece)])

    def _fits(self, text: str) -> bool:
        return self._used + (not self._empty) + cell_len(text) <= self._width

    def _put(self, group: Line) -> None:
        added = group if self._empty else [Span(" "), *group]
        self.lines[-1] += added
        self._used, self._empty = self._used + cell_len(_joined(added)), False

    def _break(self) -> None:
        self.lines.append([Span(" " * self._hang)])
        self._used, self._empty = self._hang, True


def _groups(text: Sequence[Span]) -> list[Line]:
    """Words that stay together, each a piece of a line."""
    groups, last = list[Line](), ""
    for word in _words(text):
        told = _joined(word)
        together = f"{_joined(groups[-1])} {told}" if groups else ""
        if groups and _belong(last, told) and cell_len(together) <= LOOSE:
            groups[-1] = [*groups[-1], Span(" "), *word]
        else:
            groups.append(word)
        last = told
    return groups


def _loosened(groups: Sequence[Line], room: int) -> Iterator[Line]:
    """Where a line is too short for what belongs together, that is words like others."""
    for group in groups:
        if cell_len(_joined(group)) <= room:
            yield group
        else:
            yield from _words(group)


def _belong(left: str, right: str) -> bool:
    return bool(NUMBER.fullmatch(left) or ASIDE.fullmatch(right)) or left in BETWEEN or right in BEHIND


def _words(text: Sequence[Span]) -> list[Line]:
    """What stands between spaces, whatever each part of it means. Other spaces than the usual one hold together."""
    words, begun = list[Line](), False
    for span in text:
        for piece in re.findall(r" +|[^ ]+", span.text):
            if piece[0] == " ":
                begun = False
            elif begun:
                words[-1].append(Span(piece, span.meaning))
            else:
                words.append([Span(piece, span.meaning)])
                begun = True
    return words


def _continued(lead: str, indent: int, arguments: Sequence[str], width: int) -> Iterator[str]:
    line, empty = lead, True
    for number, argument in enumerate(arguments):
        behind = 0 if number == len(arguments) - 1 else len(" \\")
        if not empty and cell_len(line) + 1 + cell_len(argument) + behind > width:
            yield f"{line} \\"
            line, empty = " " * indent, True
        line, empty = f"{line}{'' if empty else ' '}{argument}", False
    yield line


def _arguments(words: str) -> list[str]:
    """As a shell reads them, quotes and all; a flag stays with its value."""
    found = list[str]()
    for argument in ARGUMENT.findall(words):
        if found and found[-1].startswith("--") and " " not in found[-1] and not argument.startswith("-"):
            found[-1] += f" {argument}"
        else:
            found.append(argument)
    return found


def _short(text: str, most: int) -> str:
    return text if cell_len(text) <= most else f"{_first_cells(text, most)}… ({len(text):,} characters)"


def _joined(line: Sequence[Span]) -> str:
    return "".join(span.text for span in line)


def _trimmed(line: Sequence[Span]) -> Line:
    """Without blanks at its end, which nobody sees and whoever copies the line gets."""
    kept = [span for span in line if span.text]
    while kept and not kept[-1].text.rstrip(" "):
        kept.pop()
    return [*kept[:-1], Span(kept[-1].text.rstrip(" "), kept[-1].meaning)] if kept else []

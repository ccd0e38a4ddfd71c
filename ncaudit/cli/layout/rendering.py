"""Words as lines, for any width. Knows what words are made of; nothing of streams and colours.

Where a terminal shows them they are wrapped at its width, and prose at 120 columns at most, as longer lines are hard to
read. Elsewhere nothing is wrapped: a line of a log, or one that `grep` finds, is all that is told of one thing.
"""

from collections.abc import Iterable, Sequence

from ncaudit.cli.layout.tables import table_lines
from ncaudit.cli.layout.vocabulary import Command, Detail, Table, Told, Word
from ncaudit.cli.layout.vocabulary import prose as paragraph_of
from ncaudit.cli.layout.wrapping import Line, command, paragraph

NARROWEST, WIDEST = 40, 120  # columns; of prose


def rendered(words: Iterable[Word], width: int | None = None, *, verbose: bool = False) -> list[Line]:
    """The lines. width: of the terminal; None: nothing is wrapped. verbose: with the details."""
    wide = None if width is None else max(width, NARROWEST)
    return [line for word in words for line in _lines(word, wide, verbose)]


def plain(words: Iterable[Word], width: int | None = None, *, verbose: bool = False) -> list[str]:
    """The same without what anything means."""
    return ["".join(span.text for span in line) for line in rendered(words, width, verbose=verbose)]


def _lines(word: Word, width: int | None, verbose: bool) -> Sequence[Line]:
    if isinstance(word, Detail):
        return rendered(word.words, width, verbose=verbose) if verbose else []
    if isinstance(word, Table):
        return table_lines(word.whole() if verbose else word.brief(), width)
    if isinstance(word, Command):
        return command(word, width)
    told = word if isinstance(word, Told) else _paragraph(word)
    return paragraph(told, None if width is None else min(width, WIDEST))


def _paragraph(text: str) -> Told:
    """A plain text keeps the blanks that it begins with."""
    return paragraph_of(text.lstrip(" "), indent=len(text) - len(text.lstrip(" ")))

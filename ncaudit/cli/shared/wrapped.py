"""A user's text in lines of a given width: whole words, by the columns that a terminal gives each letter.

Knows strings and their widths; nothing of what they mean.
"""

from rich.cells import cell_len, chop_cells

from ncaudit.cli.shared.user_text import visible

WIDTH = 80  # of a terminal
MOST = 480  # columns of one text: whoever wants all of it asks for --json


def wrapped(text: str, head: str, *, indent: int, width: int = WIDTH, most: int = MOST) -> list[str]:
    r"""`head`, and behind it the text from column `indent` on; what would steer a terminal is spelled out.

    A word that is longer than a line is cut, and a text that is longer than `most` ends in its number of characters.

    >>> wrapped("a red car\x1b and a tree", "caption", indent=9, width=20)
    ['caption  a red', '         car\\x1b and', '         a tree']
    """
    lines, room = list[str](), width - indent
    for word in _short(visible(text), most, len(text)).split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= room:
            lines[-1] += f" {word}"
        else:
            lines += chop_cells(word, room)
    return [f"{head if number == 0 else '':<{indent}}{line}" for number, line in enumerate(lines or [""])]


def _short(text: str, most: int, characters: int) -> str:
    if cell_len(text) <= most:
        return text
    return f"{chop_cells(text, most)[0]}… ({characters:,} characters)"

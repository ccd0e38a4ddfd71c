"""A user's text where people read it: captions, paths and column names, harmless to a terminal. Knows strings only."""

import json
import unicodedata


def shown(text: str, limit: int = 100) -> str:
    r"""A user's text as one line that a terminal only displays: what would steer it is spelled out, and its end is cut.

    Control characters could move the cursor or set the window's title; those that turn the direction of writing could
    make a line read as another.

    >>> shown("red\x1b[2Jcar\n")
    'red\\x1b[2Jcar\\n'
    """
    plain = visible(text[: limit + 1])
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def visible(text: str, keep: str = "") -> str:
    r"""All of a text, what would steer a terminal spelled out. keep: characters left alone, such as a line's end.

    >>> visible("a\u202eb\n", keep="\n")
    'a\\u202eb\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or _only_shows(c) else c.encode("unicode_escape").decode("ascii") for c in text)


def visible_json(text: str) -> str:
    r"""A JSON text that means the same, with what would steer a terminal escaped.

    >>> visible_json('"\u202e\x7f"')
    '"\\u202e\\u007f"'
    """
    if text.isprintable():
        return text
    return "".join(c if _only_shows(c) else json.dumps(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """Line breaks become spaces: what is told in one line stays in it."""
    return " ".join(text.splitlines())


def _only_shows(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # spaces of other scripts

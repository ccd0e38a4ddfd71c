"""How a result reads where Python shows it: one line, and in a notebook a table.

Knows dataclasses, numbers and how both are written; nothing of what any of them mean.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from html import escape
from typing import Any, ClassVar

MOST = 20  # entries of a table or of a list in a notebook
LONGEST = 80  # characters of one text in a line
SHARES = ("rate", "share", "rate_low", "rate_high", "share_below_half")


class Readable:
    """A dataclass made with `repr=False` that shows what matters first; its fields say the rest."""

    _first: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, first: tuple[str, ...] = (), **more: Any) -> None:
        """first: what its line tells, in this order: fields, and with dots their fields; nothing of None or empty."""
        super().__init_subclass__(**more)
        cls._first = first or cls._first

    def __repr__(self) -> str:
        values = {name: _at(self, name) for name in self._first}
        told = [_named(name, value) for name, value in values.items() if not _is_nothing(value)]
        return f"{type(self).__name__}: {', '.join(told)}"

    def _repr_html_(self) -> str:
        """Every field, what matters first: what Jupyter shows."""
        values = {name: _at(self, name) for name in dict.fromkeys((*self._first, *_names(self)))}
        known = {name: _html(name, value) for name, value in values.items() if not _is_nothing(value)}
        return f"<b>{type(self).__name__}</b>{_table(known.items())}"


def number(name: str, value: float) -> str:
    """A number as its name wants it: shares in percent, seconds with their unit, counts in thousands.

    >>> number("noise_rate", 0.1802), number("seconds", 12.345), number("rows", 2_000), number("auroc", 0.96612)
    ('18.0%', '12.3 s', '2,000', '0.966')
    """
    if isinstance(value, bool) or isinstance(value, int):
        return str(value) if isinstance(value, bool) else f"{value:,}"
    if name.endswith(SHARES):
        return f"{value:.1%}"
    return f"{value:.1f} s" if name == "seconds" else f"{value:.3g}"


def harmless(text: str) -> str:
    r"""Letters that steer what shows them are spelled out.

    >>> harmless("a red car\x1b[31m")
    'a red car\\x1b[31m'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, (str, Mapping, Sequence)) and not len(value))


def _at(value: Any, name: str) -> Any:
    """The field of that name, of a field where dots say so; None where one on the way is."""
    for part in name.split("."):
        value = None if value is None else getattr(value, part)
    return value


def _names(value: Any) -> list[str]:
    return [one.name for one in fields(value)]


def _named(name: str, value: Any) -> str:
    """With its name, unless its words say what it is."""
    return _short(name, value) if name == "seconds" or _has_words(value) else f"{name} {_short(name, value)}"


def _has_words(value: Any) -> bool:
    return is_dataclass(value) and type(value).__str__ is not object.__str__


def _short(name: str, value: Any) -> str:
    """In a line: nothing that needs more than a few words."""
    if isinstance(value, Mapping):
        return f"({', '.join(f'{_short(name, entry)} {harmless(str(key))}' for key, entry in value.items())})"
    if isinstance(value, (list, tuple)):
        return _short(name, value[0]) if len(value) == 1 and isinstance(value[0], str) else f"({len(value):,})"
    text = _plain(name, value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _plain(name: str, value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    return number(name, value) if isinstance(value, (int, float)) else harmless(str(value))


def _html(name: str, value: Any) -> str:
    if isinstance(value, Readable):
        return escape(repr(value))
    if is_dataclass(value):
        return escape(str(value)) if _has_words(value) else _table(_cells(value))
    if isinstance(value, Mapping):
        return _table((str(key), _html(name, entry)) for key, entry in list(value.items())[:MOST])
    if isinstance(value, (list, tuple)):
        return _listed(name, value)
    return escape(_plain(name, value))


def _cells(value: Any) -> Iterator[tuple[str, str]]:
    for name in _names(value):
        if not _is_nothing(entry := getattr(value, name)):
            yield name, _html(name, entry)


def _listed(name: str, values: Sequence[Any]) -> str:
    rows = [_html(name, value) for value in values[:MOST]]
    more = [f"and {len(values) - MOST:,} more"] if len(values) > MOST else []
    return "<br>".join([*rows, *more])


def _table(rows: Any) -> str:
    cells = "".join(
        f'<tr><td style="text-align:left">{escape(harmless(name))}</td><td style="text-align:left">{told}</td></tr>'
        for name, told in rows
    )
    return f"<table>{cells}</table>"

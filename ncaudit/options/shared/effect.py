"""Options that a mode does not read: given all the same, they are refused with the reason.

Knows options and their defaults; nothing of any command. Every options class tells by `unread` what its mode leaves
alone, and asks `refuse_changed` when it is made; a command asks `refuse_given` too, about what stood on the command
line at its default.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from typing import Any

from ncaudit.errors import UsageError
from ncaudit.options.shared.about import Options, flag_of
from ncaudit.options.shared.streams import STREAM, is_folder


@dataclass(frozen=True)
class Unread:
    """Some options, why they change nothing here, and what to do."""

    names: tuple[str, ...]
    reason: str  # behind the flag's name
    fix: str = "leave it out"


def refuse_changed(options: Options) -> None:
    """Raises UsageError where an option that is not read has another value than its default."""
    defaults = {field.name: field.default for field in fields(options)}  # type: ignore[arg-type]
    refuse_given(options, [name for name, default in defaults.items() if _differs(getattr(options, name), default)])


def refuse_given(options: Options, given: Collection[str]) -> None:
    """Raises UsageError where one of these options is not read."""
    modes: Callable[[], Iterator[Unread]] = getattr(options, "unread", lambda: iter(()))
    for one in modes():
        for name in one.names:
            if name in given:
                raise UsageError(f"{flag_of(name)} {one.reason}", fix=one.fix)


def _differs(value: Any, default: Any) -> bool:
    nothing: tuple[Any, ...] = (None, (), [])
    return bool(value != default) and not (value in nothing and default in nothing)


def of_streams(out: str, *, stream: bool, csv: bool) -> Iterator[Unread]:
    """What is about rows on standard output, where there are none. stream: whether there are; csv: whether as CSV."""
    if not stream:
        reason = "says how --out - writes rows" + ("" if out == "-" else f", and --out is {out}")
        yield Unread(("format",), reason, "leave it out, or give --out -")
    if not csv:
        yield Unread(
            ("csv_safe",), "is about rows as CSV on standard output, and there are none",
            "leave it out, or give --out - --format csv",
        )  # fmt: skip


def of_files(out: str) -> Iterator[Unread]:
    """What is about files that are there already. out: where this command writes."""
    fix = "leave it out, or name a place with --out"
    if out == STREAM:
        yield Unread(("overwrite",), "is about files, and none is written", fix)
    if not is_folder(out):
        yield Unread(("prune",), "is about the tables of a folder, and none is written", fix)

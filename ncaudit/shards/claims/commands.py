"""Which command line asks for what is written now, for the records of it. Knows options; nothing of any file."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ncaudit.options.shared.as_command import command_of

_COMMAND: ContextVar[str | None] = ContextVar("command", default=None)


@contextmanager
def made_by(options: Any) -> Iterator[None]:
    """What is written inside is asked for by these options; of a verb that runs others, by its own."""
    token = None if _COMMAND.get() else _COMMAND.set(command_of(options))
    try:
        yield
    finally:
        if token is not None:
            _COMMAND.reset(token)


def command_now() -> str | None:
    """The line, or None where nobody has said it."""
    return _COMMAND.get()

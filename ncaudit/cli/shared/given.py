"""Which flags stood on the command line: one that its mode does not read is refused there even at its default.

Knows names and options; nothing of what a flag means. The options themselves refuse other values. What a file of
options says does not stand on the command line: at its default it changes nothing, and is no mistake.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from ncaudit.options.shared.about import Options
from ncaudit.options.shared.effect import refuse_given

Chosen = TypeVar("Chosen", bound=Options)
_names: ContextVar[frozenset[str]] = ContextVar("given", default=frozenset())


def names() -> frozenset[str]:
    """The options that stood on the command line."""
    return _names.get()


def checked(options: Chosen) -> Chosen:
    """The options, unless a flag was given that this mode does not read: then UsageError."""
    refuse_given(options, names())
    return options


@contextmanager
def given(found: frozenset[str]) -> Iterator[None]:
    """While the block runs, these stood on the command line."""
    token = _names.set(found)
    try:
        yield
    finally:
        _names.reset(token)

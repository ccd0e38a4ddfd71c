"""Which flags stood on the command line: one that its mode does not read is refused there even at its default.

Knows Typer's commands and options; nothing of what a flag means. The options themselves refuse other values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from typer.core import TyperCommand

from ncaudit.cli.shared.light_start import spare_pandas
from ncaudit.options.shared.about import Options
from ncaudit.options.shared.effect import refuse_given

Chosen = TypeVar("Chosen", bound=Options)
_names: ContextVar[frozenset[str]] = ContextVar("given", default=frozenset())


class Command(TyperCommand):
    """A command that remembers, while it runs, which of its parameters were given."""

    def invoke(self, ctx: Any) -> Any:
        """As Typer does it."""
        spare_pandas()
        told = (one.name for one in self.params if ctx.get_parameter_source(one.name).name == "COMMANDLINE")
        with _given(frozenset(name for name in told if name)):
            return super().invoke(ctx)


def names() -> frozenset[str]:
    """The options that stood on the command line."""
    return _names.get()


def checked(options: Chosen) -> Chosen:
    """The options, unless a flag was given that this mode does not read: then UsageError."""
    refuse_given(options, names())
    return options


@contextmanager
def _given(found: frozenset[str]) -> Iterator[None]:
    token = _names.set(found)
    try:
        yield
    finally:
        _names.reset(token)

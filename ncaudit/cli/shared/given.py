"""Which flags stood on the command line: one that its mode does not read is refused there even at its default.

Knows Typer's commands and options; nothing of what a flag means. The options themselves refuse other values.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeVar

from typer.core import TyperCommand

from ncaudit.cli.shared.light_start import spare_pandas
from ncaudit.options.shared.effect import HasModes, refuse_given

RENAMED = {"stream_format": "format"}  # a parameter called `format` would hide Python's own
Options = TypeVar("Options", bound=HasModes)
_names: ContextVar[frozenset[str]] = ContextVar("given", default=frozenset())
_around: list[Callable[[str], AbstractContextManager[None]]] = [lambda command: nullcontext()]


class Command(TyperCommand):
    """A command that remembers, while it runs, which of its parameters were given."""

    def invoke(self, ctx: Any) -> Any:
        """As Typer does it."""
        with _around[-1](ctx.command_path.removeprefix("ncaudit ")):
            spare_pandas()
            return self._invoked(ctx)

    def _invoked(self, ctx: Any) -> Any:
        told = (one.name for one in self.params if ctx.get_parameter_source(one.name).name == "COMMANDLINE")
        with _given(frozenset(RENAMED.get(name, name) for name in told if name)):
            return super().invoke(ctx)


def run_within(around: Callable[[str], AbstractContextManager[None]]) -> None:
    """Every command runs, from now on, within what this makes of its name."""
    _around[:] = [around]


def names() -> frozenset[str]:
    """The options that stood on the command line."""
    return _names.get()


def checked(options: Options) -> Options:
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

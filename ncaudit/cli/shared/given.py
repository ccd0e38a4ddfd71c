"""Which flags stood on the command line: one that its mode does not read is refused there even at its default.

Knows Typer's commands and options; nothing of what a flag means. The options themselves refuse other values. What a
file of options says does not stand on the command line: at its default it changes nothing, and is no mistake.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from typer.core import TyperCommand

from ncaudit.cli.shared.light_start import spare_pandas
from ncaudit.errors import UsageError
from ncaudit.options.shared.about import Options, flag_of
from ncaudit.options.shared.effect import refuse_given

Chosen = TypeVar("Chosen", bound=Options)
_names: ContextVar[frozenset[str]] = ContextVar("given", default=frozenset())


class Command(TyperCommand):
    """A command that remembers, while it runs, which of its parameters were given."""

    def invoke(self, ctx: Any) -> Any:
        """As Typer does it."""
        spare_pandas()
        with _given(self._from(ctx, "COMMANDLINE")):
            try:
                return super().invoke(ctx)
            except UsageError as error:
                raise self._with_place(ctx, error) from None

    def _from(self, ctx: Any, source: str) -> frozenset[str]:
        told = (one.name for one in self.params if ctx.get_parameter_source(one.name).name == source)
        return frozenset(name for name in told if name)

    def _with_place(self, ctx: Any, error: UsageError) -> UsageError:
        """The error, with the file that says so where the option that it names is from one."""
        names = [name for name in self._from(ctx, "DEFAULT_MAP") if error.message.startswith(f"{flag_of(name)} ")]
        if not names:
            return error
        return UsageError(error.message, fix=f"{error.fix}; it stands in {ctx.find_root().params['config']}")


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

"""Kinds of commands, as Typer makes them: one that looks at tables, one that needs torch, and those that hold others.

Knows Typer's classes, and asks our help, our words for mistakes and our ways of ending of them; nothing of any verb.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from typer.core import TyperCommand, TyperGroup

from ncaudit.cli.commands import completion
from ncaudit.cli.commands.help import first_sentence, page
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared import log, output
from ncaudit.cli.shared.ending import require_memory, told
from ncaudit.cli.shared.exit_codes import USAGE
from ncaudit.cli.shared.given import given
from ncaudit.cli.shared.light_start import spare_pandas
from ncaudit.cli.shared.mistakes import no_such_command
from ncaudit.errors import UsageError
from ncaudit.options.shared.about import flag_of

HELP = {"help_option_names": ["-h", "--help"]}


class Command(TyperCommand):
    """A command that remembers, while it runs, which of its parameters were given."""

    def invoke(self, ctx: Any) -> Any:
        """As Typer does it."""
        spare_pandas()
        with given(self._from(ctx, "COMMANDLINE")):
            try:
                return super().invoke(ctx)
            except UsageError as error:
                raise self._with_place(ctx, error) from None

    def _from(self, ctx: Any, place: str) -> frozenset[str]:
        sources = ((one.name, ctx.get_parameter_source(one.name)) for one in self.params)
        return frozenset(name for name, source in sources if name and source and source.name == place)

    def _with_place(self, ctx: Any, error: UsageError) -> UsageError:
        """The error, with the file that says so where the option that it names is from one."""
        names = [name for name in self._from(ctx, "DEFAULT_MAP") if error.message.startswith(f"{flag_of(name)} ")]
        if not names:
            return error
        return UsageError(error.message, fix=f"{error.fix}; it stands in {ctx.find_root().params['config']}")

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Our page instead of Typer's."""
        formatter.write(page(ctx))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """As Typer does it, with the first sentence of each help: a menu has one line for each."""
        found = super().shell_complete(ctx, incomplete)
        for one in found:
            one.help = first_sentence(one.help)
        return found


class Configuring(Command):
    """The command that prints others' options: whatever stands behind a command's name is that command's."""

    examples = (
        Example("What this command line says, as a file.", "ncaudit config score embeddings/ --out scores --k 5"),
        Example("All that it takes, to fill in.", "ncaudit config filter scores --verdict clean --out kept --all"),
    )


class Computing(Command):
    """A command that needs torch: whether there is memory for that is asked before, as torch would crash."""

    def invoke(self, ctx: Any) -> Any:
        """As Typer does it."""
        require_memory()
        return super().invoke(ctx)


class Group(TyperGroup):
    """A word that has commands below it."""

    examples: ClassVar[Sequence[Example]] = ()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Our page instead of Typer's."""
        formatter.write(page(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does it; without any word the help is shown, and nothing is done."""
        if not args and not ctx.resilient_parsing:
            for line in page(ctx).splitlines():
                output.say(line)
            raise SystemExit(USAGE)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """As Typer does it, with the first sentence of each help."""
        found = super().shell_complete(ctx, incomplete)
        for one in found:
            command = self.commands.get(one.value)
            one.help = first_sentence(command.help if command else one.help)
        return found

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer does it, but for words that are no command."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise no_such_command(args[0], self.commands, ctx)
        return super().resolve_command(ctx, args)


class Commands(Group):
    """All commands: whatever ends one of them, ends here."""

    examples = (
        Example("See what it does, on data that come with it.", "ncaudit demo --fast"),
        Example("Everything about a dataset, on one page.", "ncaudit audit data/ --out audited"),
        Example("What a command takes.", "ncaudit help score"),
    )

    def main(self, *args: Any, **more: Any) -> Any:
        """As Typer does it."""
        completion.prepare()
        with log.ended(), told():
            return super().main(*args, **more)

    def make_context(self, *args: Any, **more: Any) -> Any:
        """As Typer does it; its own answers are not ours."""
        with told():
            return super().make_context(*args, **more)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As Typer does it; behind the flags of completion a shell may be named."""
        if not ctx.resilient_parsing:
            completion.heed_shell(ctx, args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """As Typer does it; its own answers are not ours."""
        with told():
            return super().invoke(ctx)

"""`ncaudit help`: what a command takes, for those who ask so."""

from typing import Annotated, Any

import typer

from ncaudit.cli.commands.help import page
from ncaudit.cli.shared import output
from ncaudit.cli.shared.mistakes import no_such_command


def help_of(
    context: typer.Context,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND", help="The command's name; none for all commands.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show the rare options, too.")] = False,
) -> None:
    """Show the help of a command, or the list of all commands."""
    found: Any = context.parent
    for word in command or ():
        inner = getattr(found.command, "commands", {})
        if word not in inner:
            raise no_such_command(word, inner, found)
        found = type(found)(inner[word], info_name=word, parent=found)
    output.data(page(found, everything=everything))

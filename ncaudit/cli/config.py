"""`ncaudit config`: a command line as a file of options."""

import copy
from typing import Annotated, Any

import typer

from ncaudit.cli.commands.flags import given_fields
from ncaudit.cli.commands.spec import spec_of
from ncaudit.cli.configuration.keys import tables_of
from ncaudit.cli.configuration.written import toml_of
from ncaudit.cli.shared import output
from ncaudit.errors import UsageError
from ncaudit.nearest import one_of

ALL = "--all"
GIVEN = ("COMMANDLINE", "DEFAULT_MAP")  # on the command line, or in the file that --config names


def config(
    context: typer.Context,
    words: Annotated[
        list[str], typer.Argument(help="A command with its options, as if it were run.", metavar="COMMAND")
    ],
    every: Annotated[
        bool, typer.Option(ALL, help="All other options, too, as comments with their defaults: a file to fill in.")
    ] = False,
) -> None:
    """Print the options of a command line as TOML, for `ncaudit --config FILE COMMAND`. Nothing is run.

    The file has a table for each command; keys are spelled as the flags without their dashes. Flags on the command line
    win over the file, and with --config before it what that file says is printed, too.
    """
    program = context.find_root().command
    if words[-1:] == [ALL]:
        words, every = words[:-1], True
    table, arguments = _split(words, tables_of(program))
    command = _with_nothing_required(tables_of(program)[table])
    parsed = command.make_context(table.rpartition(".")[2], arguments, parent=_above(context, table))
    given = {name: value for name, value in parsed.params.items() if parsed.get_parameter_source(name).name in GIVEN}
    _require_sound(tables_of(program)[table], given)
    for line in toml_of(table, tables_of(program)[table], given, every=every):
        output.data(line)


def _split(words: list[str], tables: dict[str, Any]) -> tuple[str, list[str]]:
    """The table of the command that the first words name, and the other words."""
    for count in (1, 2):
        if (table := ".".join(words[:count])) in tables:
            return table, words[count:]
    known, word = [name.replace(".", " ") for name in tables], words[0] if words else ""
    raise UsageError(f"{word or 'nothing'} is no command with options", fix=one_of(word, known))


def _with_nothing_required(command: Any) -> Any:
    """The same command, of which a part may be given."""
    lax = copy.copy(command)
    lax.params = [copy.copy(one) for one in command.params]
    for one in lax.params:
        one.required = False
    return lax


def _above(context: typer.Context, table: str) -> Any:
    """The context that the command has when it is run: with what --config says of it."""
    above: Any = context.find_root()
    for word in table.split(".")[:-1]:
        group = above.command.commands[word]
        above = type(above)(group, info_name=word, parent=above)
    return above


def _require_sound(command: Any, given: dict[str, Any]) -> None:
    """Raises NcauditError where the options contradict each other, unless there are still some to be filled in."""
    spec = spec_of(command.callback)
    if spec is not None and all(one.name in given for one in command.params if one.required):
        spec.options(**dict(given_fields(spec.options, given)))

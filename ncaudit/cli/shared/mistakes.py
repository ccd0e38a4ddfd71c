"""What is wrong in a command line, as Typer finds it, in two lines: what, and what to do, with the name that was meant.

Knows Typer's errors and parameters; nothing of what a flag means.
"""

import re
from collections.abc import Iterable
from typing import Any

from typer import TyperException

from ncaudit.errors import UsageError
from ncaudit.nearest import nearest, one_of

LACKS = "lacks"  # of what Typer calls: flags that it has not, with the reason and what to do
NUMBERS = (("integer", "a whole number"), ("number", "a number"))


def mistake(error: TyperException) -> UsageError:
    """The same, for people."""
    context = getattr(error, "ctx", None)
    name, parameter = getattr(error, "option_name", None), getattr(error, "param", None)
    if name and hasattr(error, "possibilities"):
        return _no_such_option(name, context)
    if parameter is not None and error.message:
        return _bad_value(error.message, parameter, context)
    return UsageError(_sentence(error.format_message()), fix=see(context))


def no_such_command(name: str, known: Iterable[str], context: Any) -> UsageError:
    """For a word that is no command."""
    return UsageError(f"there is no command {name}", fix=one_of(name, known))


def see(context: Any) -> str:
    """Where the flags are told."""
    if context is None:
        return "see the command's --help"
    return f"see {command_path(context)} --help"


def command_path(context: Any) -> str:
    """The words that call the command, without the flags that stand between them."""
    words = []
    while context is not None:
        words.append(context.info_name if context.parent else "ncaudit")
        context = context.parent
    return " ".join(reversed(words))


def _no_such_option(name: str, context: Any) -> UsageError:
    if context is not None and name in (lacks := getattr(context.command.callback, LACKS, {})):
        return UsageError(f"{command_path(context)} takes no {name}: {lacks[name][0]}", fix=lacks[name][1])
    known = flags(context)
    more = f"{see(context)}-all" if "--help-all" in known else see(context)
    found = nearest(name.lstrip("-"), (flag.lstrip("-") for flag in known))
    return UsageError(f"there is no option {name}", fix=f"{f'did you mean --{found}? ' if found else ''}{more}")


def flags(context: Any) -> list[str]:
    """All flags of the command."""
    if context is None:
        return []
    every = [name for one in context.command.get_params(context) for name in (*one.opts, *one.secondary_opts)]
    return [name for name in every if name.startswith("--")]


def _bad_value(message: str, parameter: Any, context: Any) -> UsageError:
    flag = parameter.opts[0]
    if found := re.search(r"'(.*)' is not one of (.*)\.$", message):
        words = re.findall(r"'([^']*)'", found[2])
        return UsageError(f"{flag} is {found[1]}", fix=one_of(found[1], words))
    wanted = next((told for word, told in NUMBERS if word in message), None)
    if wanted:
        return UsageError(f"{flag} takes {wanted}", fix=f"give {wanted}; {see(context)}")
    return UsageError(f"{flag}: {message}", fix=see(context))


def _sentence(text: str) -> str:
    said = text.rstrip(".").replace("'", "")
    return said[:1].lower() + said[1:]

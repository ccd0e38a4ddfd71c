"""Completion of words in bash, zsh, fish and PowerShell: Typer's scripts, installed or shown. Knows shells only.

Which words there are, each option tells by itself.
"""

import contextlib
import io
import itertools
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer import completion

from ncaudit.cli.shared import output
from ncaudit.errors import UsageError
from ncaudit.nearest import one_of

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
ASKED = "_NCAUDIT_COMPLETE"  # what the installed script sets


def _install(context: typer.Context, parameter: typer.CallbackParam, wanted: bool) -> None:
    _done(completion.install_callback, context, parameter, wanted)


def _show(context: typer.Context, parameter: typer.CallbackParam, wanted: bool) -> None:
    _done(completion.show_callback, context, parameter, wanted)


def _done(action: Callable[..., Any], context: Any, parameter: Any, wanted: bool | str) -> None:
    """Does it and ends the process, or says why not. Typer prints; what it prints when all is well is ours to tell."""
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            action(context, parameter, wanted)
    except typer.Exit:
        raise UsageError("this shell is not known", fix=f"name it behind the flag: {', '.join(SHELLS)}") from None
    except SystemExit:
        output.data(told.getvalue().rstrip("\n"))
        raise


_ACTIONS = {"--install-completion": completion.install_callback, "--show-completion": completion.show_callback}
Install = Annotated[
    bool,
    typer.Option(
        "--install-completion",
        is_eager=True,
        callback=_install,
        help="Let this shell complete commands, flags and their words; or the shell named behind it: bash, zsh, fish.",
    ),
]
Show = Annotated[
    bool,
    typer.Option(
        "--show-completion",
        is_eager=True,
        callback=_show,
        help="Print the script for that, to be put where you like; a shell may be named, too.",
    ),
]


def heed_shell(context: Any, words: list[str]) -> None:
    """Does what is asked of a shell that is named, and ends the process. Raises UsageError for another word."""
    flag = next((word for word in itertools.takewhile(_is_flag, words) if word in _ACTIONS), None)
    shell = next(iter(words[words.index(flag) + 1 :]), "-") if flag else "-"
    if flag is None or _is_flag(shell):
        return
    if shell not in SHELLS:
        raise UsageError(f"there is no completion for {shell}", fix=one_of(shell, SHELLS))
    parameter = next(one for one in context.command.params if flag in one.opts)
    _done(_ACTIONS[flag], context, parameter, shell)


def _is_flag(word: str) -> bool:
    return word.startswith("-")


def prepare() -> None:
    """Where a shell asks for words, Typer's answers to it are there."""
    if ASKED in os.environ:
        os.environ["COLUMNS"] = "1000"  # Typer folds helps at this width, and shells take each line for a word
        completion.get_completion_inspect_parameters()

"""Completion of words in bash, zsh, fish and PowerShell: Typer's scripts, installed or shown. Knows shells only.

Which words there are, each option tells by itself.
"""

import os
from typing import Annotated, Any

import typer
from typer import completion

from ncaudit.errors import UsageError

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")
ASKED = "_NCAUDIT_COMPLETE"  # what the installed script sets


def _install(context: typer.Context, parameter: typer.CallbackParam, wanted: bool) -> None:
    completion.install_callback(context, parameter, wanted)


def _show(context: typer.Context, parameter: typer.CallbackParam, wanted: bool) -> None:
    completion.show_callback(context, parameter, wanted)


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
    if not words[1:] or words[0] not in _ACTIONS or words[1].startswith("-"):
        return
    if words[1] not in SHELLS:
        raise UsageError(f"there is no completion for {words[1]}", fix=f"give one of: {', '.join(SHELLS)}")
    parameter = next(one for one in context.command.params if words[0] in one.opts)
    _ACTIONS[words[0]](context, parameter, words[1])


def prepare() -> None:
    """Where a shell asks for words, Typer's answers to it are there."""
    if ASKED in os.environ:
        completion.get_completion_inspect_parameters()

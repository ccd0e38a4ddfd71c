"""Writes docs/commands.md, every command with all of its flags: `python docs/make_commands.py`.

Knows Typer's commands and markdown; nothing of what a command does. A test fails when the page is not what it writes.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from ncaudit.cli.app import app
from ncaudit.cli.commands.anywhere import NAMES as ANYWHERE
from ncaudit.cli.commands.help import entries_of, examples_of, panel_of
from ncaudit.cli.commands.spec import Example

PAGE = Path(__file__).parent / "commands.md"
WIDTH = 120
WHOLE = {"break_long_words": False, "break_on_hyphens": False}
HEAD = """# Commands
Every command and every flag, made by `python docs/make_commands.py` from what `--help` knows. What the outputs hold is
on [columns](columns.md); [training](training.md) says which of `train`'s flags belong together.

- A flag with a `*` must be given. Several values: give the flag several times. `ncaudit help COMMAND` and `-h` show the
  everyday flags, `--help-all` these.
- `--log FILE` appends a line, with its time, for each of these: the command line, versions of ncaudit and its
  libraries, options that are not at their defaults, stages with what they did and how long it took, notes, errors, and
  the exit code. Passwords, tokens and signatures in addresses are masked, and the environment is not written.
- `ncaudit --install-completion` lets bash, zsh or fish complete commands, flags and words such as scorers.
- `--out -` writes rows to standard output, as Arrow IPC or as `--format` says, and all words go to standard error.
  `--json` prints one summary object instead of words.
- Exit codes: 0 every row accounted for; 1 nothing could be made (two lines: what, and what to do); 2 the command itself
  is wrong; 3 something was made, but some shard failed, or more rows than `--max-failed`; 130 interrupted, with the
  command that resumes; 141 the reader of a pipe went away.
- `--dry-run` tells what a command would read, do, write and replace, and does nothing
  ([more](how-it-works.md#before-a-run---dry-run)). Options may stand in a file, too
  ([more](how-it-works.md#options-in-a-file---config)).
- Rerun the same command to resume: what is finished is kept. Files that the command did not write are replaced only
  with `--overwrite`, inputs never; `--refit`, `--redo` and `--restart` redo the command's own work and nothing else
  ([more](how-it-works.md#resuming)).
"""


def page() -> str:
    """The whole page."""
    group: Any = typer.main.get_command(app)
    first = [one for one in group.params if one.name not in ANYWHERE]
    anywhere = [one for one in group.commands["audit"].params if one.name in ANYWHERE]
    lines = [HEAD, "Before any command:", "", *_table([_row(one) for one in first])]
    lines += ["", "Before or after any command (`--help-all` after it):", "", *_table([_row(one) for one in anywhere])]
    for path, command in _commands(group, ()):
        lines += _section(path, command)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below this one that does something, with the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
    else:
        for name, each in inner.items():
            yield from _commands(each, (*path, name))


def _section(path: tuple[str, ...], command: Any) -> list[str]:
    choices = _choices(command.callback)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name not in ANYWHERE]
    needed = [f"{p.opts[0]} {p.opts[0].strip('-').replace('-', '_').upper()}" for p in options if p.required]
    usage = " ".join(["ncaudit", *path, *(f"{p.metavar}…" for p in arguments), *needed, "[flags]"])
    told = [f"- `{p.metavar}`: {p.help}" for p in arguments]
    lines = ["", f"## {' '.join(path)}", f"`{usage}`", "", *_paragraphs(command.help)]
    lines += [line for each in told for line in textwrap.wrap(each, WIDTH, subsequent_indent="  ", **WHOLE)]
    panels = _panels(command, options)
    for panel, inside in panels.items():
        head = [f"**{panel}**", ""] if panel else []
        lines += ["", *head, *_table([_row(option, choices.get(option.name, ())) for option in inside])]
    return [*lines, *_shell(examples_of(command))]


def _panels(command: Any, options: list[Any]) -> dict[str, list[Any]]:
    """The options below the headings of `--help-all`, in its order."""
    with command.make_context(command.name, [], resilient_parsing=True) as context:
        order = [entry.panel for entry in entries_of(context)]
        found = {option.name: panel_of(option, context) for option in options}
    return {
        panel: [option for option in options if found[option.name] == panel]
        for panel in dict.fromkeys(order)
        if panel in found.values()
    }


def _shell(examples: Sequence[Example]) -> list[str]:
    return ["", "```text", *(f"{one.line}   # {one.what}" for one in examples), "```"] if examples else []


def _paragraphs(help_text: str) -> list[str]:
    parts = [" ".join(part.split()) for part in help_text.strip().split("\n\n")]
    return [line for part in parts for line in [*textwrap.wrap(part, WIDTH, **WHOLE), ""]]


def _table(rows: list[tuple[str, str, str]]) -> list[str]:
    return ["| flag | default | meaning |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def _row(option: Any, choices: tuple[str, ...] = ()) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    meaning = _cell(option.help)
    if choices:
        meaning += f" One of: {', '.join(f'`{choice}`' for choice in choices)}."
    return names + " *" * option.required, _default(option), meaning


def _default(option: Any) -> str:
    default = option.default.value if isinstance(option.default, Enum) else option.default
    if option.secondary_opts:  # two names for yes and no
        return f"`{(option.opts if default else option.secondary_opts)[0]}`"
    if default is None or isinstance(default, bool) or default == ():
        return ""
    return f"`{default}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _choices(callback: Any) -> dict[str, tuple[str, ...]]:
    """The words that each parameter takes, for those that take no others."""
    found = {name: _enum(hint) for name, hint in get_type_hints(callback).items()}
    return {name: tuple(member.value for member in kind) for name, kind in found.items() if kind}


def _enum(hint: Any) -> Any:
    """The enum that a hint is, or holds: `Kind | None`, `list[Kind]`."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    return next((found for inner in get_args(hint) if (found := _enum(inner))), None)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

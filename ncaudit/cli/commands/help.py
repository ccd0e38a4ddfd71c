"""What `--help` shows: plain headings, everyday options first, whole words and sentences at any width.

Knows Typer's commands and what options tell of themselves; nothing of what they do, and prints nothing. The text goes
through no markup: whatever it holds stays text.
"""

import inspect
import re
import shlex
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ncaudit.cli.commands.spec import Example, spec_of
from ncaudit.cli.shared.mistakes import command_path
from ncaudit.options.shared.about import Option, Panel, options_of

WIDEST, NARROWEST = 80, 40
MARGIN = 27  # columns of the flags: what needs more has a line of its own
OPTIONS = "Options"
RARE = {"storage_option", "scratch"}  # of those that stand anywhere
_KEPT = "\N{NO-BREAK SPACE}"  # in what stands on one line


@dataclass(frozen=True)
class Entry:
    """A flag or an argument as the help shows it."""

    panel: str
    rare: bool
    spelled: str
    told: str


def page(context: Any, *, everything: bool = False, width: int | None = None) -> str:
    """The help of the context's command. everything: the rare options, too."""
    width = width or shutil.get_terminal_size().columns
    width = max(NARROWEST, min(width, WIDEST)) - 1  # the last column of some terminals begins a new line
    command = context.command
    lines = _wrapped(f"Usage: {_usage(context)}", width, "", " " * 7)
    for paragraph in _paragraphs(command.help):
        lines += ["", *_wrapped(paragraph, width)]
    lines += _commands(command, width)
    entries = list(entries_of(context))
    for panel in _panels(entries):
        shown = [one for one in entries if one.panel == panel and (everything or not one.rare)]
        lines += ["", panel, *_listed(((one.spelled, one.told) for one in shown), width)] if shown else []
    lines += _examples(command, width)
    hidden = sum(one.rare for one in entries)
    if hidden and not everything:
        lines += ["", *_wrapped(f"{hidden} rarer options are told by: {command_path(context)} --help-all", width)]
    return "\n".join(lines)


def entries_of(context: Any) -> Iterator[Entry]:
    """What the command takes, in the order of the panels."""
    options = _options(context)
    shown = [one for one in context.command.get_params(context) if not one.hidden]
    found = [_entry(one, options.get(one.name), context) for one in shown]
    order, groups = list(Panel), _panels(found)
    yield from sorted(found, key=lambda one: (_place(one.panel, order), groups.index(one.panel), one.rare))


def _options(context: Any) -> dict[str, Option]:
    spec = spec_of(context.command.callback)
    return {one.name: one for one in options_of(spec.options)} if spec else {}


def _place(panel: str, order: Sequence[Panel]) -> int:
    name = panel.partition(":")[0]
    return order.index(Panel(name)) if name in order else -1


def _panels(entries: Iterable[Entry]) -> list[str]:
    return list(dict.fromkeys(one.panel for one in entries))


def panel_of(parameter: Any, context: Any) -> str:
    """The heading that a parameter stands under."""
    option = _options(context).get(parameter.name)
    if option is None:
        is_help = parameter.name == "help"
        own = getattr(parameter, "rich_help_panel", None)
        return own or (_last_panel(context) if is_help else OPTIONS)
    return f"{option.about.panel}: {option.about.of}" if option.about.of else str(option.about.panel)


def _entry(parameter: Any, option: Option | None, context: Any) -> Entry:
    panel = panel_of(parameter, context)
    if option is None:
        told = "Show this help and stop." if parameter.name == "help" else parameter.help
        return Entry(panel, parameter.name in RARE, _spelled(parameter), told or "")
    about = option.about
    end = "[required]" if option.required and not about.positional else ""
    end = f"[default: {option.told_default}]".replace(" ", _KEPT) if option.told_default else end
    return Entry(panel, about.rare, _spelled(parameter), f"{parameter.help} {end}".strip())


def _last_panel(context: Any) -> str:
    return Panel.debugging if spec_of(context.command.callback) else OPTIONS


def _spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"{parameter.metavar}..." if parameter.nargs != 1 else str(parameter.metavar)
    flags = ", ".join(sorted(parameter.opts, key=len))
    other = "".join(f" / {name}" for name in parameter.secondary_opts)
    value = "" if parameter.is_flag else f" {parameter.metavar or 'TEXT'}"
    return f"{flags}{other}{value}"


def _usage(context: Any) -> str:
    command = context.command
    words = [command_path(context)]
    for one in command.params:
        if one.param_type_name == "argument":
            words.append(_spelled(one) if one.required else f"[{_spelled(one)}]")
        elif one.required:
            words.append(f"{one.opts[0]} {one.metavar}")
    words += ["[options]", "COMMAND ..."] if hasattr(command, "commands") else ["[options]"]
    return " ".join(words)


def _commands(command: Any, width: int) -> list[str]:
    inner = {name: one for name, one in getattr(command, "commands", {}).items() if not one.hidden}
    rows = ((name, _paragraphs(inner[name].help)[0]) for name in sorted(inner, key="help".__eq__))  # that is the last
    return ["", "Commands", *_listed(rows, width, margin=max(len(name) for name in inner) + 4)] if inner else []


def _examples(command: Any, width: int) -> list[str]:
    examples = examples_of(command)
    lines = ["", "Examples"] if examples else []
    for one in examples:
        lines += [*_wrapped(one.what, width, "  ", "  "), *_shell(one.line, width)]
    return lines


def examples_of(command: Any) -> Sequence[Example]:
    """The examples of a command; those of a group are its own."""
    spec = spec_of(command.callback)
    return spec.examples if spec else getattr(command, "examples", ())


def _shell(line: str, width: int) -> list[str]:
    r"""A command line that can be copied: it goes on behind a backslash where it is too long, never inside a word.

    >>> _shell("ncaudit score embeddings/ --out scores", 30)
    ['    ncaudit score \\', '      embeddings/ \\', '      --out scores']
    """
    words = [_quoted(word) for word in shlex.split(line)]
    kept = re.sub(r"( --?[a-z-]+) (?!-)", rf"\1{_KEPT}", " ".join(words))  # a flag and its value
    lines = _wrapped(kept, width - 2, "    ", "      ")
    return [f"{one} \\" for one in lines[:-1]] + lines[-1:]


def _quoted(word: str) -> str:
    return word if word in (">", "|") else shlex.quote(word)


def _listed(rows: Iterable[tuple[str, str]], width: int, margin: int = MARGIN) -> list[str]:
    """Each name with its words beside it, or below where it is long."""
    lines = []
    for name, told in rows:
        beside = len(name) + 4 <= margin
        head = f"  {name}".ljust(margin) if beside else " " * margin
        lines += ([] if beside else [f"  {name}"]) + _wrapped(told, width, head, " " * margin)
    return lines


def _paragraphs(text: str | None) -> list[str]:
    """
    >>> _paragraphs("One\\n  two.\\n\\n  Three.")
    ['One two.', 'Three.']
    """
    return [" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n") if part.strip()]


def first_sentence(text: str | None) -> str:
    """
    >>> first_sentence("Where to compute: auto, cpu, e.g. here. More.")
    'Where to compute: auto, cpu, e.g. here.'
    """
    first = (_paragraphs(text) or [""])[0]
    end = re.search(r"(?<!e\.g)(?<! i\.e)\.(?= [A-Z])", first)
    return first[: end.end()] if end else first


def _wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    lines = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_KEPT, " ") for line in lines]

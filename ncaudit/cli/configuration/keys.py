"""What a file of options may hold: a table per command, and in it a key per flag, spelled as the flag is.

Knows Typer's commands and their parameters; nothing of files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ncaudit.cli.commands.flags import asked
from ncaudit.cli.commands.spec import spec_of
from ncaudit.options.shared.about import Option

FORMS = {int: "a whole number", float: "a number", bool: "true or false"}
SECRET = {"storage_option"}  # may hold what belongs into no file of options
OF_THE_PROGRAM = ""  # the table of what stands before a command: the top of the file


@dataclass(frozen=True)
class Key:
    """One key. name: without the dashes of its flag; of an argument its own. field: as the command calls it.

    kind: of one value. commas: whether several values are one word with commas between.
    """

    name: str
    field: str
    help: str
    kind: type
    default: Any
    choices: tuple[str, ...] = ()  # no other words are taken
    is_list: bool = False
    commas: bool = False
    required: bool = False

    @property
    def form(self) -> str:
        """What it accepts, in words."""
        one = f"one of {', '.join(self.choices)}" if self.choices else FORMS.get(self.kind, "a text in quotes")
        return f"{one}, or a list of such" if self.is_list or self.commas else one

    def fits(self, value: Any) -> bool:
        """Whether one value is of the right kind."""
        if self.choices and value not in self.choices:
            return False
        numbers = (int, float) if self.kind is float else self.kind
        return isinstance(value, numbers) and (self.kind is bool or not isinstance(value, bool))


def keys_of(command: Any) -> dict[str, Key]:
    """By name. What is answered before anything runs, such as --help, has none."""
    spec = spec_of(command.callback)
    options = {option.name: option for option in asked(spec.options)} if spec is not None else {}
    switches = (one for one in command.params if not one.is_eager and one.name not in SECRET)
    keys = (_of_option(options[one.name]) if one.name in options else _of_flag(one) for one in switches)
    return {key.name: key for key in keys}


def _of_option(option: Option) -> Key:
    plain = option.about.of_words or option.core
    is_enum = isinstance(plain, type) and issubclass(plain, Enum)
    name = option.name.replace("_", "-") if option.about.positional else option.flag.removeprefix("--")
    return Key(
        name, option.name, option.about.help, kind=str if is_enum else plain, required=option.required,
        choices=tuple(option.words) if is_enum else (), default=None if option.required else option.default,
        is_list=option.repeats and not option.about.commas, commas=option.about.commas,
    )  # fmt: skip


def _of_flag(parameter: Any) -> Key:
    """Of a command's flags that are no option of it: they say yes or no, as --json, or name a file, as --log."""
    flags = [one for one in parameter.opts if one.startswith("--")]
    kind = (bool, False) if parameter.is_flag else (str, None)
    return Key(max(flags, key=len).removeprefix("--"), str(parameter.name), parameter.help or "", *kind)


def tables_of(program: Any) -> dict[str, Any]:
    """Every command that takes options, by the name of its table: `score`, `eval.scores`."""
    return dict(_walked(program, ()))


def _walked(group: Any, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    below: Mapping[str, Any] = getattr(group, "commands", {})
    for word, command in below.items():
        if hasattr(command, "commands"):
            yield from _walked(command, (*above, word))
        elif spec_of(command.callback) is not None:
            yield ".".join((*above, word)), command

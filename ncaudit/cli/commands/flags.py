"""The flags of a command, made of its options class: what Typer asks for, in the words that the options tell.

Knows options and Typer's parameters; nothing of any one command.
"""

from collections.abc import Callable, Iterator
from inspect import Parameter
from typing import Annotated, Any

import typer

from ncaudit.options.shared.about import Option, Options, options_of, words_told

AS_JSON, DRY_RUN = "as_json", "dry_run"
METAVARS = {int: "NUMBER", float: "NUMBER", str: "TEXT"}


def asked(kind: type[Options]) -> list[Option]:
    """The options that are flags or arguments of the command."""
    return [option for option in options_of(kind) if option.name not in kind.UNASKED]


def parameters(kind: type[Options]) -> list[Parameter]:
    """What the command line takes of these options."""
    return [_parameter(option) for option in asked(kind)]


def told(option: Option) -> str:
    """The help of an option on the command line: what it is, its words, whether it repeats, its default."""
    about = option.about
    more = [] if words_told(option) or about.among else [f"One of: {', '.join(option.words)}."]
    more += ["Repeatable."] if option.repeats and not about.positional and not about.commas and _once(option) else []
    return " ".join([about.help, *more])


def metavar(option: Option) -> str:
    """What stands for the value; "" of a switch."""
    if option.core is bool:
        return ""
    return option.about.metavar or ("NAME" if option.is_choice else METAVARS.get(option.core, "TEXT"))


def _once(option: Option) -> bool:
    return "epeat" not in option.about.help


def _parameter(option: Option) -> Parameter:
    default = Parameter.empty if option.required else None if option.default == () else option.default
    kind = Annotated[_typed(option), _asked(option)]  # type: ignore[valid-type]
    return Parameter(option.name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _asked(option: Option) -> Any:
    about, words = option.about, _completing(option)
    if about.positional:
        return typer.Argument(help=told(option), metavar=metavar(option), show_default=False)
    declared = f"{option.flag}/{about.off}" if about.off else option.flag
    return typer.Option(
        declared, help=told(option), metavar=metavar(option) or None, autocompletion=words, show_default=False
    )


def _completing(option: Option) -> Callable[[str], list[str]] | None:
    among = option.about.among
    return None if among is None else lambda incomplete: [word for word in among() if word.startswith(incomplete)]


def _typed(option: Option) -> Any:
    """The type that Typer takes: a list for a sequence, one word where commas separate several."""
    core = option.about.of_words or option.core
    kind = list[core] if option.repeats and not option.about.commas else core  # type: ignore[valid-type]
    return kind | None if option.may_be_none or option.default == () else kind


def given_fields(kind: type[Options], given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of whatever the command line says; the rest is the options' own default."""
    for option in asked(kind):
        if given.get(option.name) is not None:
            yield option.name, given[option.name]

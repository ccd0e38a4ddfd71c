"""Writes `ncaudit/__init__.pyi`: what `import ncaudit` offers, with types and words, for editors and type checkers.

    python docs/make_stub.py

Types, defaults and words are those of the options classes; a test finds the file out of date.
"""

from enum import Enum
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Any, get_type_hints

import ncaudit
from ncaudit.options.shared.about import Option, options_of

_VERSION = ("ncaudit.version", "__version__")
STUB = Path(__file__).parents[1] / "ncaudit" / "__init__.pyi"
PROGRESS = "progress: Progress | bool | None = None"
HEAD = '''"""{doc}"""

# Made by docs/make_stub.py: change that, or the options, and run it.
from collections.abc import Sequence
from os import PathLike
from typing import Literal, overload

from ncaudit import errors as errors
from ncaudit import options as options
{imports}

__version__: str
_Path = str | PathLike[str]
'''


def stub() -> str:
    """The whole file."""
    parts = [_verb(name, *_known(name)) for name in sorted(ncaudit._VERBS)]
    imports = "\n".join(_import(*one) for one in sorted(_imported()))
    return "\n\n".join([HEAD.format(doc=(ncaudit.__doc__ or "").rstrip() + "\n", imports=imports), *parts]) + "\n"


def _import(module: str, name: str) -> str:
    """Offered under the same name where the package has it, too."""
    offered = f" as {name}" if name in ncaudit.__all__ else ""
    return f"from {module} import {name}{offered}"


def _known(name: str) -> tuple[Any, type]:
    return getattr(ncaudit, name), getattr(ncaudit.options, ncaudit._VERBS[name][1])


def _imported() -> set[tuple[str, str]]:
    """(module, name) of every class that a signature names."""
    options = {("ncaudit.options", name) for name in ncaudit.__all__ if name.endswith("Options")}
    verbs = [_known(name) for name in ncaudit._VERBS]
    results = {(_result(verb).__module__, _result(verb).__name__) for verb, _ in verbs}
    enums = {option.core for _, kind in verbs for option in options_of(kind) if option.is_choice}
    more = {(ncaudit._HOMES[name], name) for name in ncaudit.__all__ if name in ncaudit._HOMES} - {_VERSION}
    more |= {("ncaudit.progress", "Progress")}
    return options | results | more | {(enum.__module__, enum.__name__) for enum in enums}


def _result(verb: Any) -> type:
    found = get_type_hints(verb.__wrapped__)["return"]
    assert isinstance(found, type)
    return found


def _verb(name: str, verb: Any, kind: type) -> str:
    """Both ways to call it; the second has the words."""
    result, known = _result(verb).__name__, {option.name: option for option in options_of(kind)}
    asked = [one for one in signature(verb).parameters.values() if one.name in known]
    named = [_parameter(known[one.name]) for one in asked]
    first = [*named[:1], "*"] if asked[0].kind is asked[0].POSITIONAL_OR_KEYWORD else ["*", *named[:1]]
    words = (verb.__doc__ or "").replace("\\", "\\\\").replace("\n", "\n    ")
    lines = [
        "@overload",
        f"def {name}(options: {kind.__name__}, {PROGRESS}) -> {result}: ...",
        "@overload",
        f"def {name}(",
        *(f"    {one}," for one in chain(first, named[1:], [PROGRESS])),
        f") -> {result}:",
        f'    """{words}\n    """',
    ]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines())


def _parameter(option: Option) -> str:
    default = "" if option.required else f" = {_spelled(option.default)}"
    return f"{option.name}: {_type(option)}{default}"


def _spelled(default: Any) -> str:
    return repr(default.value if isinstance(default, Enum) else default)


def _type(option: Option) -> str:
    """As somebody may write it: a word of an enum, too, and one value where several may be given."""
    one = _one(option)
    many = f"{one} | Sequence[{one}]" if option.repeats else one
    return f"{many} | None" if option.may_be_none else many


def _one(option: Option) -> str:
    core, words = option.core, option.about.of_words or option.core
    if _is_enum(words):
        literal = f"Literal[{', '.join(repr(one.value) for one in words)}]"
        return f"{literal} | {core.__name__}" if core is words else literal
    return "_Path" if option.about.is_path else core.__name__


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum)


if __name__ == "__main__":
    STUB.write_text(stub(), encoding="utf-8")

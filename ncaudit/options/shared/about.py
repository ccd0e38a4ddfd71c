"""What is told of an option: one source for the command line's help and for docstrings.

Knows fields, their types and defaults; nothing of Typer, and nothing of what any option does.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import Enum, StrEnum
from functools import wraps
from os import PathLike, fspath
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin

WIDTH = 100  # of a docstring's lines
SPELLED = {"write_as": "--as"}  # flags that are not called as their field is


class Panel(StrEnum):
    """The heading under which an option stands, in the order of the help."""

    input = "Input"
    output = "Output"
    model = "Model"
    judged = "What is judged"
    training = "Training"
    classes = "Class labels"
    speed = "Speed"
    debugging = "Debugging"


@dataclass(frozen=True)
class About:
    """Words about one option, and how the command line spells it."""

    help: str  # sentences that a newcomer understands; of a number its range and unit
    panel: Panel
    rare: bool = False  # told by --help-all alone
    of: str = ""  # what alone reads it: such options stand together, below the panel's others
    metavar: str = ""  # what stands for the value: PATH, SHARE, COUNT, NAME; "": by the type
    off: str = ""  # the flag that says no
    among: Callable[[], Sequence[str]] | None = None  # words that may be given; those of an enum are known
    of_words: type[StrEnum] | None = None  # where the field is of str and the command line takes these alone
    is_path: bool = False  # what is on the disk may be given
    positional: bool = False  # stands on the command line without a flag
    commas: bool = False  # the command line takes several values as one word


def flag_of(name: str) -> str:
    """How the command line spells an option.

    >>> flag_of("csv_safe"), flag_of("write_as")
    ('--csv-safe', '--as')
    """
    return SPELLED.get(name, f"--{name.replace('_', '-')}")


@dataclass(frozen=True)
class Option:
    """One field of an options class with all that is known of it."""

    name: str
    kind: Any  # the type, without what is annotated
    default: Any  # MISSING where it must be given
    about: About

    @property
    def flag(self) -> str:
        """As the command line spells it."""
        return flag_of(self.name)

    @property
    def required(self) -> bool:
        """Whether nothing stands in for it."""
        return self.default is MISSING

    @property
    def core(self) -> Any:
        """The type of one value, without None and without the sequence around it."""
        return _core(self.kind)

    @property
    def repeats(self) -> bool:
        """Whether it takes several values."""
        return any(get_origin(one) is Sequence for one in _members(self.kind))

    @property
    def may_be_none(self) -> bool:
        """Whether None is a value of it."""
        return NoneType in _members(self.kind)

    @property
    def is_choice(self) -> bool:
        """Whether its values are those of an enum."""
        return isinstance(self.core, type) and issubclass(self.core, Enum)

    @property
    def words(self) -> Sequence[str]:
        """The words that may be given, where these are known."""
        kind = self.about.of_words or self.core
        if isinstance(kind, type) and issubclass(kind, Enum):
            return [member.value for member in kind]
        return self.about.among() if self.about.among else ()

    @property
    def told_default(self) -> str:
        """The default in words; "" where the help says it, or there is none to say."""
        if self.required or self.default is None or self.default is False or self.default == ():
            return ""
        if self.default is True:
            return self.flag
        many = isinstance(self.default, (tuple, list))
        return ", ".join(f"{one}" for one in (self.default if many else [self.default]))


class _Signature:
    """What `help` and a notebook show of a class's arguments: their types, without what is annotated."""

    def __get__(self, instance: object, owner: type) -> inspect.Signature:
        if "__dataclass_fields__" not in vars(owner):
            raise AttributeError("__signature__")
        return inspect.Signature([_parameter(option) for option in options_of(owner)])


class Options:
    """Every options class: its docstring tells each of its fields, made when somebody asks for it."""

    UNASKED: ClassVar[tuple[str, ...]] = ()  # inherited, and no flag of the command: it makes nothing of them
    LACKS: ClassVar[Mapping[str, tuple[str, str]]] = {}  # flags that are looked for in vain: why, what to do

    __signature__ = _Signature()

    def __post_init__(self) -> None:
        _settle(self)  # also of a class that has nothing of its own to check

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__post_init__" in cls.__dict__:
            type.__setattr__(cls, "__post_init__", _after(_settle, cls.__dict__["__post_init__"]))
        type.__setattr__(cls, "__doc__", _Docstring(inspect.cleandoc(cls.__dict__.get("__doc__") or "")))


def _after(first: Callable[[Any], None], then: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(then)
    def both(made: Any) -> None:
        first(made)
        then(made)

    return both


def _settle(made: Any) -> None:
    """One value where several may be given is a sequence of one, and a path is its text: before anything is checked."""
    for option in options_of(type(made)):
        given = getattr(made, option.name)
        settled = _settled(given, option)
        if settled is not given:
            object.__setattr__(made, option.name, settled)


def _settled(given: Any, option: Option) -> Any:
    if isinstance(given, PathLike):
        given = fspath(given)
    if option.about.commas:
        return given
    if option.repeats and isinstance(given, str):
        return (given,)
    if option.repeats and given is not None and any(isinstance(one, PathLike) for one in given):
        return tuple(fspath(one) if isinstance(one, PathLike) else one for one in given)
    return given


class _Docstring:
    """What Python finds where it looks for a class's docstring: made at the first look, as importing must stay fast."""

    def __init__(self, head: str) -> None:
        self._head = head

    def __get__(self, instance: object, owner: type) -> str:
        made = "__dataclass_fields__" in vars(owner)  # the decorator asks for a docstring before that
        return _docstring(self._head, owner) if made else self._head


def options_of(kind: type) -> tuple[Option, ...]:
    """The options of a class: panel by panel, what must be given first, what is rare last, its own before inherited."""
    declared = list(_declared(kind))
    groups = list(dict.fromkeys(["", *(one.about.of for one in declared)]))
    return tuple(sorted(declared, key=lambda one: _rank(one, groups)))


def _parameter(option: Option) -> inspect.Parameter:
    default = inspect.Parameter.empty if option.required else option.default
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=option.kind)


def _declared(kind: type) -> Iterator[Option]:
    found = {field.name: field for field in fields(kind)}
    names = dict.fromkeys(name for each in kind.__mro__ for name in inspect.get_annotations(each))
    for name in (name for name in names if name in found):
        plain, about = _parted(found[name].type)
        yield Option(name, plain, found[name].default, about)


def _rank(option: Option, groups: Sequence[str]) -> tuple[int, int, bool, bool]:
    about = option.about
    return list(Panel).index(about.panel), groups.index(about.of), not option.required, about.rare


def _parted(kind: Any) -> tuple[Any, About]:
    """A field's type, and what is told of it."""
    assert get_origin(kind) is Annotated, f"{kind} tells nothing of itself"
    plain, *notes = get_args(kind)
    return plain, next(note for note in reversed(notes) if isinstance(note, About))


def _members(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)


def _core(kind: Any) -> Any:
    (one,) = (each for each in _members(kind) if each is not NoneType)
    return get_args(one)[0] if get_origin(one) is not None else one


def _docstring(head: str, kind: type) -> str:
    paragraphs = ("\n".join(_wrapped(" ".join(part.split()), "")) for part in head.split("\n\n"))
    lines = ["\n\n".join(paragraphs), "", "Attributes:"]
    for option in options_of(kind):
        lines += [f"    {option.name}: {_kind_in_words(option)}", *_wrapped(_sentences(option))]
    return "\n".join(lines)


def _kind_in_words(option: Option) -> str:
    core = option.core
    named = core.__name__ if isinstance(core, type) else str(core)
    ways = [f"one {named}", "a sequence of them"] if option.repeats else [named]
    ways += ["None"] if option.may_be_none else []
    return f"{' or '.join(ways)}; {'required' if option.required else f'default {_spelled(option.default)}'}"


def _spelled(default: Any) -> str:
    return repr(default.value if isinstance(default, Enum) else default)


def _sentences(option: Option) -> str:
    of = [f"Of {option.about.of}:"] if option.about.of else []
    words = [] if words_told(option) or option.about.among else [f"One of: {', '.join(option.words)}."]
    return _as_fields(" ".join([*of, option.about.help, *words]))


def _as_fields(text: str) -> str:
    """Flags as a notebook knows them, except in a command line.

    >>> _as_fields("With --join-key, see `ncaudit score --help`.")
    'With `join_key`, see `ncaudit score --help`.'
    """
    parts = text.split("`")
    parts[::2] = [re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda flag: f"`{_field(flag[1])}`", part) for part in parts[::2]]
    return "`".join(parts)


def _field(flag: str) -> str:
    return {spelled: name for name, spelled in SPELLED.items()}.get(f"--{flag}", flag.replace("-", "_"))


def words_told(option: Option) -> bool:
    """Whether the help has every word that may be given."""
    return all(word in option.about.help for word in option.words)


def _wrapped(text: str, indent: str = " " * 8) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )

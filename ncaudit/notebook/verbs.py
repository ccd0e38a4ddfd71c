"""A verb as Python calls it: options in one object, or each as a keyword.

Knows options classes and the verbs that take them; nothing of what any verb does.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from inspect import Parameter, Signature, cleandoc
from typing import Any, get_type_hints

from ncaudit.errors import NcauditError
from ncaudit.nearest import nearest
from ncaudit.options.shared.about import Option, Options, options_of
from ncaudit.progress import SILENT, Progress

PROGRESS = "progress"
_OF_PROGRESS = (
    "    progress: True, Progress or None; default None\n"
    "        True shows how far the work is. A `ncaudit.progress.Progress` of your own is told instead."
)
Known = Mapping[str, Option]


def public(run: Callable[..., Any], kind: type[Options]) -> Callable[..., Any]:
    """The verb `run`, which takes options of `kind` and a progress, for those who would rather give keywords.

    What the command line takes without a flag may come first here, too. A call with the options themselves stays one.
    """
    known = {option.name: option for option in options_of(kind)}

    @wraps(run)
    def verb(*given: Any, progress: Progress | bool | None = None, **named: Any) -> Any:
        if len(given) > 1 and isinstance(given[0], kind):  # as verbs call each other
            given, progress = given[:1], given[1]
        try:
            options = _options(run.__name__, kind, known, given, named)
            with _listening(progress) as listener:
                return run(options, listener)
        except NcauditError as error:
            error.add_note(f"  fix: {error.fix}")  # which Python shows below the message
            raise

    vars(verb)["__signature__"] = _told(_signature(known), get_type_hints(run).get("return"))
    told = str(kind.__doc__).partition("Attributes:\n")[2]
    verb.__doc__ = f"{cleandoc(run.__doc__ or '')}\n\nParameters, or one {kind.__name__}:\n{told}\n{_OF_PROGRESS}"
    return verb


def _options(name: str, kind: type[Options], known: Known, given: tuple[Any, ...], named: Mapping[str, Any]) -> Options:
    """The object that was given, or one that is made of the keywords. Raises TypeError as Python would."""
    if given and isinstance(given[0], kind):
        if named:
            raise TypeError(f"{name}() takes {kind.__name__} or keywords, not both: {', '.join(named)} given too")
        return given[0]
    for word in named:
        if word not in known:
            raise TypeError(f"{name}() got an unexpected keyword argument '{word}'{_meant(word, known)}")
    try:
        return kind(**_signature(known).bind(*given, **named).arguments)
    except TypeError as error:
        raise TypeError(f"{name}(): {error}") from None


def _meant(word: str, known: Known) -> str:
    meant = nearest(word, [*known, PROGRESS])
    return f"; did you mean '{meant}'?" if meant else f"; it takes {', '.join(known)}"


def _signature(known: Known) -> Signature:
    """Of the call with keywords: what the command line takes without a flag, then what must be given, then the rest."""
    asked = sorted(known.values(), key=lambda option: (not option.about.positional, not option.required))
    return Signature([_parameter(option, is_first=option is asked[0]) for option in asked])


def _parameter(option: Option, *, is_first: bool) -> Parameter:
    kind = Parameter.POSITIONAL_OR_KEYWORD if is_first and option.about.positional else Parameter.KEYWORD_ONLY
    default = Parameter.empty if option.required else option.default
    return Parameter(option.name, kind, default=default, annotation=option.kind)


def _told(asked: Signature, result: Any) -> Signature:
    """With what every verb takes beside its options, and what it gives."""
    listener = Parameter(PROGRESS, Parameter.KEYWORD_ONLY, default=None, annotation=Progress | bool | None)
    return asked.replace(parameters=[*asked.parameters.values(), listener], return_annotation=result)


def _listening(progress: Progress | bool | None) -> AbstractContextManager[Progress]:
    if progress is True:
        from ncaudit.cli.shared.live import progress as live

        return live()
    return nullcontext(progress or SILENT)

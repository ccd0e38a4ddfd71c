"""A command of an options class: takes its flags, calls what it runs, tells what came of it, and ends.

Knows options, progress and printing; nothing of any one command. What is particular stands in `cli/<command>.py`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Annotated, Any, TypeVar

import typer

from ncaudit.cli.commands import anywhere
from ncaudit.cli.commands.flags import AS_JSON, DRY_RUN, given_fields, parameters
from ncaudit.cli.commands.logged import logged
from ncaudit.cli.commands.spec import NAME, Example, Spec
from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.layout.vocabulary import Word
from ncaudit.cli.shared import live, log, output
from ncaudit.cli.shared.given import checked
from ncaudit.cli.shared.mistakes import LACKS
from ncaudit.engines.ranks import launched
from ncaudit.errors import UsageError
from ncaudit.options.shared.about import Options, Panel, options_of
from ncaudit.options.shared.streams import STREAM
from ncaudit.progress import Progress
from ncaudit.stores import MEMORY
from ncaudit.verbs.plan import PLANNERS


@dataclass(frozen=True)
class Answer:
    """What came of a command."""

    result: Any  # for --json
    words: Sequence[Word]  # for people
    code: int = 0
    is_told: bool = True  # several processes of one launch tell it once


@dataclass(frozen=True, kw_only=True)
class NoOptions(Options):
    """Of a command that takes none."""


OUTPUTS = ("out", "dropped", "save_fit", "images")  # options that name what is written, which may lie in a store
Chosen = TypeVar("Chosen", bound=Options)
Run = Callable[[Chosen, Progress], Answer]
_DRY = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        rich_help_panel=Panel.output,
        help="Only tell what would be read, done, written and replaced. Nothing is written or removed.",
    ),
]
_JSON = Annotated[
    bool,
    typer.Option("--json", rich_help_panel=Panel.output, help="Print one JSON object on standard output, not words."),
]


def command(
    kind: type[Chosen],
    examples: Sequence[Example],
    *,
    refuses: Callable[[Chosen], None] = lambda options: None,
) -> Callable[[Run[Chosen]], Callable[..., None]]:
    """Makes what Typer calls of a function that takes options and progress.

    refuses: raises for what was given and would change nothing, where more than the options themselves must be known
    for that.
    """

    def make(run: Run[Chosen]) -> Callable[..., None]:
        def made(**given: Any) -> None:
            anywhere.heed(given)
            if given.get(DRY_RUN):
                _plan(kind, refuses, given)
            else:
                _run(kind, run, refuses, given)

        return _as_typer_sees_it(made, run, kind, examples)

    return make


def _run(kind: type[Chosen], run: Run[Chosen], refuses: Callable[[Chosen], None], given: dict[str, Any]) -> None:
    as_json, streams = given[AS_JSON], given.get("out") == STREAM
    if as_json and streams:
        raise UsageError("--json and --out - both want standard output", fix="give one of them")
    with live.progress(run.__name__) as progress, logged(progress) as heard:
        _tell_of_memory(given, heard)
        answer = run(_options(kind, refuses, given), heard)  # what refuses may load torch: a sign of life comes before
    _log_notes(answer.words)
    if answer.is_told:
        output.result(answer.result, answer.words, as_json=as_json, to_stderr=streams)
    raise typer.Exit(answer.code)


def _tell_of_memory(given: Mapping[str, Any], progress: Progress) -> None:
    """Before any work, which would be for nothing: no later command finds what is written there."""
    kept = next((str(given[name]) for name in OUTPUTS if str(given.get(name) or "").startswith(MEMORY)), None)
    if kept is not None:
        progress.note(f"{kept} is memory of this command alone, and gone when it ends")


def _plan(kind: type[Chosen], refuses: Callable[[Chosen], None], given: dict[str, Any]) -> None:
    """--dry-run: what the command would do, and nothing done. It would be refused as the command is."""
    with live.progress("dry run") as progress, logged(progress) as heard:
        options = _options(kind, refuses, given)
        from ncaudit.cli.words.plan import lines
        from ncaudit.verbs.plan import plan

        planned = plan(options, heard)
    if launched().is_first:
        output.result(planned, lines(planned), as_json=given[AS_JSON], to_stderr=given.get("out") == STREAM)


def _options(kind: type[Chosen], refuses: Callable[[Chosen], None], given: dict[str, Any]) -> Chosen:
    options = checked(kind(**dict(given_fields(kind, given))))
    anywhere.refuse_unread(options)
    refuses(options)
    log.line(f"options: {_told(options)}")
    return options


def _told(options: Options) -> str:
    """Every option that is not at its default."""
    changed = (one for one in options_of(type(options)) if getattr(options, one.name) != one.default)
    return ", ".join(f"{one.name}={getattr(options, one.name)!s}" for one in changed) or "all at their defaults"


def _log_notes(words: Sequence[Word]) -> None:
    for line in plain(words):
        if line.startswith(("note: ", "failed shard: ")):
            log.line(line)


def _as_typer_sees_it(
    made: Callable[..., None], run: Callable[..., Answer], kind: type[Options], examples: Sequence[Example]
) -> Callable[..., None]:
    asked = parameters(kind)
    if kind.__name__ in PLANNERS:
        asked.append(Parameter(DRY_RUN, Parameter.KEYWORD_ONLY, default=False, annotation=_DRY))
    as_json = Parameter(AS_JSON, Parameter.KEYWORD_ONLY, default=False, annotation=_JSON)
    asked = [*asked, as_json, *anywhere.parameters()]
    made.__name__, made.__doc__, made.__module__ = run.__name__, run.__doc__, run.__module__
    made.__annotations__ = {one.name: one.annotation for one in asked}
    vars(made)["__signature__"] = inspect.Signature(asked)
    vars(made)[NAME], vars(made)[LACKS] = Spec(kind, examples), kind.LACKS
    return made

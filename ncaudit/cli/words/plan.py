"""What `--dry-run` tells: what would be read, done, written and replaced, and about how long. Knows a plan only."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from ncaudit.cli.layout.vocabulary import Span, Told, Words, headline
from ncaudit.cli.shared.accounts import noted
from ncaudit.counts import counted
from ncaudit.planned import Plan, Reading

HEAD = 11  # columns, with the space behind the longest word
NAMED = 4  # paths in a line; --json has all of them
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
PER_UNIT = 1024


def lines(plan: Plan) -> Words:
    """The plan for people, that of each step below it."""
    head = headline(f"{plan.verb}, dry run:", " nothing is written")
    return [head, *_told(plan, ""), *noted(_every_note(plan))]


def _told(plan: Plan, indent: str) -> Iterator[Told]:
    for head, text in _parts(plan):
        yield Told((Span(text),), head=Span(f"{indent}{head:<{HEAD}}"), hang=len(indent) + HEAD)
    for step in plan.steps:
        yield Told((Span(f"{indent}{step.verb}"),))
        yield from _told(step, f"{indent}  ")


def _parts(plan: Plan) -> Iterator[tuple[str, str]]:
    """Heads and texts. Of a command that runs others, what these do not tell themselves."""
    if not plan.steps:
        yield from _inputs(plan)
    yield from (("to do" if not number else "", step) for number, step in enumerate(_work(plan)))
    yield from _files(plan)
    if plan.rows_left and plan.shards and not plan.steps:
        yield "time", _time(plan)


def _inputs(plan: Plan) -> Iterator[tuple[str, str]]:
    for number, read in enumerate(plan.reads):
        yield "reads" if not number else "", _read(read)
    if plan.columns:
        yield "columns", ", ".join(f"{what}: {name}" for what, name in plan.columns.items())
    if plan.shards:
        yield "done", _done(plan)


def _read(read: Reading) -> str:
    rows = [counted(read.rows, "row")] if read.rows is not None else []
    size = [_bytes(read.bytes)] if read.bytes is not None else []
    damaged = [f"{counted(read.unreadable, 'shard')} cannot be read"] if read.unreadable else []
    told = ", ".join([counted(read.shards, "shard"), *rows, *size, *damaged])
    return f"{read.what} {_named(read.names)}: {told}"


def _done(plan: Plan) -> str:
    shards = counted(plan.shards, "shard")
    if plan.finished is None:
        return f"shows once the work has begun, of {shards}"
    if plan.finished == plan.shards:
        return f"all of {shards}"
    return f"{plan.finished:,} of {shards}, which would stay as they are" if plan.finished else f"none of {shards}"


def _work(plan: Plan) -> Sequence[str]:
    if plan.verb == "audit":
        return ()  # its steps tell theirs
    if plan.work:
        return plan.work
    return ("after the steps before it",) if plan.finished is None and not plan.shards else ("nothing",)


def _files(plan: Plan) -> Iterator[tuple[str, str]]:
    told = {
        "writes": plan.writes,
        "replaces": plan.replaces,
        "may renew": plan.may_replace,
        "overwrites": plan.overwrites,
        "removes": plan.removes,
    }
    whose = {"replaces": ", of an earlier run", "may renew": ", of an earlier run", "overwrites": ", not of ncaudit"}
    for head, paths in told.items():
        if paths:
            yield head, f"{counted(len(paths), 'file')}{whose.get(head, '')}: {_named(paths)}"


def _time(plan: Plan) -> str:
    if plan.seconds is None or plan.rows_per_s is None:
        return "not known before some shards are done: ask again then"
    about = timedelta(seconds=max(1, round(plan.seconds)))
    return f"about {about}, at the {plan.rows_per_s:,.1f} rows/s by which the tables there were made"


def _named(names: Sequence[str]) -> str:
    return ", ".join([*names[:NAMED], *([f"and {len(names) - NAMED:,} more"] if len(names) > NAMED else [])])


def _bytes(size: float) -> str:
    for unit in UNITS:
        if size < PER_UNIT or unit == UNITS[-1]:
            return f"{size:,.0f} {unit}" if unit == UNITS[0] else f"{size:,.1f} {unit}"
        size /= PER_UNIT
    raise AssertionError(size)


def _every_note(plan: Plan) -> Iterator[str]:
    yield from dict.fromkeys([*plan.notes, *(note for step in plan.steps for note in _every_note(step))])

"""What `status` tells: how far a folder is, what is wrong, and what to do next. Knows its result only."""

from collections.abc import Sequence

from ncaudit.cli.layout.vocabulary import Command, Told, Words, failure, fix, headline, item, note
from ncaudit.cli.shared.user_text import shown
from ncaudit.counts import counted
from ncaudit.engines.local import ShardError
from ncaudit.verbs.status import StatusResult

NAMED = 3  # of what is missing; --json has all
FAILURES = 5


def lines(found: StatusResult) -> Words:
    """The summary for people, the answer first."""
    return [
        _answer(found),
        _rows(found),
        *_missing(found),
        *_wrong(found.failed, "failed shard"),
        *_wrong(found.damaged, "damaged table"),
        *_others(found),
        *_next(found),
    ]


def _answer(found: StatusResult) -> Told:
    of = f"{found.finished:,} of {counted(found.shards, 'shard')} finished"
    rest = {"missing": len(found.missing), "failed": len(found.failed), "damaged": len(found.damaged)}
    told = ", ".join(f"{count:,} {word}" for word, count in rest.items() if count)
    whole = " (checksums hold)" if found.verified else ""
    return headline(f"{found.verb}: {'complete, ' if found.complete else ''}{of}", f"; {told}" if told else whole)


def _rows(found: StatusResult) -> str:
    of = f" of {found.rows:,}" if found.rows is not None and found.rows != found.rows_finished else ""
    failed = f", {found.rows_failed:,} of them failed" if found.rows_failed else ""
    return f"{found.rows_finished:,}{of} {'row' if found.rows_finished == 1 and not of else 'rows'}{failed}"


def _missing(found: StatusResult) -> list[Told]:
    told = [item(f"missing: {_named(found.missing)}")] if found.missing else []
    if found.writing:
        told.append(item(f"{counted(found.writing, 'table is', 'tables are')} being written on this machine"))
    return told


def _wrong(errors: Sequence[ShardError], what: str) -> list[Told]:
    told = [line for one in errors[:FAILURES] for line in (failure(shown(one.message, 300), f"{what}: "), fix(one.fix))]
    more = len(errors) - FAILURES
    return [*told, *([item(f"and {more:,} more of the kind '{what}': see --json")] if more > 0 else [])]


def _others(found: StatusResult) -> list[Told]:
    told = []
    if found.foreign:
        lie = counted(len(found.foreign), "table of none of these runs lies", "tables of none of these runs lie")
        rows = counted(found.foreign_rows, "row")
        told.append(note(f"{lie} there, {rows}, which readers of the folder take too: {_named(found.foreign)}"))
    if found.departed:
        have = counted(len(found.departed), "table has", "tables have")
        told.append(note(f"{have} no input any more: {_named(found.departed)} (--prune removes them)"))
    return told


def _next(found: StatusResult) -> list[Command]:
    if found.complete or not found.command:
        return []
    return [Command(found.command, "to finish: ", "or the parts that are missing, with --slice")]


def _named(names: Sequence[str]) -> str:
    return ", ".join([*(shown(name) for name in names[:NAMED]), *(["…"] if len(names) > NAMED else [])])

"""What a command would do, found out without doing any of it: the answer of `--dry-run`.

Knows names, counts and paths; nothing of how any of it is found out, or of how it is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Some inputs that belong together. rows, bytes: None where nobody can tell before they are read."""

    what: str  # as the command calls them: sources, --data, …
    names: tuple[str, ...]  # as they were given
    shards: int
    rows: int | None = None
    bytes: int | None = None
    unreadable: int = 0  # shards that would be told as failed


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would read, do and write. It would not be refused at its start, or there would be no plan.

    Paths are as they were given. `finished` and `rows_left` are None where that is known only once the work has begun.
    """

    verb: str
    out: str | None  # None: nothing is written
    reads: tuple[Reading, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)  # what is what in the input, as far as it was recognised
    shards: int = 0  # of which each has an output of its own; 0 where all go into one
    finished: int | None = None  # shards whose outputs hold already, and stay
    rows_left: int | None = None
    outcome: Mapping[str, int] = field(default_factory=dict)  # where looks alone tell it: rows that would be kept, …
    work: tuple[str, ...] = ()  # what would be done, in this order
    writes: tuple[str, ...] = ()  # files that are not there yet
    replaces: tuple[str, ...] = ()  # of this command's own files those that would be made again
    overwrites: tuple[str, ...] = ()  # files of somebody else, with --overwrite
    may_replace: tuple[str, ...] = ()  # own files of which that is known only once the work has begun
    removes: tuple[str, ...] = ()  # with --prune
    rows_per_s: float | None = None  # of an earlier run into the same place
    seconds: float | None = None  # that the rest would take at that rate
    notes: tuple[str, ...] = ()
    steps: tuple["Plan", ...] = ()  # of a command that runs others

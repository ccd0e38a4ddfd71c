"""The shards of one kind that `inspect` looks at: opened, counted together, and compared with each other.

Knows shards, schemas and counts; nothing of what to do with them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from ncaudit.counts import counted as number_of
from ncaudit.engines.local import ShardError
from ncaudit.errors import BadTable, NcauditError
from ncaudit.progress import Progress
from ncaudit.shards.files import locations
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.verbs.inspect.census import Census, Counted, take_census
from ncaudit.verbs.inspect.shard_kinds import ShardKind, kind_of

LOOK, COUNT = "look at the shards", "count"  # stages

@dataclass(frozen=True)
class Opened:
    """A shard whose schema could be read."""

    shard: Shard
    kind: ShardKind
    schema: pa.Schema
    rows: int


@dataclass
class ShardGroup:
    """Shards of one kind, and what could not be read among them. A shard that turns out damaged moves over.

    unfit: shards that are sound, and have no pairs.
    """

    shards: list[Opened]
    progress: Progress
    damaged: list[ShardError] = field(default_factory=list)
    unfit: list[ShardError] = field(default_factory=list)

    @property
    def schema(self) -> pa.Schema:
        """Of the first shard."""
        return self.shards[0].schema

    def census(self, counted: Callable[[Opened], Counted]) -> tuple[Census, list[list[str]]]:
        """The counts over all shards, and some captions of each. Raises BadTable when none can be read to its end."""
        self.progress.stage(COUNT, sum(each.rows for each in self.shards))
        whole, examples, good = Census(), [], []
        error: BadTable | None = None
        for each in self.shards:
            try:
                found = take_census(open_shard(each.shard), counted(each), self.progress.advance)
            except BadTable as problem:
                error = self.damage(each, problem)
                continue
            good.append(each)
            whole.add(found)
            if found.larger:
                rows = number_of(found.larger, "row is", "rows are")
                first = f"{each.shard.path} {found.first_larger}"
                self.progress.note(f"{rows} too large, which embed fails ({first})")
            examples.append(found.examples)
        if not good and error is not None:
            raise error
        self.shards = good
        return whole, examples

    def damage(self, each: Opened, problem: BadTable) -> BadTable:
        """Note that a shard cannot be used."""
        self.damaged.append(ShardError(each.shard.name, problem.message, problem.fix))
        return problem

    def leave_out(self, each: Opened, problem: BadTable) -> None:
        """Note that a sound shard lacks the columns that the others have."""
        self.unfit.append(ShardError(each.shard.name, problem.message, problem.fix))

    def bytes(self) -> int:
        """Of all files that make these shards."""
        return sum(locations.size(file) for each in self.shards for file in each.shard.files)

    def types(self) -> dict[str, str]:
        """The columns: those of the first shard, then what others have beyond them."""
        found: dict[str, str] = {}
        for each in self.shards:
            for column in each.schema:
                found.setdefault(column.name, str(column.type))
        return found

    def differences(self) -> Iterator[str]:
        """Where the shards' schemas differ, column by column."""
        types: dict[str, Counter[str]] = {}
        for each in self.shards:
            for column in each.schema:
                types.setdefault(column.name, Counter())[str(column.type)] += 1
        for name, counts in types.items():
            told = [f"{kind} in {count:,}" for kind, count in counts.most_common()]
            without = len(self.shards) - sum(counts.values())
            told += [f"missing in {without:,}"] if without > 0 else []
            if len(told) > 1:
                yield f"{name} is {', '.join(told)} of {number_of(len(self.shards), 'shard')}"


def open_groups(shards: Sequence[Shard], progress: Progress) -> tuple[ShardGroup, Mapping[str, str]]:
    """The shards of the kind that most are of, and of every other kind its words and one of its files.

    Raises the first error when no shard can be opened at all.
    """
    progress.stage(LOOK, len(shards), "shards")
    opened: list[Opened] = []
    errors: list[tuple[Shard, NcauditError]] = []
    for shard in shards:
        try:
            file = open_shard(shard)
            kind = kind_of(shard, file.schema)
            opened.append(Opened(shard, kind, file.schema, file.rows))
        except BadTable as error:
            errors.append((shard, error))
        progress.advance(1)
    if not opened:
        raise errors[0][1]
    counts = Counter(each.kind.kind for each in opened)
    most = max(opened, key=lambda each: counts[each.kind.kind]).kind.kind
    others: dict[str, str] = {}
    for each in opened:
        if each.kind.kind is not most:
            others.setdefault(each.kind.words, each.shard.path)
    damaged = [ShardError(shard.name, error.message, error.fix) for shard, error in errors]
    return ShardGroup([each for each in opened if each.kind.kind is most], progress, damaged), others

"""What the plans of all verbs share: inputs counted, and a claim's files sorted by what would become of them.

Knows claims, shards and plans; nothing of what any verb does.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ncaudit.errors import BadTable, UsageError
from ncaudit.options import STREAM
from ncaudit.planned import Plan, Reading
from ncaudit.shards.claims.claims import Claim, Place, ours_in
from ncaudit.shards.claims.departed import departed, note_on_departed
from ncaudit.shards.files import locations
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.streams.standard_input import SPOOLED
from ncaudit.shards.tables.pace import rows_per_s

# what is known of a file: it is as it should be (there, or not needed), it is to be made, or the work will show
FITS, AGAIN, UNKNOWN = "fits", "again", "unknown"
Fate = Callable[[Place, str], str]


def refuse_streams(sources: Sequence[str] | None) -> None:
    """Raises UsageError for rows on standard input: they pass once, and a look would take them."""
    if sources and STREAM in sources:
        raise UsageError(
            "--dry-run reads no rows, and - is rows on standard input", fix="name files, or leave out --dry-run"
        )


def reading(what: str, names: Sequence[str], shards: Sequence[Shard], rows: Callable[[Shard], int] | None = None) -> (
    Reading
):
    """What is known of some inputs. rows: of a shard, where somebody has looked already; may raise BadTable."""
    counts = [_rows(shard, rows or _looked_up) for shard in shards]
    known = [count for count in counts if count is not None]
    return Reading(
        what=what, names=tuple(names), shards=len(shards), rows=sum(known) if known else None,
        bytes=bytes_of(shards), unreadable=len(counts) - len(known),
    )  # fmt: skip


def bytes_of(shards: Iterable[Shard]) -> int | None:
    """Of all their files; None where some lie elsewhere."""
    files = [file for shard in shards for file in shard.files]
    if any(locations.is_remote(file) for file in files):
        return None
    return sum(locations.size(file) for file in files if locations.exists(file))


def _looked_up(shard: Shard) -> int:
    return open_shard(shard, choosing=True).rows


def _rows(shard: Shard, look: Callable[[Shard], int]) -> int | None:
    try:
        return look(shard)
    except BadTable:  # told when it is that shard's turn
        return None


@dataclass(frozen=True)
class Sorted:
    """The files of a claim by what would become of them."""

    writes: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    overwrites: tuple[str, ...] = ()
    may_replace: tuple[str, ...] = ()


def sorted_files(claim: Claim, fate: Fate) -> Sorted:
    """By what is known of each: `fate`."""
    found: dict[str, list[str]] = {"writes": [], "replaces": [], "overwrites": [], "may_replace": []}
    for place in claim.places:
        ours = ours_in(claim.verb, place)
        kinds = {name: kind for name in place.files if (kind := _kind(claim, place, name, fate, ours)) is not None}
        for name, kind in kinds.items():
            found[kind].append(place.at(name))
        if kinds and (record := place.record_path) is not None and not locations.lexists(record):
            found["writes"].append(locations.normal(record))
    return Sorted(**{kind: tuple(paths) for kind, paths in found.items()})


def _kind(claim: Claim, place: Place, name: str, fate: Fate, ours: Callable[[str], bool]) -> str | None:
    if name not in claim.there[place]:
        return None if fate(place, name) == FITS else "writes"
    if place.kept is not None or not ours(name):
        return "overwrites"
    return {FITS: None, AGAIN: "replaces", UNKNOWN: "may_replace"}[fate(place, name)]


@dataclass(frozen=True)
class Shards:
    """The shards of a run that have an output each. finished: None where that cannot be told yet.

    rows: of those that can be read; own: those that this run does, None for all.
    """

    all: Sequence[Shard]
    rows: Mapping[Shard, int]
    finished: Collection[Shard] | None
    own: Sequence[Shard] | None = None

    @cached_property
    def mine(self) -> frozenset[Shard]:
        """Those that this run does."""
        return frozenset(self.all if self.own is None else self.own)

    @property
    def done(self) -> int | None:
        """How many of these are finished."""
        return None if self.finished is None else len(self.mine.intersection(self.finished))

    @property
    def left(self) -> int | None:
        """Rows of those that are not finished."""
        if self.finished is None:
            return None
        return sum(self.rows.get(shard, 0) for shard in self.mine.difference(self.finished))

    def pace(self, out: str) -> dict[str, Any]:
        """How fast the tables in `out` were made, and how long the rest would take."""
        pace = rows_per_s((shard.output(out), rows) for shard, rows in self.rows.items())
        return {"rows_per_s": pace, "seconds": self.left / pace if pace and self.left is not None else None}

    def of(self, shard: Shard) -> str:
        """What is known of a shard's outputs; those of other parts stay, whatever they are."""
        if shard not in self.mine:
            return FITS
        if self.finished is None:
            return UNKNOWN
        return FITS if shard in self.finished else AGAIN

    def fate(self, out: str, others: Fate = lambda place, name: UNKNOWN) -> Fate:
        """Of files in `out` by what is known of their shards. others: of all that are no shard's."""
        fates = {locations.normal(shard.output(out)): self.of(shard) for shard in self.all}
        return lambda place, name: fates.get(locations.normal(place.at(name))) or others(place, name)


def gone(claim: Claim, shards: Sequence[Shard], *, prune: bool) -> tuple[tuple[str, ...], list[str]]:
    """Paths that `prune` would remove, and what is to be told of those that stay: see `settle_departed`."""
    place = next(iter(claim.places), None)
    if place is None or place.alone or place.flag != "--out" or any(shard.name == SPOOLED for shard in shards):
        return (), []
    names = departed(claim, place, shards)
    if prune:
        return tuple(place.at(name) for name in names), []
    return (), [note_on_departed(place, names)] if names else []


def plan_of_shards(
    claim: Claim, out: str, shards: Shards, *, prune: bool | None = None, fate: Fate | None = None,
    notes: Iterable[str] = (), **more: Any,
) -> Plan:  # fmt: skip
    """The plan of a verb that writes a table per shard below `out`. fate: where its files are more than that.

    prune: None where the verb does not mind what lies there without an input.
    """
    removes, told = ((), []) if prune is None else gone(claim, shards.all, prune=prune)
    return plan_of_claim(
        claim, out, fate or shards.fate(out), shards=len(shards.mine), finished=shards.done, rows_left=shards.left,
        removes=removes, notes=(*notes, *told), **shards.pace(out), **more,
    )  # fmt: skip


def plan_of_one(claim: Claim, out: str | None, rows: int | None, **more: Any) -> Plan:
    """The plan of a verb that writes one result, which is made again whenever it is asked for."""
    return plan_of_claim(claim, out, lambda place, name: AGAIN, rows_left=rows, **more)


def plan_of_claim(claim: Claim, out: str | None, fate: Fate, **more: Any) -> Plan:
    """The plan of whoever has asked for these files."""
    return Plan(verb=claim.verb, out=out, **vars(sorted_files(claim, fate)), **more)


def counted_rows(shards: Iterable[Shard]) -> dict[Shard, int]:
    """Rows of those that can be read."""
    return dict(_known(shards))


def _known(shards: Iterable[Shard]) -> Iterator[tuple[Shard, int]]:
    for shard in shards:
        if (rows := _rows(shard, _looked_up)) is not None:
            yield shard, rows

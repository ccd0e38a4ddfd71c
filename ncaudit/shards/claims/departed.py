"""Outputs whose input is gone: a shard was deleted or renamed, and its table would be read with the others.

Knows folders, records and what tables say of themselves; nothing of what they hold.
"""

import os
from collections.abc import Iterator, Sequence

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.options import TABLE_SUFFIX
from ncaudit.shards.claims.claims import Claim, Place, ours_in
from ncaudit.shards.claims.records import EMBED_RECORD, FOLDER_RECORD, departed_in, read_record
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import suffix_of
from ncaudit.shards.files.provenance import provenance_at
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import remove_file

TOLD = 3  # names in a message


def settle_departed(claim: Claim, place: Place, shards: Sequence[Shard], *, prune: bool) -> list[str]:
    """What to tell of the place's tables without an input: that they are there, or with `prune` that they are gone.

    shards: the inputs of this run. Only what the claim's verb wrote is meant, and of what other commands embedded from
    other files beside these inputs nothing.
    """
    gone = departed(claim, place, shards)
    for name in gone if prune else ():
        remove_file(place.at(name))
        _remove_emptied(place, name)
    claim.departs(place, () if prune else gone)
    if not gone:
        return []
    if prune:
        return [f"{counted(len(gone), 'table')} in {place.folder} without an input removed: {listed(gone)}"]
    return [note_on_departed(place, gone)]


def departed(claim: Claim, place: Place, shards: Sequence[Shard]) -> list[str]:
    """The place's tables of the claim's verb that have no input among these shards, nor beside them."""
    return [*filter(ours_in(claim.verb, place), _departed(place, shards))]


def note_on_departed(place: Place, gone: Sequence[str]) -> str:
    """That they are there, and stay until they are pruned."""
    verb, them = ("has", "it") if len(gone) == 1 else ("have", "them")
    tables = counted(len(gone), "table")
    return f"{tables} in {place.folder} {verb} no input any more ({listed(gone)}): --prune removes {them}"


def _remove_emptied(place: Place, name: str) -> None:
    """The folders below the place that held this file and nothing else."""
    folder = name.rpartition("/")[0]
    while folder and not place.is_remote:  # a store has no folders
        try:
            os.rmdir(place.at(folder))
        except OSError:  # it holds more
            return
        folder = folder.rpartition("/")[0]


def notes_on_departed(shards: Sequence[Shard]) -> list[str]:
    """What to tell of inputs that lie where an earlier command has noted them as left over."""
    noted: dict[str, frozenset[str]] = {}
    found = []
    for shard in shards:
        root = _root(shard)
        if root is None:
            continue
        if root not in noted:
            records = (read_record(locations.join(root, name)) for name in (EMBED_RECORD, FOLDER_RECORD))
            noted[root] = frozenset().union(*(departed_in(record) for record in records))
        if shard.name in noted[root]:
            found.append(shard.path)
    if not found:
        return []
    these = counted(len(found), "of these tables was", "of these tables were")
    return [f"{these} made from shards that are gone ({listed(found)}): rerun what made them with --prune"]


def _departed(place: Place, shards: Sequence[Shard]) -> Iterator[str]:
    """Tables that are no output of these shards, nor of any file beside them."""
    planned, roots = set(place.files), {root for shard in shards if (root := _root(shard)) is not None}
    stems: dict[str, set[str]] = {}
    for name in tables_below(place.folder) if roots else ():
        if name in planned:
            continue
        folder = name.rpartition("/")[0]
        if folder not in stems:
            stems[folder] = {stem for root in roots for stem in _stems_in(root, folder)}
        if name.removesuffix(TABLE_SUFFIX) not in stems[folder] and not _source_is_there(place.at(name), roots):
            yield name


def tables_below(folder: str) -> list[str]:
    """The tables that readers of a folder would find in it, by their names with `/`."""
    names = locations.names_below(folder, lambda name: not name.startswith((".", "_")))
    tables = (name for name in names if name.endswith(TABLE_SUFFIX))
    return [name for name in tables if not locations.basename(name).startswith((".", "_"))]


def _stems_in(root: str, folder: str) -> set[str]:
    """What the outputs of the files in one folder below the inputs' root would be called, without suffix."""
    if locations.is_remote(root):
        return set()
    names = locations.names_in(os.path.join(root, folder))
    before = f"{folder}/" if folder else ""
    return {before + name.removesuffix(suffix) for name in names if (suffix := suffix_of(name))}


def _source_is_there(table: str, roots: set[str]) -> bool:
    """Whether the file is there that a table says it was made from, where no local folder shows it."""
    try:
        source = (provenance_at(table) or {}).get("source") or {}
    except BadTable:
        return False
    name = source.get("name") if isinstance(source, dict) else None
    remote = (root for root in roots if locations.is_remote(root))
    return name is not None and any(locations.is_file(locations.join(root, name)) for root in remote)


def _root(shard: Shard) -> str | None:
    """The folder that the names of a run's shards start from."""
    return shard.path[: -len(shard.name)] if shard.path.endswith(f"/{shard.name}") else None


def listed(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join([*names[:TOLD], *(["…"] if len(names) > TOLD else [])])

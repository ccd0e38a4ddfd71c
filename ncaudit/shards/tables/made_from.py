"""Which table was made from which shard: by name, and by the fingerprint of the file that it says it was made from.

Knows shards, their tables and provenance; nothing of what either holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import Provenance, fingerprint
from ncaudit.shards.files.shard import Shard

Source = Mapping[str, Any]  # name and fingerprint of a file


class Made(Protocol):
    """A table that was made from a shard and is called like it."""

    @property
    def shard(self) -> Shard: ...


T = TypeVar("T", bound=Made)


def match_by_name(shards: Sequence[Shard], tables: Sequence[T], what: str, *, whole: bool = True) -> dict[Shard, T]:
    """Each shard with the table of its name, in the order of the shards; a single one of each, whatever their names.

    what: of which kind the tables are, for errors. whole: whether every table must have its shard, too.
    Raises BadTable naming the first shard without a table, or the first table without a shard.
    """
    if len(shards) == len(tables) == 1:  # one file each: nothing to confuse
        return {shards[0]: tables[0]}
    by_name = {_called(table.shard): table for table in tables}
    names = {_called(shard) for shard in shards}
    if missing := [shard.name for shard in shards if _called(shard) not in by_name]:
        of_all = counted(len(shards), "shard has none", "shards have none")
        raise BadTable(
            f"{missing[0]} has no {what} ({len(missing):,} of {of_all})",
            fix=f"give the folder of {what}s that was made from this dataset, one per shard",
        )
    if whole and (strange := [table.shard.path for table in tables if _called(table.shard) not in names]):
        of_all = counted(len(tables), f"{what} has none", f"{what}s have none")
        raise BadTable(
            f"{strange[0]} has no shard in --data ({len(strange):,} of {of_all})",
            fix="give the whole dataset that they were made from, under the same names",
        )
    return {shard: by_name[_called(shard)] for shard in shards}


def _called(shard: Shard) -> str:
    """What an output of this shard is called, and one of that: a name that is too long has been cut before."""
    return shard.output("")


def data_of(provenance: Provenance | None) -> list[Source]:
    """The shards of the dataset that a score table rests on, each with its fingerprint; empty where it does not say.

    Several where one table holds the rows of several shards, and through whatever has filtered it since.
    """
    if not provenance:
        return []
    if provenance.get("data"):
        return [provenance["data"]]
    return [told for part in provenance.get("shards", ()) for told in data_of(part.get("scored") or part)]


def source_of(provenance: Provenance | None) -> list[Source]:
    """The one file that a table was made from, with its fingerprint; empty where it does not say."""
    source = (provenance or {}).get("source")
    return [source] if source else []


def refuse_another(shard: Shard, table: str, made_from: Sequence[Source], fix: str) -> None:
    """Raises BadTable when the table at `table` says that it was made from files of other content than this shard.

    made_from: those files; empty: then there is nothing to go by. Where the user's own key joins the two, this is not
    to be asked.
    """
    if made_from and fingerprint(shard) not in [one.get("fingerprint") for one in made_from]:
        raise BadTable(f"{table} was made from another file than {shard.path} (its content differs)", fix=fix)

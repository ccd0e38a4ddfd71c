"""The rows of the user's dataset that tables speak of, by shard and row: images and captions, one pass per shard.

Knows shards, tables' provenance and readers; nothing of decoding or pages. Only the parts of a file that hold a wanted
row are read, and of image paths only those of wanted rows are followed.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.rows import read_rows
from ncaudit.shards.files.provenance import Provenance, fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import ShardFile, open_shard, read_marked
from ncaudit.shards.tables.made_from import Source, data_of, source_of

ANOTHER = "give --data the dataset as it was when it was embedded, or embed and score it as it is now"
NUMBER = re.compile(r"/([0-9]{1,9})$")  # what `embed` puts behind the name of a pair of several in its row
Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """A row of the dataset, as tables name it."""

    shard: str
    row: int


@dataclass(frozen=True)
class Pair:
    """What the dataset holds at a place. problem: why there is no image, in words."""

    place: Place
    image: bytes | None
    captions: Sequence[str | None]  # one for each pair of the row
    problem: str | None


class Chosen:
    """Some rows of an open shard, as a shard of their own: the others are passed over, whole pieces unread."""

    def __init__(self, file: ShardFile, wanted: Places) -> None:
        self._file, self.wanted = file, wanted

    @property
    def schema(self) -> pa.Schema:
        """As the shard's."""
        return self._file.schema

    @property
    def rows(self) -> int:
        """How many are wanted."""
        return len(self.wanted)

    @property
    def pieces(self) -> int:
        """One: they are few."""
        return 1

    @property
    def piece_rows(self) -> Sequence[int] | None:
        """Not told."""
        return None

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The wanted rows, in order. A cell that is larger than allowed is left out, as `embed` leaves it."""
        names = self._file.schema.names if columns is None else columns
        for first, batch in self._around(rows, names):
            low, high = np.searchsorted(self.wanted, [first, first + len(batch)])
            if low < high:
                yield batch.take(pa.array(self.wanted[low:high] - first))

    def _around(self, rows: int, names: Collection[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches that may hold a wanted row, with the number of their first row."""
        counts = self._file.piece_rows
        pieces = [None] if counts is None else [*range(len(counts))]
        first = 0
        for piece in pieces:
            known = None if counts is None or piece is None else counts[piece]
            inside = known is None or np.searchsorted(self.wanted, first) < np.searchsorted(self.wanted, first + known)
            at = first
            if inside:
                for batch, _ in read_marked(self._file, names, rows, None if piece is None else [piece]):
                    yield at, batch
                    at += len(batch)
                    if at > self.wanted[-1]:
                        return
            first = at if known is None else first + known

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """Nothing is told of it here."""
        return {}

    def nulls(self, piece: int, column: str) -> int | None:
        """Not known."""
        return None


class Dataset:
    """The dataset that some tables were made from. Raises BadTable where it is another."""

    def __init__(self, sources: Sequence[str], options: DataOptions, tables: Sequence[tuple[str, Provenance | None]]):
        self._options, self._shards = options, find_shards(sources, max_row_bytes=options.max_row_bytes)
        self._by_name = {shard.name: shard for shard in self._shards}
        self._told: dict[str, tuple[str, Source]] = {}  # by the shard's name: the table that says so, and what it says
        for path, provenance in tables:
            for source in _made_from(provenance):
                self._told.setdefault(str(source.get("name")), (path, source))

    def require(self, names: Collection[str]) -> None:
        """Raises BadTable unless shards of these names are there, with the content that was scored."""
        for name in sorted(names):
            self._shard(name)

    def pairs(self, places: Collection[Place], captions: Mapping[Place, Mapping[int, str]]) -> Iterator[Pair]:
        """What is at these places, shard by shard, each row once.

        captions: of some of them what the tables say, by the caption's number in its row. Raises BadTable where the
        dataset says something else, and no fingerprint tells that it is the one: then it is another.
        """
        for name in sorted({place.shard for place in places}):
            rows = sorted({place.row for place in places if place.shard == name})
            yield from self._of_shard(name, np.array(rows, np.int64), captions)

    def _of_shard(self, name: str, wanted: Places, told: Mapping[Place, Mapping[int, str]]) -> Iterator[Pair]:
        shard = self._shard(name)
        file = open_shard(shard, choosing=True)
        columns = find_columns(file.schema, shard.name, self._options, carry=[])
        chosen, count, proven = Chosen(file, wanted), 0, name in self._told and "fingerprint" in self._told[name][1]
        for rows in read_rows(shard, columns, rows=64, image_root=self._options.image_root, file=chosen):
            for at, members in _by_row(rows.row):
                place = Place(name, int(wanted[at]))
                own = [rows.captions[i] for i in members]
                if not proven:
                    _refuse_other_captions(shard, place, own, told.get(place, {}))
                yield Pair(place, rows.images[members[0]], own, _problem(rows.status, rows.detail, members[0]))
                count += 1
        if count < len(wanted):
            what = f"{shard.path} has no row {int(wanted[count])}, and the tables speak of one"
            raise BadTable(what, fix=ANOTHER)

    def _shard(self, name: str) -> Shard:
        shard = self._by_name.get(name) or self._renamed(name)
        if shard is None:
            listed = ", ".join(list(self._by_name)[:3])
            what = f"--data has no {name}, which was scored (found: {listed}{', …' if len(self._by_name) > 3 else ''})"
            raise BadTable(what, fix="give the whole dataset that was scored, under the same names")
        told = self._told.get(name)
        if told is not None and told[1].get("fingerprint") not in (None, fingerprint(shard)):
            raise BadTable(f"{told[0]} was made from another file than {shard.path} (its content differs)", fix=ANOTHER)
        return shard

    def _renamed(self, name: str) -> Shard | None:
        """The shard that has the content of what was scored under this name; or the only one, of which is asked."""
        wanted = self._told[name][1].get("fingerprint") if name in self._told else None
        alike = (one for one in self._shards if wanted is not None and fingerprint(one) == wanted)
        only = self._shards[0] if len(self._shards) == 1 and len(self._told) <= 1 else None
        return next(alike, only)


def _made_from(provenance: Provenance | None) -> list[Source]:
    """The shards of the dataset; a label table tells them by way of its embeddings, whose file is no shard of it."""
    return data_of(provenance) or (source_of(provenance) if (provenance or {}).get("verb") == "embed" else [])


def _by_row(rows: Places) -> Iterator[tuple[int, list[int]]]:
    """The pairs of each row."""
    members: dict[int, list[int]] = {}
    for i, row in enumerate(rows.tolist()):
        members.setdefault(row, []).append(i)
    yield from members.items()


def _problem(status: Sequence[str | None], detail: Sequence[str | None], at: int) -> str | None:
    if status[at] in (None, "caption_missing"):
        return None
    return f"{status[at]}: {detail[at]}" if detail[at] else status[at]


def _refuse_other_captions(shard: Shard, place: Place, own: Sequence[str | None], told: Mapping[int, str]) -> None:
    for number, caption in told.items():
        found = own[0] if len(own) == 1 else own[number] if number < len(own) else None
        if found is not None and not found.startswith(caption):
            raise BadTable(
                f"{shard.path} row {place.row} has another caption than what was scored there "
                f"({found[:60]!r} instead of {caption[:60]!r})",
                fix=ANOTHER,
            )


def caption_number(pair_id: str | None, captions: int) -> int:
    """Which caption of its row a pair has, by its name; 0 where rows hold one.

    >>> caption_number("a/7/2", captions=3), caption_number("a/7", captions=1)
    (2, 0)
    """
    found = NUMBER.search(pair_id or "") if captions > 1 else None
    return min(int(found[1]), captions - 1) if found else 0

"""Which pairs were kept, for other tools: a list of ids, DataComp's subset file, or a table of weights.

Knows columns of names and weights, and binary files; nothing of why a pair is kept.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as t

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.hashing import hash_values
from ncaudit.options import FilterForm
from ncaudit.shards.files.writer import TableWriter

UID = np.dtype([("f0", "<u8"), ("f1", "<u8")])  # numpy's "u8,u8", little-endian on every machine
HEX_UID = r"^[0-9a-fA-F]{32}$"
WEIGHT = "soft_label"
MOST_TIMES = 1_000_000  # a uid takes 16 bytes each time: more is an id or a hash, and no weight


class Selection(Protocol):
    """Takes the kept rows, batch by batch, and writes them when closed if not before.

    abandon: instead of close, where the file is about to be deleted.
    """

    def write(self, batch: pa.RecordBatch, path: str) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class NamedTwice:
    """A selection that counts the names which it was given before. 8 bytes of memory each."""

    def __init__(self, selection: Selection, key: str) -> None:
        self._selection, self._key = selection, key
        self._hashes: list[npt.NDArray[np.int64]] = []

    def write(self, batch: pa.RecordBatch, path: str) -> None:
        """As the selection does."""
        self._selection.write(batch, path)
        self._hashes.append(hash_values(_names(batch, self._key, path)))

    @property
    def notes(self) -> list[str]:
        """What must be said of names that are there again."""
        hashes = np.concatenate([np.zeros(0, np.int64), *self._hashes])
        again = len(hashes) - len(np.unique(hashes))
        if not again:
            return []
        return [
            f"{again:,} of the {counted(len(hashes), 'name')} written {'is' if again == 1 else 'are'} there already, "
            f"as {self._key} names several pairs: "
            "whoever joins by it gets those, too, that were dropped"
        ]


class IdList:
    """A text file with one id per line, in the order of the rows."""

    def __init__(self, file: Any, key: str) -> None:
        self._file, self._key = file, key

    def write(self, batch: pa.RecordBatch, path: str) -> None:
        """Raises BadTable for an id that is null or holds a line break."""
        names = _names(batch, self._key, path)
        if pc.any(pc.match_substring_regex(names, r"[\r\n]")).as_py():
            raise BadTable(f"{path}: a {self._key} holds a line break", fix="use --as weights, which is a table")
        lines = "".join(f"{name}\n" for name in names.to_pylist())
        self._file.write(lines.encode())
        self._file.flush()

    def close(self) -> None:
        """Nothing is left to write."""

    def abandon(self) -> None:
        """Nothing is open."""


class DataCompUids:
    """DataComp's subset file: uids as two 64-bit halves, sorted, each as often as its weight. 16 bytes of memory each.

    repeats: a column of whole numbers from 0; None: once.
    """

    def __init__(self, file: Any, key: str, repeats: str | None) -> None:
        self._file, self._key, self._repeats = file, key, repeats
        self._parts: list[npt.NDArray[Any]] = []

    def write(self, batch: pa.RecordBatch, path: str) -> None:
        """Raises BadTable for a uid that is not 32 hex digits, or a weight that is no whole number from 0."""
        names = _names(batch, self._key, path)
        strange = names.filter(pc.invert(pc.match_substring_regex(names, HEX_UID)))
        if len(strange):
            raise BadTable(
                f"{path}: {self._key} {strange[0].as_py()!r} is no DataComp uid (32 hex digits)",
                fix="name the column of uids with --key",
            )
        raw = bytes.fromhex("".join(names.to_pylist()))
        uids = np.frombuffer(raw, dtype=[("f0", ">u8"), ("f1", ">u8")]).astype(UID)
        self._parts.append(uids if self._repeats is None else np.repeat(uids, _times(batch, self._repeats, path)))

    def close(self) -> None:
        """Sort and write."""
        uids = np.concatenate([np.zeros(0, UID), *self._parts])
        np.save(self._file, uids[np.lexsort((uids["f1"], uids["f0"]))], allow_pickle=False)

    def abandon(self) -> None:
        """Nothing is open."""


class WeightTable:
    """A parquet table of the key and the soft label as its weight, in the order of the rows."""

    def __init__(self, file: Any, key: str, metadata: dict[bytes, bytes]) -> None:
        self._key = key
        self._schema = pa.schema([pa.field(key, pa.string()), pa.field("weight", pa.float32())], metadata)
        self._writer = TableWriter(file, self._schema)

    def write(self, batch: pa.RecordBatch, path: str) -> None:
        """Raises BadTable for a key or a soft label that is null."""
        weight = batch[WEIGHT].cast(pa.float32())
        if weight.null_count:
            raise BadTable(
                f"{path}: {WEIGHT} is null in {counted(weight.null_count, 'row')} that would be kept",
                fix="leave them out with --min-soft-label 0, or take a scorer that gives soft labels",
            )
        arrays = [_names(batch, self._key, path).cast(pa.string()), weight]
        self._writer.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()

    def abandon(self) -> None:
        """Close it, as long as the file is open."""
        self._writer.abandon()


def key_of(form: FilterForm, named: str | None, schema: pa.Schema) -> str:
    """The column that names pairs: the one asked for, for DataComp `uid` where there is one, else pair_id."""
    if named:
        return named
    return "uid" if form is FilterForm.datacomp_uids and "uid" in schema.names else "pair_id"


def _names(batch: pa.RecordBatch, key: str, path: str) -> pa.Array:
    column = batch[key]
    column = column.dictionary_decode() if t.is_dictionary(column.type) else column
    if column.null_count:
        raise BadTable(f"{path} has rows without a {key} among those kept", fix="name another column with --key")
    return column.cast(pa.large_string())


def _times(batch: pa.RecordBatch, name: str, path: str) -> npt.NDArray[np.int64]:
    column = batch[name]
    if not t.is_integer(column.type) or column.null_count or (len(column) and pc.min(column).as_py() < 0):
        raise BadTable(f"{path}: {name} is not a whole number from 0 in every row kept", fix="name a column that is")
    if len(column) and pc.max(column).as_py() > MOST_TIMES:
        raise BadTable(f"{path}: {name} asks for a uid more than {MOST_TIMES:,} times", fix="name a column of weights")
    times: npt.NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return times

"""Some samples of a tar in a tar like it, and if asked for the others in a second one with the reason.

Knows tars and the files that img2dataset and open_clip expect beside them; nothing of why a sample is kept. A tar has
no place to say what it was made from, so its sidecar says it: it is taken away first and written last, so that a tar
with a sidecar is whole.
"""

import gzip
import json
import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit import own_json
from ncaudit.errors import BadTable
from ncaudit.options import TABLE_SUFFIX
from ncaudit.shards.dataset.keys import key_text
from ncaudit.shards.dataset.rows import COLUMN_ROWS, read_column
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import suffix_of
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.provenance import EarlierOutputs, Provenance, attach, fingerprint_of_file
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import TARS
from ncaudit.shards.files.writer import atomic_file, atomic_table, remove_file
from ncaudit.shards.readers import ShardFile, open_shard
from ncaudit.shards.readers.tars.tar import KEY
from ncaudit.shards.readers.tars.tar_samples import Member, Sample, is_gzip, open_tar, read_samples
from ncaudit.shards.rewriting.kept_captions import KEPT
from ncaudit.shards.rewriting.kept_rows import NEITHER, Target, split_shard
from ncaudit.shards.tables.key_index import NOWHERE, KeyIndex

Codes = npt.NDArray[np.int16]

SIDECAR_KEYS = ("key", KEY)
STATS, SIZES = "_stats.json", "sizes.json"
GZIP_LEVEL = 1  # images do not compress: more effort saves nothing


def split_samples(
    shard: Shard, codes: Codes, kept: Target, dropped: Target | None, reason: pa.Field, reasons: Sequence[str]
) -> None:
    """Write the samples of `shard` whose code is 0 beside `kept`, the others beside `dropped`.

    codes: (samples,) places in `reasons`. A target's path is that of its sidecar, NAME.parquet; the tar is NAME.tar,
    in gzip where the input is. Samples keep their order and their files all bytes, headers included; what is of no
    sample (folders, links) is left out. The sidecar has the rows of the input's sidecar, in its schema, whose key the
    tar has; where there is none, the samples' texts and JSON fields. That of `dropped` has the column `reason` behind.
    Beside them NAME_stats.json has the counts as img2dataset writes them. Raises BadTable when the shard cannot be
    read, its sidecar lacks a sample, or there is already a column that is called like `reason`.
    """
    targets = [kept, *([dropped] if dropped is not None else [])]
    sidecar = _sidecar(shard, codes)
    schema = open_shard(shard if sidecar is None else sidecar[0]).schema
    if dropped is not None and reason.name in schema.names:
        raise BadTable(f"{shard.path} already has a column {reason.name}", fix="rename or drop that column first")
    for target in targets:
        remove_file(target.path)
    _write_tars(shard, codes, [tar_beside(target.path, shard) for target in targets])
    for target, mine in zip(targets, (codes == KEPT, codes != KEPT), strict=False):
        _write_stats(target.path, int(mine.sum()))
    if sidecar is None:
        _write_texts(shard, codes, targets, reason, reasons)
    else:
        split_shard(*sidecar, kept, dropped, reason, reasons)


def is_finished_tar(shard: Shard, target: Target, earlier: EarlierOutputs) -> bool:
    """Whether an earlier run wrote the tar and all that belongs to it, from exactly the same."""
    tar, stats = tar_beside(target.path, shard), _stats_beside(target.path)
    if not locations.is_file(tar) or not locations.is_file(stats) or not earlier.hold(target.path, target.provenance):
        return False
    for path, whole in ((tar, _has_end(tar)), (stats, _successes(stats) is not None)):
        if not whole:
            earlier.damaged(path, BadTable(f"{path} is damaged", fix=""))
            return False
    return True


def _has_end(tar: str) -> bool:
    """Whether a tar ends as one does, with two blocks of zeros: one that was cut does not. Gzip is not looked into."""
    if is_gzip(tar):
        return True
    end = bytes(2 * tarfile.BLOCKSIZE)
    with locations.open_file(tar, jumps=True) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(end)))
        return size % tarfile.RECORDSIZE == 0 and file.read() == end


def tar_beside(sidecar: str, shard: Shard) -> str:
    """What the tar of a shard's output is called, whose sidecar is this."""
    suffix = suffix_of(shard.name)
    return sidecar.removesuffix(TABLE_SUFFIX) + (suffix if suffix.lower() in TARS else TARS[0])


def files_of_tar(sidecar: str, shard: Shard) -> list[str]:
    """All that is written for a tar of a dataset, its sidecar first."""
    return [sidecar, tar_beside(sidecar, shard), _stats_beside(sidecar)]


def table_beside(path: str) -> str:
    """The sidecar of a tar or of its statistics.

    >>> table_beside("A/00000_stats.json"), table_beside("A/00000.tar.gz")
    ('A/00000.parquet', 'A/00000.parquet')
    """
    return f"{path.removesuffix(STATS)}{TABLE_SUFFIX}" if path.endswith(STATS) else told_by(path)


def told_by(path: str) -> str:
    """The file that says what a shard was made from: itself, or the parquet file beside a tar, if there is one.

    >>> told_by("A/00000.tar"), told_by("A/00000.parquet")
    ('A/00000.parquet', 'A/00000.parquet')
    """
    suffix = suffix_of(path)
    return path.removesuffix(suffix) + TABLE_SUFFIX if suffix.lower() in TARS else path


def sidecar_facts(shard: Shard) -> Provenance:
    """What an output must say of the sidecar of a tar, as it is made from it too."""
    path = told_by(shard.path)
    return {"sidecar": fingerprint_of_file(path)} if path != shard.path and locations.is_file(path) else {}


def write_sizes(tars: Sequence[str]) -> None:
    """In every folder that these tars are in, `sizes.json`: how many samples each tar has, as open_clip asks for it.

    Counts are taken from the tars' statistics; a tar without any, of another tool, is left out.
    """
    for folder in sorted({locations.dirname(locations.absolute(path)) for path in tars}):
        names = sorted(name for name in locations.names_in(folder) if suffix_of(name).lower() in TARS)
        stats = {name: locations.join(folder, name.removesuffix(suffix_of(name)) + STATS) for name in names}
        counts = {name: _successes(path) for name, path in stats.items() if locations.is_file(path)}
        _write_if_other(locations.join(folder, SIZES), {name: n for name, n in counts.items() if n is not None})


def _sidecar(shard: Shard, codes: Codes) -> tuple[Shard, Codes] | None:
    """The sidecar and the code of each of its rows, `NEITHER` for downloads that failed and are not in the tar."""
    path = told_by(shard.path)
    if path == shard.path or not locations.is_file(path):
        return None
    beside = replace(shard, path=path, name=told_by(shard.name))
    samples = KeyIndex(_keys(shard, KEY, open_shard(shard)))
    rows = open_shard(beside)
    names = [name for name in SIDECAR_KEYS if name in rows.schema.names]
    places = samples.places_in_turn(_keys(beside, names[0], rows) if names else [])  # a tar may have a key twice
    without = np.setdiff1d(np.arange(len(codes)), places)
    if len(without):
        raise BadTable(
            f"{path} has no row for {samples.key(int(without[0]))!r}, which is in {shard.path}",
            fix="give the tar its own sidecar, or move that file away: the JSON fields are then written instead",
        )
    return beside, np.where(places == NOWHERE, NEITHER, codes[places]).astype(np.int16)


def _keys(shard: Shard, column: str, file: ShardFile) -> pa.ChunkedArray:
    return pa.chunked_array([key_text(array) for array in read_column(shard, column, file)], pa.large_string())


def _write_tars(shard: Shard, codes: Codes, paths: Sequence[str]) -> None:
    packed = is_gzip(shard.path)
    with ExitStack() as stack:
        source = stack.enter_context(open_tar(shard.path))
        tars = [stack.enter_context(_tar_file(path, packed)) for path in paths]
        for sample in read_samples(shard.path):
            place = int(codes[sample.row] != KEPT)
            if place < len(tars):
                tars[place].copy(source, sample)


class _TarFile:
    """A tar that is put together from blocks of another one."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, 0

    def copy(self, source: BinaryIO, sample: Sample) -> None:
        """The sample's files with their headers, as they are; links as the files that they lead to."""
        for header, start, end in _stretches(sample):
            self._size += self._file.write(header)
            source.seek(start)
            for at in range(start, end, MIB):
                self._size += self._file.write(source.read(min(MIB, end - at)))

    def finish(self) -> None:
        """The end mark: two empty blocks, and as many more as fill a record."""
        end = self._size + 2 * tarfile.BLOCKSIZE
        self._file.write(bytes(2 * tarfile.BLOCKSIZE + -end % tarfile.RECORDSIZE))


@contextmanager
def _tar_file(path: str, packed: bool) -> Iterator[_TarFile]:
    with ExitStack() as stack:
        file: Any = stack.enter_context(atomic_file(path))
        if packed:  # no name and no time: bytes depend on nothing but the samples
            file = stack.enter_context(gzip.GzipFile("", "wb", GZIP_LEVEL, file, mtime=0))
        tar = _TarFile(file)
        yield tar
        tar.finish()


def _stretches(sample: Sample) -> list[tuple[bytes, int, int]]:
    """Where the sample's files are, those that touch as one, and the header that is written before them: of a link,
    whose file may be in another sample.
    """
    found: list[tuple[bytes, int, int]] = []
    for member in sample.members.values():
        if member.link is not None:
            found.append((_header(member), member.data, member.data + member.size + -member.size % tarfile.BLOCKSIZE))
        elif found and found[-1][2] == member.start:
            found[-1] = (*found[-1][:2], member.end)
        else:
            found.append((b"", member.start, member.end))
    return found


def _header(member: Member) -> bytes:
    told = tarfile.TarInfo(member.name)
    told.size = member.size
    return told.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _write_texts(
    shard: Shard, codes: Codes, targets: Sequence[Target], reason: pa.Field, reasons: Sequence[str]
) -> None:
    """Sidecars of what the tar itself says."""
    file, words = open_shard(shard), pa.array(list(reasons), pa.string())
    light = pa.schema([field for field in file.schema if not pa.types.is_binary(field.type)])
    schemas = [attach(s, t.provenance) for s, t in zip((light, light.append(reason)), targets, strict=False)]
    with ExitStack() as stack:
        tables = [stack.enter_context(atomic_table(t.path, s)) for s, t in zip(schemas, targets, strict=True)]
        first = 0
        for batch in file.batches(COLUMN_ROWS, light.names):
            mine = codes[first : first + len(batch)]
            first += len(batch)
            said = words.take(pa.array(mine))
            for table, schema, chosen in zip(tables, schemas, (mine == KEPT, mine != KEPT), strict=False):
                rows = pa.RecordBatch.from_arrays([*batch.columns, said][: len(schema)], schema=schema)
                table.write(rows.filter(pa.array(chosen)))


def _write_stats(sidecar: str, samples: int) -> None:
    failed = {"failed_to_download": 0, "failed_to_resize": 0}
    counts = {"count": samples, "successes": samples, **failed, "status_dict": {"success": samples}}
    _write_json(_stats_beside(sidecar), counts)


def _stats_beside(sidecar: str) -> str:
    return sidecar.removesuffix(TABLE_SUFFIX) + STATS


def _successes(stats: str) -> int | None:
    told = own_json.known(stats, {"successes": int})
    return None if told is None else int(told["successes"])


def _write_if_other(path: str, values: Any) -> None:
    """A folder with nothing left to do stays as it is."""
    try:
        with locations.open_file(path) as file:
            there = file.read()
    except OSError:
        there = b""
    if there != _as_json(values):
        _write_json(path, values)


def _write_json(path: str, values: Any) -> None:
    with atomic_file(path) as file:
        file.write(_as_json(values))


def _as_json(values: Any) -> bytes:
    return (json.dumps(values, indent=4) + "\n").encode()

"""Webdataset tars, with or without a sidecar parquet: one row per sample."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.columns import CAPTIONS, ENCODINGS, FILES_KEY, is_key_name
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.remembered import Remembered, version_now
from ncaudit.shards.readers.bounds.unpacked import too_large
from ncaudit.shards.readers.bounds.values import refuse_many_values
from ncaudit.shards.readers.one_piece import OnePiece
from ncaudit.shards.readers.tars.members import JSON, TEXTS, Members, Met, first_of, has_any, listed, looked_at
from ncaudit.shards.readers.tars.tar_samples import Sample, printable, read_samples
from ncaudit.shards.readers.text.json_fields import JsonFields, json_column, text_column

KEY, IMAGE, CAPTION = "__key__", "image", "caption"
JSON_CAPTIONS = ("caption", "text")  # what stands in where a sample of a shard with .txt files has none
RENAMED = "json_"
BATCH_BYTES = 64 * MIB


class TarShard(OnePiece):
    """A `ShardFile` with a row per sample and these columns:

    `__key__`: all before the first dot of the base name, with the folder. `image`: the file jpg, jpeg, png, webp, …,
    the first of these where a sample has several; else one whose bytes say so. `caption`: the .txt file, else the
    JSON's caption or text; only in a shard that has .txt files. Then images and texts whose suffix has several parts,
    called like it (`input.jpg`). Then the fields of the .json files, as `JsonFields` types them over the whole shard;
    one called like a column above becomes `json_NAME`, and is left out where it says the same in every row. A .json
    file that is a list of texts, or one text, is the field `caption`.
    A shard without samples has the first three. Other files of a sample are not shown, but told in the metadata.

    Types and the number of rows are known only when the archive was read once, without the images. What that survey
    told is remembered, so that it is made once; whoever makes it holds what may name the pairs, too, and reads on.
    Raises BadTable when it is damaged, a .json file is none, or the files of a sample are not together.
    """

    def __init__(self, path: str, max_row_bytes: int = MAX_ROW_BYTES) -> None:
        self._names: dict[str, list[Any]] = {}  # by column; empty where another made the survey
        survey, seen = _surveys.known(path), version_now(path)
        if survey is None or survey.max_row_bytes != max_row_bytes:
            survey, self._names = _survey(path, max_row_bytes)
            _surveys.learn(path, survey, seen)
        self._seen = survey
        super().__init__(path, survey)

    def instead_of_image(self, row: int) -> str | None:
        """The files of a sample without image."""
        found = self._seen.without.get(row)
        return None if found is None else listed(found)

    def beyond(self, columns: Collection[str] | None = None) -> Mapping[int, str]:
        """The samples that have a file for these columns which is larger than allowed, and is not read."""
        wanted, allowed = _Wanted(self._chosen(columns), self._seen), self._seen.max_row_bytes
        larger = {row: [each for each in found if wanted(each[0])] for row, found in self._seen.larger.items()}
        return {row: too_large(f".{printable(f[0][0])}", f[0][1], allowed) for row, f in larger.items() if f}

    def _chosen(self, columns: Collection[str] | None) -> pa.Schema:
        return pa.schema([field for field in self.schema if columns is None or field.name in columns])

    def batches(
        self, rows: int, columns: Collection[str] | None = None, pieces: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Also bounded by 64 MiB of files; one that is larger is a batch alone."""
        schema = self._chosen(columns)
        if pieces is not None and 0 not in pieces:
            return
        if schema.names and set(schema.names) <= set(self._names):
            yield from self._named(schema, rows)
            return
        held: list[Sample] = []
        weight = 0
        wanted = _Wanted(schema, self._seen)
        for sample in read_samples(self._path, wanted, _nothing, self._seen.max_row_bytes):
            size = sum(map(len, sample.contents.values()))
            if held and (len(held) == rows or weight + size > BATCH_BYTES):
                yield self._batch(held, schema)
                held, weight = [], 0
            held.append(sample)
            weight += size
        if held:
            yield self._batch(held, schema)

    def _named(self, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """Columns that the survey held, without reading the archive again."""
        arrays = [json_column(self._names[field.name], field.type) for field in schema]
        whole = pa.RecordBatch.from_arrays(arrays, schema=schema)
        yield from (whole.slice(first, rows) for first in range(0, self.rows, rows))

    def _batch(self, samples: Sequence[Sample], schema: pa.Schema) -> pa.RecordBatch:
        objects = [_object(self._path, sample) for sample in samples]
        arrays = [self._column(field, samples, objects) for field in schema]
        if not arrays:  # a batch of no columns still has rows
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(samples), pa.struct([])))
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _column(self, field: pa.Field, samples: Sequence[Sample], objects: Sequence[dict[str, Any]]) -> pa.Array:
        if field.name in self._seen.json_names:
            name = self._seen.json_names[field.name]
            return json_column([values.get(name) for values in objects], field.type)
        if field.name == KEY:
            return text_column([printable(sample.key) for sample in samples])
        if field.name == IMAGE:
            return pa.array([first_of(s.contents, self._seen.members.images) for s in samples], field.type)
        if field.name in self._seen.members.more_images:
            return pa.array([sample.contents.get(field.name) for sample in samples], field.type)
        if field.name in self._seen.members.more_texts:
            return text_column([_text(self._path, sample, field.name) for sample in samples])
        pairs = zip(samples, objects, strict=True)
        return text_column([_caption(self._path, sample, values) for sample, values in pairs])


@dataclass(frozen=True)
class _Survey:
    """What a shard holds. json_names: the JSON's field behind each column that comes from it."""

    schema: pa.Schema
    json_names: dict[str, str]
    rows: int
    members: Members
    without: dict[int, tuple[str, ...]]  # rows without an image: the suffixes that their samples have
    larger: dict[int, list[tuple[str, int]]]  # rows with files larger than allowed: suffix and bytes
    max_row_bytes: int


def _nothing(suffix: str) -> bool:
    return False


class _Wanted:
    """Which files of the samples these columns need."""

    def __init__(self, schema: pa.Schema, survey: _Survey) -> None:
        ours = {name for name in schema.names if name not in survey.json_names}
        self._files = {suffix for suffix in survey.members.columns if suffix in ours}
        self._files |= set(survey.members.images) if IMAGE in ours else set()
        self._files |= {*TEXTS, JSON} if CAPTION in ours else set()
        self._files |= {JSON} if set(schema.names) - ours else set()

    def __call__(self, suffix: str) -> bool:
        return suffix in self._files


_surveys: Remembered[_Survey] = Remembered(lambda path: _survey(path, MAX_ROW_BYTES)[0])


def _survey(path: str, max_row_bytes: int) -> tuple[_Survey, dict[str, list[Any]]]:
    """One reading of the whole shard, without its images; and the values of the columns that may name the pairs."""
    fields, together, met = JsonFields(may_have_fields=CAPTIONS), _Together(path), Met()
    rows, texts = 0, False
    differing: set[str] = set()
    named, imageless = _Names(), dict[int, tuple[str, ...]]()
    larger: dict[int, list[tuple[str, int]]] = {}
    for sample in read_samples(path, lambda suffix: suffix in (*TEXTS, JSON), looked_at, max_row_bytes):
        if found := [(suffix, file.size) for suffix, file in sample.members.items() if file.size > max_row_bytes]:
            larger[sample.row] = found
        values = _object(path, sample)
        fields.see(values)
        named.see(sample, values)
        differing |= _differing(path, sample, values)
        together.check(sample)
        met.see(sample)
        rows += 1
        texts |= has_any(sample, TEXTS)
        if not has_any(sample, ENCODINGS):
            links = (f"{printable(suffix)} ({words})" for suffix, words in sample.lost.items())
            imageless[sample.row] = (*sample.members, *links)
    members = met.members
    without = {row: found for row, found in imageless.items() if not {*found} & {*members.images}}
    shown = {KEY: True, IMAGE: len(without) < rows or not rows, CAPTION: texts or not rows}
    ours = [pa.field(n, pa.binary() if n == IMAGE else pa.string()) for n, there in shown.items() if there]
    ours += [pa.field(name, pa.binary()) for name in members.more_images]
    ours += [pa.field(name, pa.string()) for name in members.more_texts]
    kinds = fields.types
    names = _names([field.name for field in ours], kinds, differing)
    theirs = [pa.field(column, kinds[name]) for column, name in names.items()]
    schema = pa.schema([*ours, *theirs], metadata={FILES_KEY: members.told} if rows else None)
    return _Survey(schema, names, rows, members, without, larger, max_row_bytes), named.columns(names)


class _Names:
    """What may name the pairs: the samples' keys, and the JSON's fields that are called like a key."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._fields: dict[str, list[Any]] = {}

    def see(self, sample: Sample, values: Mapping[str, Any]) -> None:
        """Take one more sample into account."""
        for name in values:
            if is_key_name(name) and name not in self._fields:
                self._fields[name] = [None] * len(self._keys)
        self._keys.append(printable(sample.key))
        for name, column in self._fields.items():
            column.append(values.get(name))

    def columns(self, names: Mapping[str, str]) -> dict[str, list[Any]]:
        """By the names of the shard's columns. names: the JSON's field behind each column that comes from it."""
        of_json = {column: self._fields[field] for column, field in names.items() if field in self._fields}
        return {KEY: self._keys, **of_json}


def _names(ours: Sequence[str], theirs: Collection[str], differing: Collection[str]) -> dict[str, str]:
    """The JSON's fields by the names of their columns."""
    free = [name for name in theirs if name not in ours]
    taken, names = {*ours, *free}, {name: name for name in free}
    for name in theirs:
        if name in ours and name in differing:
            new = RENAMED + name
            while new in taken:
                new = RENAMED + new
            taken.add(new)
            names[new] = name
    return names


def _differing(path: str, sample: Sample, values: dict[str, Any]) -> set[str]:
    """Names of ours under which the JSON says something else."""
    ours = {KEY: sample.key, IMAGE: None, CAPTION: _caption(path, sample, values)}
    return {name for name, value in ours.items() if values.get(name) not in (None, value)}


class _Together:
    """Finds samples that were torn apart: webdataset takes such files for samples of their own, without a word.

    A whole sample whose key comes back is another sample, as in a tar put together from several.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._partial: dict[str, tuple[int, tuple[str, ...]]] = {}

    def check(self, sample: Sample) -> None:
        """Raises BadTable when the sample is the rest of an earlier one."""
        if not sample.members or (has_any(sample, ENCODINGS) and has_any(sample, (*TEXTS, JSON))):
            return
        suffixes = tuple(sample.members)
        row, earlier = self._partial.setdefault(sample.key, (sample.row, suffixes))
        if set(earlier).isdisjoint(suffixes):
            places = f".{earlier[0]} is in row {row}, .{suffixes[0]} in row {sample.row}"
            raise BadTable(
                f"{self._path}: the files of {printable(sample.key)!r} are not together: {places}",
                fix="write the tar anew with the files of a sample side by side: tar --sort=name",
            )


def _caption(path: str, sample: Sample, values: dict[str, Any]) -> str | None:
    suffix = next((suffix for suffix in TEXTS if suffix in sample.contents), None)
    if suffix is not None:
        return _text(path, sample, suffix)
    return next((values[name] for name in JSON_CAPTIONS if isinstance(values.get(name), str)), None)


def _text(path: str, sample: Sample, suffix: str) -> str | None:
    raw = sample.contents.get(suffix)
    try:
        return None if raw is None else raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, sample, suffix, "is not UTF-8 text") from error


def _object(path: str, sample: Sample) -> dict[str, Any]:
    """The fields of the sample's .json file, where there is one."""
    raw = sample.contents.get(JSON)
    if raw is None:
        return {}
    refuse_many_values(f"{path}: {printable(sample.key)}.{JSON} (row {sample.row})", raw)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, sample, JSON, f"is no JSON: {error}") from error
    if isinstance(found, str) or (isinstance(found, list) and all(isinstance(word, str) for word in found)):
        return {CAPTION: [found] if isinstance(found, str) else found}
    if not isinstance(found, dict):
        raise _unreadable(path, sample, JSON, "is no JSON object, nor a list of captions")
    return found


def _unreadable(path: str, sample: Sample, suffix: str, what: str) -> BadTable:
    return BadTable(
        f"{path}: {printable(sample.key)}.{suffix} (row {sample.row}) {what}", fix="mend or leave out that sample"
    )

"""Where a table comes from: one JSON object in the schema metadata, and the test whether a finished output still holds.

Knows parquet footers; nothing of what the rows mean.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from ncaudit import own_json
from ncaudit.errors import BadTable, lacks_memory
from ncaudit.schema import METADATA_KEY
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import cannot_be_read
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.remembered import MANY, Remembered
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.places import manifest
from ncaudit.version import FORMATS, format_of, same_results, told_alike, written_by

Provenance = dict[str, Any]
DAMAGE = (pa.ArrowException, OSError, UnicodeError)  # what arrow raises of files that lie
MADE_ANEW = "fetch it again; if ncaudit wrote it, delete it and run that command again, which makes it anew"
Told = TypeVar("Told")
_SOURCE: own_json.Shape = (None, {"name?": str, "fingerprint?": str, "features?": str})
_MODEL: own_json.Shape = (None, {"name?": str})
_RATE: own_json.Shape = (None, {"rate?": (None, float)})
# of what is looked at; `filter` makes one table of several, and says what each said
_SHAPE: dict[Any, own_json.Shape] = {
    **{"ncaudit?": str, "verb?": str, "format?": int, "options?": {}, "model?": _MODEL, "noise_rate?": _RATE},
    **{"source?": (str, _SOURCE), "data?": _SOURCE, "label_means?": (None, str)},
}
_SHAPE |= {"scored?": (None, _SHAPE), "shards?": [_SHAPE]}


def fingerprint(shard: Shard) -> str:
    """Size and a hash of the parquet footer (of the first and last MiB of anything else): no full read on resume.

    Of a shard of several files: their size together, and a hash of their fingerprints and of which features are meant.
    """
    files = shard.files
    if files == (shard.path,):
        return fingerprint_of_file(shard.path)
    each = [fingerprint_of_file(file) for file in files]
    size = sum(int(one.partition("-")[0]) for one in each)
    return f"{size}-{hashlib.sha256('/'.join([*each, shard.features or '']).encode()).hexdigest()[:32]}"


def fingerprint_of_file(path: str) -> str:
    """That of a file that stands alone. Raises BadTable when it cannot be read."""
    return fingerprints(path)


def fingerprint_in(file: BinaryIO) -> str:
    """`fingerprint_of_file`, by somebody who has the file open and needs more of it."""
    size = file.seek(0, os.SEEK_END)
    if _is_parquet(file, size):
        file.seek(size - 8)
        footer = min(int.from_bytes(file.read(4), "little"), size - 8)
        file.seek(size - 8 - footer)
        digest = hashlib.sha256(file.read(footer))
    else:
        file.seek(0)
        digest = hashlib.sha256(file.read(MIB))
        file.seek(max(0, size - MIB))
        digest.update(file.read(MIB))
    return f"{size}-{digest.hexdigest()[:32]}"


def _look(path: str) -> str:
    try:
        with locations.open_file(path, jumps=True) as file:
            return fingerprint_in(file)
    except OSError as error:
        raise cannot_be_read(path, error) from error


fingerprints = Remembered(_look, at_most=MANY)


def _is_parquet(file: BinaryIO, size: int) -> bool:
    if size < 12:
        return False
    file.seek(size - 4)
    return bool(file.read(4) == b"PAR1")


def describe(verb: str, shard: Shard, *, options: Mapping[str, Any], **more: Any) -> Provenance:
    """The provenance of one shard's output. Workers, timings and absolute paths stay out: they change no byte."""
    source = {"name": shard.name, "fingerprint": fingerprint(shard)}
    if shard.features:
        source["features"] = shard.features
    return {**written_by(verb), "verb": verb, "options": dict(options), "source": source, **more}


def attach(schema: pa.Schema, provenance: Provenance) -> pa.Schema:
    """The schema with its provenance, beside whatever metadata it had."""
    encoded = json.dumps(provenance, sort_keys=True, ensure_ascii=False).encode()
    return schema.with_metadata({**(schema.metadata or {}), METADATA_KEY: encoded})


def provenance_of(schema: pa.Schema) -> Provenance | None:
    """What `attach` wrote, or None for a table from another tool. Raises BadTable where it is damaged."""
    return said_in("the table", schema)


def said_in(path: str, schema: pa.Schema) -> Provenance | None:
    """The same, of the file that errors name."""
    encoded = (schema.metadata or {}).get(METADATA_KEY)
    try:
        return None if encoded is None else own_json.parsed(encoded, _SHAPE)
    except ValueError as error:
        raise BadTable(f"{path} is damaged: what ncaudit says in it of where it comes from", fix=MADE_ANEW) from error


def read_schema(path: str) -> pa.Schema:
    """The schema of a parquet file. Raises BadTable when it is none, truncated, or says nonsense of itself."""
    try:
        schema = pq.read_schema(locations.open_file(path, jumps=True) if locations.is_remote(path) else path)
    except DAMAGE as error:
        raise unreadable(path, error) from error
    said_in(path, schema)
    return schema


def unreadable(path: str, error: Exception) -> BadTable:
    """The error of a file that parquet cannot read. Raises `error` itself when memory ran out: the file is not bad."""
    if lacks_memory(error):
        raise error
    if isinstance(error, PermissionError):
        return cannot_be_read(path, error)
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return BadTable(
        f"{path} cannot be read as parquet: {reason}",
        fix=unknown_fix(error) or "the file is damaged or is none; fetch it again or leave it out",
    )


def unknown_fix(error: BaseException) -> str | None:
    """What to do with a file that has something which arrow does not know, such as integers of 128 bits; or None."""
    if not isinstance(error, pa.ArrowNotImplementedError):
        return None
    return "write it again without what is not known here, such as a column of that type as text; or fetch it again"


def provenance_at(path: str) -> Provenance | None:
    """What a table says of itself, or None for one from another tool; of outputs in a store as their manifest tells it.

    Raises BadTable where it cannot be read, or is damaged.
    """
    if (told := manifest.known(path)) is not None:
        return told["said"]  # type: ignore[no-any-return]
    encoded = _own_words(path)[0]
    return None if encoded is None else json.loads(encoded)


def _in_own_words(path: str, schema: pa.Schema) -> tuple[bytes | None, tuple[str, ...]]:
    """What a table says of itself, as it is written there and found to be sound; and which verbs it says wrote it."""
    said = said_in(path, schema)
    return (schema.metadata or {}).get(METADATA_KEY), () if said is None else _verbs_in(said)


_own_words = Remembered(lambda path: _in_own_words(path, read_schema(path)), at_most=MANY)


def learn_said(path: str, schema: pa.Schema, seen: str | None) -> None:
    """Remember what a table says of itself, by somebody who has it open. seen: its version from before that.

    Raises BadTable where that is damaged.
    """
    _own_words.learn(path, _in_own_words(path, schema), seen)


def wrote(path: str, verb: str) -> bool:
    """Whether a parquet file says that `verb` wrote it. Raises BadTable when it cannot be read."""
    told = manifest.known(path)
    return (_own_words(path)[1] if told is None else _verbs_in(told["said"] or {})) == (verb,)


def _verbs_in(said: Provenance) -> tuple[str, ...]:
    """The verbs that wrote a table, by what it says of itself."""
    shards = said.get("shards")  # of a table that holds the rows of several, each with its own
    verbs = {said.get("verb")} if "verb" in said else {one.get("verb") for one in shards or ()}
    return tuple(sorted(map(str, verbs)))


def made_from_same(found: Provenance | None, expected: Provenance) -> bool:
    """Whether an output that says `found` of itself is what `expected` would give again, whichever version made it."""
    return found is not None and told_alike(found, json.loads(json.dumps(expected)))


def _differences(found: Provenance, expected: Provenance) -> str:
    """In what they differ, in words: options, else the input, else what else they rest on."""
    mine, theirs = expected.get("options") or {}, found.get("options") or {}
    names = [name for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    if names:
        return ", ".join(f"--{name.replace('_', '-')}" for name in names)
    if precision := _only_precision(found.get("model"), expected.get("model")):
        return precision
    others = [key for key in sorted({*found, *expected} - {"ncaudit"}) if expected.get(key) != found.get(key)]
    return "input" if "source" in others else ", ".join(others)


def _only_precision(found: Any, expected: Any) -> str | None:
    """What tells the weights' precision, where the model is the same but for it."""
    if not isinstance(found, dict) or not isinstance(expected, dict) or found == expected:
        return None
    return "--precision" if {**found, "precision": expected.get("precision")} == expected else None


class EarlierOutputs:
    """What earlier runs have left: which of it still holds. That a format is another is told once, not per shard."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """tell: takes a note for people."""
        self._tell, self._told = tell, False
        self._damaged: set[str] = set()

    def hold(self, path: str, expected: Provenance) -> bool:
        """Whether `path` is a whole table made from exactly `expected`: then nothing needs to be done again."""
        if not locations.is_file(path):
            return False
        try:
            found = provenance_at(path)
        except BadTable as error:
            self.damaged(path, error)
            return False
        return self.hold_as_told(path, found, expected)

    def told_by(self, path: str, expected: Provenance, read: Callable[[str], Told]) -> Told | None:
        """What `read` finds in the output, where it holds; None where it is to be made (again)."""
        if not self.hold(path, expected):
            return None
        try:
            return read(path)
        except BadTable as error:
            self.damaged(path, error)
            return None

    def damaged(self, path: str, error: BadTable) -> None:
        """Say, once, that an output is made again because it cannot be read."""
        if path not in self._damaged:
            self._damaged.add(path)
            self._tell(f"{error.message}: it is made again")

    def hold_as_told(self, path: str, found: Provenance | None, expected: Provenance) -> bool:
        """The same of an output that is there, and says `found` of itself."""
        self._compare_formats(path, found or {}, str(expected.get("verb")))
        same = made_from_same(found, expected)
        if not same and found is not None:
            self._tell_other(path, found, json.loads(json.dumps(expected)))
        return same

    def _tell_other(self, path: str, found: Provenance, expected: Provenance) -> None:
        """That own work is done again, and for what reason: once, of the first that is."""
        if self._told or found.get("verb") != expected.get("verb"):
            return
        self._told = True
        other = _differences(found, expected)
        self._tell(f"{path} was made with other {other}: it is made again, and so is all that was made like it")

    def _compare_formats(self, path: str, found: Provenance, verb: str) -> None:
        if self._told or found.get("verb") != verb or same_results(found, verb):
            return
        self._told = True
        self._tell(
            f"{path} is in format {format_of(found)} of {verb}, of ncaudit {found.get('ncaudit')}; now it is format "
            f"{FORMATS[verb]}, with other results: all that is in another format is made again"
        )

"""What a folder of a store remembers of its outputs, so that resuming reads no footer: name, size, version, provenance.

Knows listings, JSON and gzip; nothing of what tables mean. It lies in `_manifest/`, which readers of tables pass over.
It is believed only of a file that the listing has in that very size and version; whatever it does not tell is read from
the file itself, so that it may be lost, damaged or deleted without harm. Every process writes parts of its own, after
each file anew, and never another's: two writers survive. A part is named for the run that started the process, which
puts the parts together when it ends.
"""

import gzip
import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from time import time
from typing import Any

from ncaudit import own_json
from ncaudit.shards.places import listings
from ncaudit.shards.places.listings import Entry, Listing
from ncaudit.shards.places.uploads import refused
from ncaudit.stores import again, is_remote, spelled, system

FOLDER = "_manifest"
RUN = "NCAUDIT_RUN"  # in the environment of processes that a run has started
PART_FILES = 64  # a part is written anew after each file: it must stay small
PIECE_FILES = 2_000  # of those that are put together
SETTLED_S = 3_600  # another process has not touched its part for so long: it has ended
FILE: own_json.Shape = {"name": str, "size": int, "version": str, "said": (None, {}), "fingerprint": str, "told": {}}
Facts = Mapping[str, Any]


class Manifest:
    """Of one folder, as its listing is now."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._parts = [path for path in listing.below(f"{listing.folder}/{FOLDER}")]
        self._files = {line["name"]: line for line in _entries(listing.folder, self._parts)}

    def of(self, path: str) -> Facts | None:
        """What it tells of a file that is as it was then; None where it tells nothing of it."""
        line, entry = self._files.get(self._name(path)), self._listing.entries.get(path)
        same = line and entry and (line["size"], line["version"]) == (entry.size, entry.version)
        return line if same else None

    def settle(self) -> None:
        """Put the parts together, where there are several: of processes that write on theirs stay."""
        loose = [path for path in self._parts if f"/{FOLDER}/all." not in path]
        if not loose:
            return
        told = [line for line in self._files.values() if self.of(f"{self._listing.folder}/{line['name']}")]
        for first in range(0, len(told), PIECE_FILES):
            _put(self._at(f"all.{secrets.token_hex(6)}"), told[first : first + PIECE_FILES])
        own = f"/{FOLDER}/part.{run()}."
        for path in self._parts:
            if own in path or path not in loose or self._is_settled(path):
                _take_away(path)

    def _is_settled(self, path: str) -> bool:
        when = self._listing.entries[path].when
        return when is not None and time() - when > SETTLED_S

    def _name(self, path: str) -> str:
        return path[len(self._listing.folder) + 1 :]

    def _at(self, name: str) -> str:
        return f"{self._listing.folder}/{FOLDER}/{name}.jsonl.gz"


_read: dict[str, tuple[Listing, Manifest]] = {}
_own: dict[str, tuple[str, list[Facts]]] = {}  # folder -> the part that this process writes on, and what is in it
_here = secrets.token_hex(6)


def run() -> str:
    """What this process calls the run that it belongs to: its own, where none has started it."""
    return os.environ.get(RUN) or f"{_here}{os.getpid():x}"  # a process that was forked is another one


def known(path: str) -> Facts | None:
    """What the manifest tells of a file in a folder that has been listed; None where it tells nothing, or none has."""
    listing, path = listings.of(path), spelled(path, path) if is_remote(path) else path
    return None if listing is None or not listing.is_file(path) else _of(listing).of(path)


def _of(listing: Listing) -> Manifest:
    found = _read.get(listing.folder)
    if found is None or found[0] is not listing:
        found = _read[listing.folder] = (listing, Manifest(listing))
    return found[1]


def tell(folder: str, path: str, entry: Entry, facts: Facts) -> None:
    """A file of this folder has been written: the part of this process says so before the next file is begun.

    facts: `said`, the file's provenance or None, its `fingerprint`, and whatever else is `told` of it.
    """
    folder, path = spelled(folder, folder), spelled(path, path)
    part, lines = _own.get(folder, ("", []))
    if not part or len(lines) >= PART_FILES:
        part, lines = f"{folder}/{FOLDER}/part.{run()}.{secrets.token_hex(6)}.jsonl.gz", []
        _own[folder] = part, lines
    name = path[len(folder) + 1 :]
    lines[:] = [line for line in lines if line["name"] != name]
    lines.append({"name": name, "size": entry.size, "version": entry.version, **facts})
    _put(part, lines)


def settle(folder: str, *, by_others: bool = False) -> None:
    """This run has written all its files to the folder: the parts are put together.

    by_others: also where this process has written none, as those may have that it started, and that have ended.
    """
    folder = spelled(folder, folder)
    if _own.pop(folder, None) is not None or by_others:
        Manifest(listings.look(folder)).settle()


def _put(path: str, lines: Iterable[Facts]) -> None:
    text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines)
    data, (files, inner) = gzip.compress(text.encode(), 3, mtime=0), system(path)
    try:
        again(path, lambda: files.pipe_file(inner, data))
    except Exception as error:  # every file system has errors of its own
        raise refused(path, error) from error


def _take_away(path: str) -> None:
    files, inner = system(path)
    with suppress(Exception):  # it does no harm
        files.rm_file(inner)


def _entries(folder: str, parts: Sequence[str]) -> list[Facts]:
    """What all parts say, those that are put together first; a part that is damaged or gone says nothing."""
    if not parts:
        return []
    files, _ = system(folder)
    ordered = sorted(parts)
    inner = {system(path)[1]: path for path in ordered}
    found = again(folder, lambda: files.cat(list(inner), on_error="omit"))
    texts = {spelled(folder, name): data for name, data in found.items()}
    return [line for path in ordered if path in texts for line in _parsed(texts[path])]


def _parsed(data: bytes) -> list[Facts]:
    try:
        lines = gzip.decompress(data).splitlines()
        told = [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError, RecursionError):
        return []
    return [line for line in told if own_json.fits(line, FILE)]

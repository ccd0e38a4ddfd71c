"""Whose files are they: a run claims what it will write before any work, and is refused what is not its own to replace.

Knows paths, records and what tables say of themselves; nothing of what is written.

A file is ours if its own metadata says that this verb wrote it, or, where it has none or cannot be read, if the record
of its place names it. Everything else is somebody's: it is replaced only with `overwrite`, and an input never.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ncaudit.errors import BadTable, Displaced, NcauditError
from ncaudit.interruption import recognised
from ncaudit.options import TABLE_SUFFIX
from ncaudit.shards.claims.commands import command_now
from ncaudit.shards.claims.records import (
    FOLDER_RECORD,
    Record,
    departed_in,
    named_in,
    read_record,
    record_beside,
    token_of,
    write_first,
    write_record,
)
from ncaudit.shards.claims.room import ask_for_room, require_room
from ncaudit.shards.files import locations
from ncaudit.shards.files.provenance import fingerprint_of_file, wrote
from ncaudit.shards.files.remembered import version_now
from ncaudit.shards.files.writer import is_watched, watched
from ncaudit.shards.places import listings, manifest, uploads
from ncaudit.shards.places.listings import Entry
from ncaudit.shards.places.partials import Partial, is_alive, partials_among, shortened, sweep
from ncaudit.version import written_by


def _nothing(path: str) -> bool:
    return False


@dataclass(frozen=True)
class Place:
    """Where a run writes: a folder, the files below it by their names with `/`, and where its record is.

    flag: what says so. record: its name; None where files that say themselves what they are need none.
    proven: whether a file that cannot say it itself is known to be this verb's by what lies beside it.
    """

    flag: str
    folder: str
    files: tuple[str, ...]
    record: str | None = FOLDER_RECORD
    proven: Callable[[str], bool] = _nothing
    alone: bool = False  # one file in a folder that is not ours
    kept: str | None = None  # what people may have put into it, so that it is never replaced unasked

    @classmethod
    def of_file(cls, flag: str, path: str, *, kept: str | None = None) -> "Place":
        """One file."""
        folder, name = locations.dirname(path), locations.basename(path)
        record = None if kept is not None or name.endswith(TABLE_SUFFIX) else record_beside(name)
        return cls(flag, folder or os.curdir, (name,), record, alone=True, kept=kept)

    def at(self, name: str) -> str:
        """The path of a file."""
        return name if self.alone and self.folder == os.curdir else locations.join(self.folder, *name.split("/"))

    @property
    def told(self) -> str:
        """What messages call it."""
        return self.at(self.files[0]) if self.alone else self.folder

    @property
    def record_path(self) -> str | None:
        """Where its record is."""
        return None if self.record is None else locations.join(self.folder, self.record)

    @property
    def is_remote(self) -> bool:
        """Whether a store has it."""
        return locations.is_remote(self.folder)


@dataclass
class Claim:
    """Places that a run may write to: see `asked`. Its files are written inside `held`."""

    verb: str
    places: Sequence[Place]
    there: Mapping[Place, frozenset[str]]  # of its files, when it was made
    partials: Sequence[Partial]
    expects: Mapping[str, int | None] = field(default_factory=dict)  # outputs of shards below --out -> rows, if known
    _token: str = ""
    _written: dict[str, str | None] = field(default_factory=dict)  # path of a record -> its version
    _departed: dict[str, frozenset[str]] = field(default_factory=dict)
    _seen: dict[str, str | None] = field(default_factory=dict)  # of records that this run has not written yet
    _taken: bool = False

    def take(self) -> "Claim":
        """Make the places ready: what dead processes have left of files is swept, and that there is room is tried.

        Raises NcauditError when a place cannot be written to. Until then nothing is touched.
        """
        if not self._taken:
            sweep(self.partials)
            for place in self._to_be_filled():
                if place.is_remote:
                    uploads.sweep(place.told, alone=place.alone)
                    uploads.require_writable(place.at(place.files[0]), place.told)
                else:
                    require_room(place.told, place.folder, _folders_of(place))
            self._taken = True
        return self

    @contextmanager
    def held(self, told: Mapping[str, Any] | None = None) -> Iterator[None]:
        """What is written inside is this run's: its record is there before the first file.

        told: as `settle` takes it, unless it is called inside. Ctrl-C inside knows whether anything is kept.
        """
        self.take()
        if told is not None:
            self.settle(told)
        try:
            with recognised(kept=self._anything_there):
                with watched(self):
                    yield
                self._finish()
        finally:
            for place in self._remote_folders():
                listings.forget(place.folder)

    def settle(self, told: Mapping[str, Any]) -> None:
        """Say what decides on the bytes that are written: of two runs in which it differs one is ended.

        Raises NcauditError when another such run is known to be at work.
        """
        self._token = token_of(self.verb, told)
        self._refuse_live_run()

    def begin_first(self, place: Place, facts: Mapping[str, Any]) -> Record:
        """Write the record of a place unless another run with the same settings was quicker: whose it is then.

        So runs that begin at one moment go by what the first of them has settled.
        """
        path = str(place.record_path)
        there = read_record(path)
        if there is None:
            there = write_first(path, self._record_of(place, facts))
        if there.get("token") == self._token:
            self._written[path] = version_now(path)
            return there
        self.begin(place, facts)
        return self._record_of(place, facts)

    def begin(self, place: Place, facts: Mapping[str, Any] | None = None) -> None:
        """Write the record of a place now. facts: what it tells besides."""
        if (path := place.record_path) is not None:
            if path not in self._written and version_now(path, fresh=True) != self._seen.get(path):
                _refuse_displaced(path, self._token)  # another run has come and gone while this one was at work
            write_if_other(path, self._record_of(place, facts or {}))
            self._written[path] = version_now(path, fresh=True)

    def begin_all(self) -> None:
        """Write the records of all folders now: other processes go by them, and this one may write nothing itself."""
        for place in self.places:
            if not place.alone and place.record_path not in self._written:
                self.begin(place)

    def begins(self, path: str) -> None:
        """Asked when a file is about to be written: the record of its place must be there first."""
        for place in self._places_of(path):
            if place.record_path not in self._written:
                self.begin(place)

    def _places_of(self, path: str) -> Iterator[Place]:
        at = locations.absolute(path)
        for place in self.places:
            own = locations.absolute(place.told)
            if at == own if place.alone else at.startswith(locations.join(own, "")):
                yield place

    def appears(self) -> None:
        """Asked when a file is about to get its name. Raises Displaced when another run has taken a place since."""
        for path, version in self._written.items():
            if (now := version_now(path, fresh=True)) == version:
                continue
            _refuse_displaced(path, self._token)
            self._written[path] = now

    def sent(self, path: str, entry: Entry, facts: Mapping[str, Any]) -> None:
        """Told when a file has got to a store: the folder's manifest says so before the next is begun."""
        for place in self._places_of(path):
            if not place.alone:
                manifest.tell(place.folder, path, entry, facts)
                return

    @property
    def token(self) -> str:
        """Of this run, once it is held."""
        return self._token

    def departs(self, place: Place, names: Iterable[str]) -> None:
        """These files of the place are ours, and have no input any more: its record says so from now on."""
        path = place.record_path
        gone = frozenset(names)
        if path is None or (not gone and not departed_in(read_record(path))):
            return
        self._departed[path] = gone
        if (found := read_record(path)) is not None:
            write_if_other(path, _with_departed(found, gone))
            self._seen[path] = version_now(path, fresh=True)

    def _record_of(self, place: Place, facts: Mapping[str, Any]) -> Record:
        earlier = read_record(place.record_path or "") or {}
        same = earlier.get("verb") == self.verb
        known = named_in(earlier) if same else frozenset()
        gone = self._departed.get(place.record_path or "", departed_in(earlier) if same else frozenset())
        others = {name for name in known - set(place.files) - gone if locations.lexists(place.at(name))}
        record: Record = {**written_by(self.verb), "verb": self.verb, **facts, "token": self._token}
        record |= {"files": sorted({*place.files, *others} - gone), **self._told_command(earlier)}
        record |= self._expected(place, earlier if same else {}, set(record["files"]))
        return _with_departed(record, gone)

    def _expected(self, place: Place, earlier: Record, files: set[str]) -> dict[str, Any]:
        """What `ncaudit status` counts by: the outputs of these shards, and of earlier ones that are still there."""
        if place.flag != "--out" or place.alone or not self.expects:
            return {}
        known = {name: rows for name, rows in earlier.get("shards", {}).items() if name in files}
        return {"shards": {**known, **self.expects}}

    def _told_command(self, earlier: Record) -> dict[str, str]:
        """Who has begun what lies there: a rerun, as of a run that was killed, leaves that as it was."""
        same = earlier.get("verb") == self.verb and earlier.get("token") == self._token
        command = earlier.get("command") if same else command_now()
        return {"command": command} if command else {}

    def _finish(self) -> None:
        """Say of single files what they hold, so that what people change in them is theirs."""
        for place in self._remote_folders():
            manifest.settle(place.folder, by_others=place.record_path in self._written)
        for place in self.places:
            path = place.record_path
            if place.alone and path in self._written and locations.is_file(place.told):
                facts = {"holds": fingerprint_of_file(place.told)}
                write_if_other(path, {**self._record_of(place, {}), **facts})

    def _to_be_filled(self) -> Iterator[Place]:
        """Not those where all is there: there may be nothing left to do, in a folder that nobody may write to."""
        return (place for place in self.places if len(self.there[place]) < len(place.files))

    def _anything_there(self) -> bool:
        for place in self._remote_folders():
            listings.look(place.folder)  # what worker processes have written, too
        return any(locations.lexists(place.at(name)) for place in self.places for name in place.files)

    def _remote_folders(self) -> Iterator[Place]:
        return (place for place in self.places if place.is_remote and not place.alone)

    def _refuse_live_run(self) -> None:
        live = [partial for partial in self.partials if is_alive(partial) and partial.pid != os.getpid()]
        for place in self.places if live else ():
            found = None if place.alone else read_record(place.record_path or "")
            if found is not None and "token" in found and found["token"] != self._token:
                raise NcauditError(
                    f"another run of ncaudit {found['verb']} is writing to {place.folder} (process {live[0].pid})",
                    fix=f"wait until it has ended, or give another folder with {place.flag}",
                )


class Follower:
    """In a worker process: goes by the record that its parent has written."""

    def __init__(self, record: str) -> None:
        self._record, self._token = record, ""
        self._version: str | None = None

    def begins(self, path: str) -> None:
        """As `Claim` has it: the record is there already."""
        if self._version is None:
            self._version, self._token = version_now(self._record, fresh=True), _token_in(self._record)

    def appears(self) -> None:
        """As `Claim` has it."""
        if (now := version_now(self._record, fresh=True)) != self._version:
            _refuse_displaced(self._record, self._token)
            self._version = now

    def sent(self, path: str, entry: Entry, facts: Mapping[str, Any]) -> None:
        """As `Claim` has it."""
        manifest.tell(locations.dirname(self._record), path, entry, facts)


@contextmanager
def followed(record: str) -> Iterator[None]:
    """What is written inside goes by that record, where no claim of this process is held: that knows more."""
    if is_watched():
        yield
        return
    if not locations.is_remote(record):
        folder = os.path.dirname(record) or os.curdir
        sweep(partials_among(folder, _listed(folder)))  # of processes of this machine that have died
    with watched(Follower(record)):
        yield


def _token_in(path: str) -> str:
    return str((read_record(path) or {}).get("token"))


def _refuse_displaced(path: str, token: str) -> None:
    found = read_record(path)
    if found is not None and found.get("token") != token:
        raise Displaced(
            f"another run of ncaudit {found['verb']} has begun to write to {locations.dirname(path) or os.curdir}",
            fix="give each run a folder of its own with --out, or run them one after the other",
        )


def claim(verb: str, places: Sequence[Place], inputs: Iterable[str] = (), *, overwrite: bool = False) -> Claim:
    """The right to write these places, or the reason why not; nothing of theirs is touched before.

    Raises NcauditError as `asked` and `Claim.take` do.
    """
    return asked(verb, places, inputs, overwrite=overwrite).take()


def asked(verb: str, places: Sequence[Place], inputs: Iterable[str] = (), *, overwrite: bool = False) -> Claim:
    """The same, told by looks alone: nothing is written, made or removed until it is taken or held.

    Raises NcauditError when an input would be written over, a file that this verb did not write would be replaced
    (unless `overwrite`), or a place plainly cannot be written to.
    """
    for place in places:
        if place.is_remote and not place.alone:
            listings.look(place.folder)
    seen = {path: version_now(path, fresh=True) for place in places if (path := place.record_path) is not None}
    looked = {place: _look(place) for place in places}
    there = {place: names for place, (names, _) in looked.items()}
    _refuse_inputs(inputs, there)
    _refuse_what_is_no_file(there)
    if not overwrite:
        for place, names in there.items():
            _refuse_foreign(verb, place, names)
    found = Claim(verb, places, there, [partial for _, each in looked.values() for partial in each], _seen=seen)
    for place in (each for each in found._to_be_filled() if not each.is_remote):
        ask_for_room(place.told, place.folder, _folders_of(place))
    return found


def _folders_of(place: Place) -> set[str]:
    return {locations.dirname(place.at(name)) for name in place.files}


def ours_in(verb: str, place: Place) -> Callable[[str], bool]:
    """Tells by its name whether `verb` wrote a file of the place that is there; the record is read once for all."""
    return _Ownership(verb, place).of


def is_ours(verb: str, place: Place, name: str) -> bool:
    """The same of one file."""
    return ours_in(verb, place)(name)


def says_of_itself(path: str, verb: str) -> bool:
    """Whether there is a table that can be read, and says that `verb` wrote it."""
    try:
        return locations.is_file(path) and wrote(path, verb)
    except BadTable:
        return False


class _Ownership:
    """Whose the files of a place are, its record read once."""

    def __init__(self, verb: str, place: Place) -> None:
        self._verb, self._place = verb, place
        record = read_record(place.record_path) if place.record_path else None
        self.other_verb = record["verb"] if record is not None and record["verb"] != verb else None
        self._record: Record = {} if record is None or self.other_verb else record
        self._named = named_in(self._record)

    def names(self, name: str) -> bool:
        """Whether the record does."""
        return name in self._named

    def of(self, name: str) -> bool:
        """Whether the file is this verb's."""
        path = self._place.at(name)
        if not locations.exists(path):
            return False  # a link that leads nowhere: somebody has made it
        if path.endswith(TABLE_SUFFIX):
            try:
                return wrote(path, self._verb)
            except BadTable:  # it cannot say so any more
                return name in self._named
        if name in self._named:
            return self._record.get("holds") in (None, fingerprint_of_file(path))
        return self._place.proven(path)


def _changed_since(whose: _Ownership, name: str) -> str:
    return " as it is now" if whose.names(name) else ""


def write_if_other(path: str, record: Record) -> None:
    """Write a record unless it is there already, word for word."""
    if read_record(path) != record:
        write_record(path, record)


def _with_departed(record: Record, gone: frozenset[str]) -> Record:
    kept = {name: value for name, value in record.items() if name != "departed"}
    if "files" in kept:
        kept["files"] = [name for name in kept["files"] if name not in gone]
    return {**kept, "departed": sorted(gone)} if gone else kept


def _look(place: Place) -> tuple[frozenset[str], list[Partial]]:
    """Which of a place's files are there, and what is there of files that are not whole."""
    if place.is_remote:
        return frozenset(name for name in place.files if locations.is_file(place.at(name))), []
    there: set[str] = set()
    found: list[Partial] = []
    wanted: dict[str, list[str]] = {}
    for name in place.files:
        wanted.setdefault(name.rpartition("/")[0], []).append(name)
    for below, names in wanted.items():
        folder = os.path.join(place.folder, *below.split("/")) if below else place.folder
        listed = _listed(folder)
        there |= {name for name in names if os.path.lexists(place.at(name))} if listed else set()
        begun = {f".{shortened(name.rpartition('/')[2])}." for name in names}
        found += [p for p in partials_among(folder, listed) if not place.alone or _begins(p, begun)]
    return frozenset(there), found


def _begins(partial: Partial, starts: set[str]) -> bool:
    name = os.path.basename(partial.path)
    return any(name.startswith(start) for start in starts)


def _listed(folder: str) -> list[str]:
    with suppress(OSError):
        return os.listdir(folder)
    return []


def _refuse_inputs(inputs: Iterable[str], there: Mapping[Place, frozenset[str]]) -> None:
    """By what the system calls the file itself: links, other spellings, a disk that ignores case are seen through."""
    outputs = {key: place for place, names in there.items() for name in names for key in _keys(place.at(name))}
    if not outputs:
        return
    for path in inputs:
        for key in _keys(path.removeprefix(locations.LOCAL)):
            if key in outputs:
                raise NcauditError(
                    f"{path} is an input and would be written over", fix=f"give another {outputs[key].flag}"
                )


def _keys(path: str) -> list[tuple[Any, ...]]:
    if locations.is_remote(path):
        return [(locations.absolute(path).replace("s3a://", "s3://"),)]
    try:
        told = os.stat(path)
    except OSError:
        return []
    return [(told.st_dev, told.st_ino)] if told.st_ino else [(os.path.realpath(path),)]


def _refuse_what_is_no_file(there: Mapping[Place, frozenset[str]]) -> None:
    for place, names in there.items():
        for name in sorted(names):
            path = place.at(name)
            with suppress(OSError):
                if not place.is_remote and not stat.S_ISREG(os.stat(path).st_mode):
                    what = "is a folder" if os.path.isdir(path) else "is no ordinary file"
                    raise NcauditError(f"{path} {what}", fix=f"give another {place.flag}")


def _refuse_foreign(verb: str, place: Place, names: frozenset[str]) -> None:
    whose = _Ownership(verb, place)
    if names and place.kept is not None:
        told = f" and may hold {place.kept}" if place.kept else ""
        fix = f"name another file with {place.flag}, or --overwrite to replace it"
        raise NcauditError(f"{place.told} is there already{told}", fix=fix)
    foreign = [name for name in sorted(names) if not whose.of(name)]
    fix = f"give another {place.flag}, or --overwrite to replace {'it' if len(foreign) == 1 else 'them'}"
    if foreign:
        more = f" ({len(foreign):,} such files)" if len(foreign) > 1 else ""
        what = f"{place.at(foreign[0])} is there already, and `{verb}` did not write it"
        raise NcauditError(f"{what}{_changed_since(whose, foreign[0])}{more}", fix=fix)
    path = place.record_path
    if whose.other_verb:
        raise NcauditError(f"{place.told} is where `{whose.other_verb}` writes: {path} says so", fix=fix)
    if path is not None and locations.lexists(path) and read_record(path) is None and not names:
        raise NcauditError(f"{path} is there already, and is no record of ncaudit", fix=fix)

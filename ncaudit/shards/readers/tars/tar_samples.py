"""The samples of a webdataset tar: adjacent files that share a key, which is all before the first dot of the base name.

Knows tar archives, plain or in gzip; nothing of what the files hold. Nothing is ever extracted: names are only read.
"""

import gzip
import io
import posixpath
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES
from ncaudit.shards.files.locations import MIB, open_file

BLOCK = tarfile.BLOCKSIZE
GZIP = b"\x1f\x8b"
EXTENDING = (b"x", b"X", b"g", b"L", b"K")  # headers that say more of the file that follows
BLANKS = b" " * 8
REGULAR = (b"0", b"\0")
RENAMING = re.compile(rb"path=|size=|GNU\.sparse|hdrcharset=")  # what in a pax header could change a file for us
AGAIN = "fetch or write it again, or leave it out"
HEAD = 32  # bytes by which formats are told apart
Wanted = Callable[[str], bool]  # by suffix
_Header = tuple[str, int, bool, str | None]  # name, size, whether it is a regular file, and what a link leads to


@dataclass(frozen=True, slots=True)
class Member:
    """One file: its own blocks are [start, end) of the (unpacked) archive, headers and padding included."""

    name: str  # surrogates stand for bytes that are not UTF-8
    size: int
    start: int
    data: int  # where its bytes begin
    end: int
    link: str | None = None  # the file before it in the tar that it is a link to; its size and bytes are that one's
    lost: str | None = None  # why it has no bytes: a link to what is not there


@dataclass(frozen=True, slots=True)
class Sample:
    """Files that belong together. `row` counts samples from 0; the suffixes, in lower case, are in the tar's order."""

    row: int
    key: str
    members: dict[str, Member]
    contents: dict[str, bytes]  # of the suffixes that were asked for and are not too large, or how they begin
    lost: dict[str, str] = field(default_factory=dict)  # suffixes of links that lead nowhere, and the words on them


def read_samples(
    path: str,
    wanted: Wanted = lambda suffix: False,
    looked_at: Wanted = lambda suffix: False,
    max_row_bytes: int = MAX_ROW_BYTES,
) -> Iterator[Sample]:
    """The samples of a tar in order, with the contents of the suffixes that are `wanted`; the others are passed over,
    as is a file that is larger than `max_row_bytes`.

    looked_at: suffixes of which the first bytes do.

    Grouped as webdataset does: files with the same key and folder are one sample while they follow each other, so a key
    that comes back later is another sample. Folders, and files without a dot or with nothing before it, are none. A
    link, hard or symbolic, is the file that it leads to, where that stands before it in the tar; one that leads to
    anything else is told in `lost`.
    Raises BadTable when the file is no tar, is damaged or cut short (naming the last sample that is surely whole), or
    a sample has two files of one suffix.
    """
    whole: Sample | None = None
    try:
        with open_tar(path) as file, _Again(path) as again:
            for sample in _grouped(_Archive(file, again), wanted, looked_at, max_row_bytes):
                yield sample
                whole = sample
    except _Damaged as error:
        raise BadTable(f"{path} {error}{_after(whole)}", fix=error.fix) from error
    except (OSError, EOFError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise BadTable(f"{path} cannot be read as tar: {reason}{_after(whole)}", fix=AGAIN) from error


def split_name(name: str) -> tuple[str, str] | None:
    """Key and suffix (in lower case) of a file's name in a tar; None for a file that is of no sample.

    >>> split_name("train/000.seg.PNG"), split_name("._000.jpg"), split_name("a.b/README")
    (('train/000', 'seg.png'), None, None)
    """
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return (folder + slash + stem, suffix.lower()) if stem and dot else None


def printable(name: str) -> str:
    """A name as text that every table can hold: what is not UTF-8 becomes replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@contextmanager
def open_tar(path: str) -> Iterator[BinaryIO]:
    """The archive as it is unpacked, for reading forwards. Raises OSError when it cannot be opened."""
    with open_file(path) as file:
        start = file.read(len(GZIP))
        file.seek(0)
        if start == GZIP:
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                yield unpacked  # type: ignore[misc]
        else:
            yield file


def is_gzip(path: str) -> bool:
    """Whether a file is packed by gzip. Raises OSError when it cannot be opened."""
    with open_file(path) as file:
        return file.read(len(GZIP)) == GZIP


class _Damaged(Exception):
    """What is wrong with an archive, in words that follow its name."""

    def __init__(self, what: str, fix: str = AGAIN) -> None:
        super().__init__(what)
        self.fix = fix


class _Again:
    """The same archive, opened a second time where a link leads back: the first reading goes on from where it is."""

    def __init__(self, path: str) -> None:
        self._path, self._stack = path, ExitStack()
        self._file: BinaryIO | None = None

    def __enter__(self) -> "_Again":
        return self

    def __exit__(self, *told: object) -> None:
        self._stack.close()

    def bytes(self, at: int, size: int) -> bytes:
        """So many from there on, fewer where the file ends."""
        self._file = self._file or self._stack.enter_context(open_tar(self._path))
        self._file.seek(at)
        return self._file.read(size)


class _Archive:
    """A tar read forwards.

    The headers that img2dataset and `tar` write for a file with a short name are read here, 20 times as fast as
    `tarfile` does it; all others (long names, old dialects) are left to `tarfile`, and what it refuses is refused.
    """

    def __init__(self, file: BinaryIO, again: _Again) -> None:
        self._file, self._at, self._seeks = file, 0, not isinstance(file, gzip.GzipFile)
        self._again, self._known = again, dict[str, Member]()
        self._last, self._inside = "", False  # the last file, and whether the reading is inside: for error messages

    def members(self) -> Iterator[Member]:
        """The regular files and links, in order. The contents of each may be asked for before the next."""
        while True:
            self._inside = False
            start, chain, block = self._at, b"", self._block()
            if block is None:
                return
            while block[156:157] in EXTENDING and _sound(block):
                chain, block = chain + block + self._exactly(_padded(self._extension(block))), self._exactly(BLOCK)
            name, size, regular, link = _plain(chain, block) or self._unusual(chain, block)
            self._last, self._inside, data = name, True, self._at
            end = data + _padded(size)
            if regular or link is not None:
                member = Member(name, size, start, data, end) if link is None else self._linked(name, link, start, end)
                self._known[_plain_path(name)] = member
                yield member
            self._pass(end)

    def contents(self, member: Member) -> bytes:
        """The bytes of the file that was given last."""
        return self._bytes(member, member.size)

    def head(self, member: Member) -> bytes:
        """The first bytes of the file that was given last."""
        return self._bytes(member, min(HEAD, member.size))

    def _bytes(self, member: Member, size: int) -> bytes:
        if member.link is None:
            return self._exactly(size)
        found = self._again.bytes(member.data, size)
        if len(found) < size:
            raise self._cut()
        return found

    def _linked(self, name: str, link: str, start: int, end: int) -> Member:
        target = self._known.get(_plain_path(link))
        if target is None or target.lost is not None:
            lost = f"a link to {printable(link)!r}, which is not before it in the tar"
            return Member(name, 0, start, end, end, lost=lost)
        return Member(name, target.size, start, target.data, end, link=target.name)

    def _block(self) -> bytes | None:
        """The next header's first block; None at the end mark."""
        block = self._read(BLOCK)
        if len(block) == BLOCK:
            return block if block[0] or block.strip(b"\0") else None
        if not self._at:
            raise _Damaged("is empty: 0 bytes")
        if block:
            raise self._cut()
        raise _Damaged(
            f"ends after {printable(self._last)!r} without the end mark of a tar, so more may be missing",
            fix="fetch or write it again; or, if all of it is there, add the mark: truncate -s +1024 FILE.tar",
        )

    def _extension(self, block: bytes) -> int:
        """How many bytes a header has that says more of the file that follows."""
        size = _octal(block[124:136])
        if not 0 <= size <= MIB:
            raise _Damaged(f"has no readable header {self._behind()}: a name cannot take {size:,} bytes")
        return size

    def _unusual(self, chain: bytes, block: bytes) -> _Header:
        """The header as `tarfile` reads it."""
        try:
            with tarfile.open(
                fileobj=io.BytesIO(chain + block), mode="r:", encoding="utf-8", errors="surrogateescape"
            ) as tar:
                found = tar.next()
        except (tarfile.TarError, ValueError) as error:
            raise _Damaged(f"has no readable header {self._behind()}: {error}") from error
        if found is None or found.issparse():
            raise _Damaged("holds a sparse file", fix="write it again without --sparse")
        size = found.size if found.isreg() or found.type not in tarfile.SUPPORTED_TYPES else 0
        return found.name, size, found.isreg(), _leads_to(found)

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise self._cut()
        return data

    def _cut(self) -> _Damaged:
        where = f"in the middle of {printable(self._last)!r}" if self._inside else f"in the header {self._behind()}"
        return _Damaged(f"is cut short {where}")

    def _behind(self) -> str:
        return f"after {printable(self._last)!r}" if self._last else "at its start"

    def _read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._at += len(data)
        return data

    def _pass(self, end: int) -> None:
        """Go on to `end`, having seen that the file reaches that far."""
        if self._at < end:
            if self._seeks:
                self._file.seek(end - 1)
                self._at = end - 1
            while self._at < end:
                self._exactly(min(MIB, end - self._at))


def _grouped(archive: _Archive, wanted: Wanted, looked_at: Wanted, max_row_bytes: int) -> Iterator[Sample]:
    sample: Sample | None = None
    for member in archive.members():
        name = split_name(member.name)
        if name is None:
            continue
        key, suffix = name
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = Sample(0 if sample is None else sample.row + 1, key, {}, {})
        if suffix in sample.members or suffix in sample.lost:
            raise _Damaged(
                f"has two files .{suffix} in the sample {printable(key)!r} (row {sample.row})",
                fix="give every sample a key of its own, and every file of a sample its own suffix",
            )
        if member.lost is not None:
            sample.lost[suffix] = member.lost
            continue
        sample.members[suffix] = member
        if wanted(suffix) and member.size <= max_row_bytes:
            sample.contents[suffix] = archive.contents(member)
        elif looked_at(suffix):
            sample.contents[suffix] = archive.head(member)
    if sample is not None:
        yield sample


def _after(whole: Sample | None) -> str:
    return "" if whole is None else f"; its last whole sample is {printable(whole.key)!r} (row {whole.row})"


def _leads_to(found: tarfile.TarInfo) -> str | None:
    """The path in the tar that a link means: a hard link's is whole, a symbolic one starts from its own folder."""
    if found.issym():
        return posixpath.join(posixpath.dirname(found.name), found.linkname)
    return found.linkname if found.islnk() else None


def _plain_path(name: str) -> str:
    """The one spelling of a path that has several, such as ./a.jpg."""
    return posixpath.normpath(name) if "./" in name or "//" in name else name


def _plain(chain: bytes, block: bytes) -> _Header | None:
    """The header of a regular file whose name stands in it; None when that may not be all."""
    if block[156:157] not in REGULAR or block[345] or block[124] & 0x80 or not _sound(block):
        return None
    if chain and not _says_nothing_of_names(chain):
        return None
    name = block[:100].split(b"\0", 1)[0]
    size = _octal(block[124:136])
    return None if name.endswith(b"/") or size < 0 else (name.decode("utf-8", "surrogateescape"), size, True, None)


def _says_nothing_of_names(chain: bytes) -> bool:
    """Whether a file is preceded by one pax header with nothing but times and owners, as webdataset's writer adds."""
    size = _octal(chain[124:136])
    alone = len(chain) == BLOCK + _padded(size)
    return alone and chain[156:157] == b"x" and RENAMING.search(chain, BLOCK, BLOCK + size) is None


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _sound(block: bytes) -> bool:
    """Whether a header's checksum holds: the sum of its bytes, with blanks in the checksum's own place."""
    # the lower half of Adler-32 is 1 + the sum of the bytes, modulo 65521: ten times as fast as `sum`
    summed = zlib.adler32(block[156:], zlib.adler32(BLANKS, zlib.adler32(block[:148]))) & 0xFFFF
    return summed == (_octal(block[148:156]) + 1) % 65_521


def _octal(field: bytes) -> int:
    """-1 where it is no octal number."""
    try:
        return int(field.split(b"\0", 1)[0].strip() or b"0", 8)
    except ValueError:
        return -1

"""The pictures of some pairs as files, named by pair in a way that every file system takes; their bytes as they were.

Knows pairs, encoded images and claims; nothing of why these pairs are shown.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ncaudit.shards.claims.claims import Place, claim
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.writer import atomic_file

HELD_BYTES = 64 * MIB  # of all pictures; beyond that they wait in a file
LONGEST = 100  # characters of a pair's name in a file's
HASH_LETTERS = 8
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
PLAIN = re.compile(r"[a-z0-9_-][a-z0-9._-]*[a-z0-9_-]|[a-z0-9_-]")  # alike where case does not count, too
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|\Z)")  # which are no files on Windows
SUFFIXES = (
    (re.compile(rb"\xff\xd8\xff"), ".jpg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), ".png"),
    (re.compile(rb"GIF8[79]a"), ".gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ".webp"),
    (re.compile(rb"BM"), ".bmp"),
    (re.compile(rb"II\*\0|MM\0\*"), ".tif"),
    (re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL), ".avif"),
    (re.compile(rb"....ftyp(?:heic|heix|mif1|msf1)", re.DOTALL), ".heic"),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), ".jp2"),
)


def file_name(pair_id: str, image: bytes) -> str:
    r"""What the picture of a pair is called: by the pair's name where that is plain, else with a hash of it.

    >>> file_name("000123", b"\xff\xd8\xff"), file_name("../A/12", b"GIF89a")
    ('000123.jpg', 'A_12~ede3550e.gif')
    """
    name = UNSAFE.sub("_", pair_id)[:LONGEST].strip("._")
    if name != pair_id or not PLAIN.fullmatch(name) or DEVICES.match(name):
        told = sha256(pair_id.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LETTERS]
        name = f"{name}~{told}"
    return name + next((suffix for begins, suffix in SUFFIXES if begins.match(image)), ".bin")


@dataclass
class Pictures:
    """Pictures that wait to be written, until it is known what all of them are called."""

    _held: Any
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)  # by file name: where it begins, and its size

    def hold(self, pair_id: str, image: bytes) -> str:
        """Takes a picture, and tells the name of its file."""
        name = file_name(pair_id, image)
        if name not in self._places:
            self._places[name] = (self._held.seek(0, os.SEEK_END), len(image))
            self._held.write(image)
        return name

    def write(self, folder: str, inputs: Iterable[str], told: Mapping[str, Any], *, overwrite: bool) -> None:
        """All of them into the folder. Raises NcauditError, before the first one, as `claim` does."""
        if not self._places:
            return
        place = Place("--images", folder, tuple(self._places))
        with claim("show", [place], inputs, overwrite=overwrite).held(told):
            for name, (begin, size) in self._places.items():
                self._held.seek(begin)
                with atomic_file(place.at(name)) as file:
                    file.write(self._held.read(size))


@contextmanager
def pictures() -> Iterator[Pictures]:
    """Room for pictures; small ones stay in memory."""
    with tempfile.SpooledTemporaryFile(max_size=HELD_BYTES) as held:
        yield Pictures(held)

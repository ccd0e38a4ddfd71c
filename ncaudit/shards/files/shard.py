"""A shard: what it is called and which files make it, settled when it is found and handed on from step to step.

Knows the names of files; nothing of what they hold.

Most shards are one file. Embeddings of other tools lie in several beside each other, which `parts` tells.
"""

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256

from ncaudit.options import MAX_ROW_BYTES, TABLE_SUFFIX
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import suffix_of

ARRAY = ".npy"
LONGEST_NAME = 255  # bytes that file systems take for one name
HASH_LETTERS = 16


@dataclass(frozen=True)
class ArrayPair:
    """Two files of embeddings, row by row."""

    image: str
    text: str

    @property
    def files(self) -> tuple[str, ...]:
        """Images first."""
        return self.image, self.text


@dataclass(frozen=True)
class ClipRetrievalFiles:
    """One partition of a clip-retrieval folder: where its files are, or would be."""

    folder: str
    number: str  # its digits, as the files are called

    @property
    def image(self) -> str:
        """Of the images' embeddings."""
        return locations.join(self.folder, "img_emb", f"img_emb_{self.number}{ARRAY}")

    @property
    def text(self) -> str:
        """Of the captions' embeddings."""
        return locations.join(self.folder, "text_emb", f"text_emb_{self.number}{ARRAY}")

    @property
    def metadata(self) -> str:
        """Of the captions and whatever else is known of the pairs."""
        return locations.join(self.folder, "metadata", f"metadata_{self.number}{TABLE_SUFFIX}")

    @property
    def files(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(file for file in (self.metadata, self.image, self.text) if locations.is_file(file))


@dataclass(frozen=True)
class FeaturedTable:
    """DataComp's metadata and the .npz beside it. features: which of its arrays are read; None: nothing settles it."""

    table: str
    arrays: str
    features: str | None

    @property
    def files(self) -> tuple[str, ...]:
        """The table first."""
        return self.table, self.arrays


Parts = ArrayPair | ClipRetrievalFiles | FeaturedTable


@dataclass(frozen=True)
class Shard:
    """One input. path: where it is, or what messages call it where it has several files.

    name: relative to the input root, with `/` on every system. parts: its files, where it has several.
    max_row_bytes: what one line, cell or member of it may take once unpacked.
    """

    path: str
    name: str
    parts: Parts | None = None
    max_row_bytes: int = field(default=MAX_ROW_BYTES, compare=False)

    @classmethod
    def of_file(cls, path: str) -> "Shard":
        """A file that stands alone, such as one of our own outputs."""
        return cls(path, spelled(locations.relative(path, locations.dirname(path))))

    @property
    def files(self) -> tuple[str, ...]:
        """All files that make it, those that are there."""
        return (self.path,) if self.parts is None else self.parts.files

    @property
    def features(self) -> str | None:
        """Which of the features beside a table are read; None for a shard of another kind, or where nothing says."""
        return self.parts.features if isinstance(self.parts, FeaturedTable) else None

    @cached_property
    def stem(self) -> str:
        """The name without its suffix: what outputs and made pair ids are named by. Asked for once per row.

        >>> Shard("/data/A/00000.parquet", "A/00000.parquet").stem, Shard("/data/1.tar.gz", "1.tar.gz").stem
        ('A/00000', '1')
        """
        return self.name.removesuffix(suffix_of(self.name))

    def output(self, out: str) -> str:
        """Where this shard's output goes below the folder `out`: the input's relative path.

        A name that file systems would find too long ends in a hash of itself instead.
        """
        return locations.join(out, *map(fitting, f"{self.stem}{TABLE_SUFFIX}".split("/")))


def spelled(name: str) -> str:
    r"""A file's name as text that every table can hold: bytes that are not UTF-8 are spelled out.

    >>> import os
    >>> print(spelled(os.fsdecode(b"caf\xe9.parquet")))
    caf\xe9.parquet
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def fitting(name: str) -> str:
    """The name of an output as file systems take it: one that is too long is cut, and told apart by a hash.

    >>> fitting("00000.parquet"), len(fitting("a" * 255 + ".parquet"))
    ('00000.parquet', 255)
    """
    encoded = name.encode()
    if len(encoded) <= LONGEST_NAME:
        return name
    suffix = suffix_of(name)
    end = f"~{sha256(encoded).hexdigest()[:HASH_LETTERS]}{suffix}"
    return encoded[: LONGEST_NAME - len(end.encode())].decode("utf-8", "ignore") + end

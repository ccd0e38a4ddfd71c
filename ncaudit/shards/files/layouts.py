"""Which files make one shard: most are one file; embeddings of other tools lie in several beside each other.

Knows the names of files, and of the arrays in an .npz; nothing of tables or of what arrays hold.

A shard is told by one path, and these have several files:
- `A.npy + B.npy`: two arrays of embeddings, images first;
- `F/metadata/metadata_P.parquet`: partition P of a clip-retrieval folder F, with `img_emb/img_emb_P.npy` and
  `text_emb/text_emb_P.npy`; `F/img_emb/img_emb_P.npy` where there is no metadata;
- `NAME.parquet` beside a `NAME.npz` that holds pairs of arrays called X_img and X_txt: DataComp's metadata;
  `NAME.parquet [X]` is the same shard with the features X.
"""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ncaudit.errors import BadTable
from ncaudit.shards.files import locations

PAIRED = " + "  # between the two .npy files of one shard, images first
TABLE = ".parquet"
ARRAY = ".npy"
PARTITION = re.compile(
    r"^(?P<folder>.*/|)(?P<kind>metadata|img_emb|text_emb)/(?P=kind)_(?P<number>\d+)\.(parquet|npy)$"
)
TWO_ARRAYS = re.compile(rf"^(?P<image>.+\.npy){re.escape(PAIRED)}(?P<text>.+\.npy)$", re.IGNORECASE)
NUMBERED = re.compile(r"((?:^|/)(?:metadata|img_emb)_)(\d+)(?=\.(?:parquet|npy)$)")
FEATURED = re.compile(r"^(?P<table>.+\.parquet) \[(?P<features>[^\[\]/]+)\]$", re.IGNORECASE)
IMAGES, TEXTS = "_img", "_txt"
PREFERRED = "l14"  # of DataComp's two models the larger


@dataclass(frozen=True)
class Partition:
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
        return locations.join(self.folder, "metadata", f"metadata_{self.number}{TABLE}")


def files_of(path: str) -> tuple[str, ...]:
    """All files that make the shard at this path, those that are there."""
    if (pair := array_pair(path)) is not None:
        return pair
    if (partition := partition_of(path)) is not None:
        several = (partition.metadata, partition.image, partition.text)
        return tuple(file for file in several if file == path or locations.is_file(file))
    table, _ = features_told(path)
    arrays = arrays_beside(table)
    return (table,) if arrays is None else (table, arrays)


def array_pair(path: str) -> tuple[str, str] | None:
    """The images' and the captions' file of a path that names two .npy files.

    >>> array_pair("/a/img.npy + /a/text.npy")
    ('/a/img.npy', '/a/text.npy')
    """
    found = TWO_ARRAYS.match(path)
    return None if found is None else (found["image"], found["text"])


def partition_of(path: str) -> Partition | None:
    """The clip-retrieval partition that a path stands for, if there are embeddings where those would be."""
    named = _named_partition(path)
    if named is None or path not in (named.metadata, named.image):
        return None
    return named if any(map(locations.is_file, (named.image, named.text))) else None


def partitions_among(files: Sequence[str]) -> dict[str, list[str]]:
    """The clip-retrieval folders that these files belong to, each with the paths of its shards, in no order.

    A partition's path is that of its metadata; where no partition of the folder has any, that of its images'
    embeddings. Files that are missing from a partition are found missing when it is opened.
    """
    named = {path: partition for path in files if (partition := _named_partition(path)) is not None}
    of_arrays = {partition.folder for path, partition in named.items() if path.endswith(ARRAY)}
    found: dict[str, list[str]] = {}
    for folder in sorted(of_arrays):
        partitions = {partition for partition in named.values() if partition.folder == folder}
        described = any(p.metadata in named or locations.is_file(p.metadata) for p in partitions)
        found[folder] = [partition.metadata if described else partition.image for partition in partitions]
    return found


def metadata_files(folder: str) -> list[str]:
    """The metadata of all partitions of a clip-retrieval folder, in the order of their numbers."""
    files = locations.files_below(locations.join(folder, "metadata"))
    named = ((file, _named_partition(file)) for file in files)
    return sorted((file for file, partition in named if partition and file == partition.metadata), key=sort_key)


def shard_name(name: str) -> str:
    """What a shard is called whose file lies at this place below the input root: partitions without their own folder.

    >>> shard_name("laion/metadata/metadata_0.parquet"), shard_name("A/00000.parquet")
    ('laion/metadata_0.parquet', 'A/00000.parquet')
    """
    found = PARTITION.match(name)
    return name if found is None else f"{found['folder']}{name.rpartition('/')[2]}"


def sort_key(name: str) -> str:
    """Sorted by this, partitions come by their number and all other names as they are.

    >>> sorted(["metadata_10.parquet", "metadata_2.parquet"], key=sort_key)
    ['metadata_2.parquet', 'metadata_10.parquet']
    """
    return NUMBERED.sub(lambda found: found[1] + found[2].zfill(20), name)


def features_told(path: str) -> tuple[str, str | None]:
    """The path of a table, and which of the features beside it are meant; None where the path does not say.

    >>> features_told("/d/00000.parquet [b32]"), features_told("/d/00000.parquet")
    (('/d/00000.parquet', 'b32'), ('/d/00000.parquet', None))
    """
    found = FEATURED.match(path)
    return (path, None) if found is None else (found["table"], found["features"])


def with_features(path: str, features: str) -> str:
    """The path of the same shard with these of the features beside it. Raises BadTable where none are beside it."""
    if arrays_beside(path) is None:
        raise no_features(path)
    return f"{path} [{features}]"


def no_features(table: str) -> BadTable:
    """The error of a table that has no features beside it."""
    arrays = f"{table.rpartition('.')[0]}.npz with arrays X{IMAGES} and X{TEXTS}"
    return BadTable(f"{table} has no features beside it: no {arrays}", fix="leave out --features, or fetch the .npz")


def features_of(path: str) -> str | None:
    """Which features are read: those that the path tells, else l14, else the only ones; None where nothing settles it.

    Whether they are there is for the reader to say.
    """
    table, told = features_told(path)
    if told is not None or (arrays := arrays_beside(table)) is None:
        return told
    try:
        found = features_in(arrays)
    except (OSError, zipfile.BadZipFile):
        return None
    return PREFERRED if PREFERRED in found else found[0] if len(found) == 1 else None


def arrays_beside(table: str) -> str | None:
    """The .npz of the same stem, if it holds features or cannot be read: then its reader says what is wrong."""
    if not table.lower().endswith(TABLE):
        return None
    arrays = table[: -len(TABLE)] + ".npz"
    if not locations.is_file(arrays):
        return None
    try:
        return arrays if features_in(arrays) else None
    except (OSError, zipfile.BadZipFile):
        return arrays


def features_in(arrays: str) -> tuple[str, ...]:
    """Every X for which an .npz holds the arrays X_img and X_txt, sorted. Raises OSError or zipfile.BadZipFile."""
    return _features(arrays, locations.version(arrays))


@lru_cache(maxsize=4096)
def _features(arrays: str, version: str) -> tuple[str, ...]:
    with locations.open_file(arrays, jumps=True) as file, zipfile.ZipFile(file) as members:
        names = {name.removesuffix(ARRAY) for name in members.namelist()}
    stems = {name.removesuffix(IMAGES) for name in names if name.endswith(IMAGES)}
    return tuple(sorted(stem for stem in stems if stem + TEXTS in names))


def _named_partition(path: str) -> Partition | None:
    found = PARTITION.match(path)
    return None if found is None else Partition(found["folder"][:-1] or found["folder"], found["number"])

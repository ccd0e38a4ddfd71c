"""Which files make one shard: most are one file; embeddings of other tools lie in several beside each other.

Knows the names of files, and of the arrays in an .npz; nothing of tables or of what arrays hold.

These shards have several files:
- two arrays of embeddings, `A.npy` and `B.npy`, images first;
- partition P of a clip-retrieval folder F: `F/metadata/metadata_P.parquet`, `F/img_emb/img_emb_P.npy` and
  `F/text_emb/text_emb_P.npy`; or the last two where there is no metadata;
- `NAME.parquet` beside a `NAME.npz` that holds pairs of arrays called X_img and X_txt: DataComp's metadata.
"""

import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace

from ncaudit.errors import BadTable
from ncaudit.options import TABLE_SUFFIX
from ncaudit.shards.files import locations
from ncaudit.shards.files.remembered import Remembered
from ncaudit.shards.files.shard import ARRAY, ArrayPair, ClipRetrievalFiles, FeaturedTable, Shard

PAIRED = " + "  # between the two .npy files of one shard in messages
CLIP_RETRIEVAL = re.compile(
    r"^(?P<folder>.*/|)(?P<kind>metadata|img_emb|text_emb)/(?P=kind)_(?P<number>\d+)\.(parquet|npy)$"
)
NUMBERED = re.compile(r"((?:^|/)(?:metadata|img_emb)_)(\d+)(?=\.(?:parquet|npy)$)")
IMAGES, TEXTS = "_img", "_txt"
# all that a damaged archive, or one that is encrypted or packed in a way of its own, raises when it is read
ARCHIVE_DAMAGE = (
    *(OSError, EOFError, ValueError, OverflowError, LookupError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
PREFERRED = "l14"  # of DataComp's two models the larger


def shard_at(path: str, name: str) -> Shard:
    """The shard that is found at this path, with whatever files beside it belong to it."""
    if (files := clip_retrieval_files(path)) is not None:
        return Shard(path, name, files)
    arrays = arrays_beside(path)
    return Shard(path, name) if arrays is None else Shard(path, name, FeaturedTable(path, arrays, _usual(arrays)))


def pair_of_arrays(image: str, text: str, name: str) -> Shard:
    """Two .npy files as one shard."""
    return Shard(f"{image}{PAIRED}{text}", name, ArrayPair(image, text))


def with_features(shard: Shard, features: str) -> Shard:
    """The same shard with these of the features beside it. Raises BadTable where none are beside it."""
    if not isinstance(shard.parts, FeaturedTable):
        arrays = f"{shard.path.rpartition('.')[0]}.npz with arrays X{IMAGES} and X{TEXTS}"
        raise BadTable(
            f"{shard.path} has no features beside it: no {arrays}", fix="leave out --features, or fetch the .npz"
        )
    return replace(shard, path=f"{shard.path} [{features}]", parts=replace(shard.parts, features=features))


def clip_retrieval_files(path: str) -> ClipRetrievalFiles | None:
    """The clip-retrieval partition that a path stands for, if there are embeddings where those would be."""
    named = _named_files(path)
    if named is None or path not in (named.metadata, named.image):
        return None
    return named if any(map(locations.is_file, (named.image, named.text))) else None


def clip_retrieval_among(paths: Sequence[str]) -> dict[str, list[str]]:
    """The clip-retrieval folders that these files belong to, each with the paths of its shards, in no order.

    A partition's path is that of its metadata; where no partition of the folder has any, that of its images'
    embeddings. Files that are missing from a partition are found missing when it is opened.
    """
    named = {path: files for path in paths if (files := _named_files(path)) is not None}
    of_arrays = {files.folder for path, files in named.items() if path.endswith(ARRAY)}
    found: dict[str, list[str]] = {}
    for folder in sorted(of_arrays):
        here = {files for files in named.values() if files.folder == folder}
        described = any(files.metadata in named or locations.is_file(files.metadata) for files in here)
        found[folder] = [files.metadata if described else files.image for files in here]
    return found


def metadata_files(folder: str) -> list[str]:
    """The metadata of all partitions of a clip-retrieval folder, in the order of their numbers."""
    files = locations.files_below([locations.join(folder, "metadata")])
    named = ((file, _named_files(file)) for file in files)
    return sorted((file for file, partition in named if partition and file == partition.metadata), key=sort_key)


def shard_name(name: str) -> str:
    """What a shard is called whose file lies at this place below the input root: partitions without their own folder.

    >>> shard_name("laion/metadata/metadata_0.parquet"), shard_name("A/00000.parquet")
    ('laion/metadata_0.parquet', 'A/00000.parquet')
    """
    found = CLIP_RETRIEVAL.match(name)
    return name if found is None else f"{found['folder']}{name.rpartition('/')[2]}"


def sort_key(name: str) -> str:
    """Sorted by this, partitions come by their number and all other names as they are.

    >>> sorted(["metadata_10.parquet", "metadata_2.parquet"], key=sort_key)
    ['metadata_2.parquet', 'metadata_10.parquet']
    """
    return NUMBERED.sub(lambda found: found[1] + found[2].zfill(20), name)


def arrays_beside(table: str) -> str | None:
    """The .npz of the same stem, if it holds features or cannot be read: then its reader says what is wrong."""
    if not table.lower().endswith(TABLE_SUFFIX):
        return None
    arrays = table[: -len(TABLE_SUFFIX)] + ".npz"
    if not locations.is_file(arrays):
        return None
    try:
        return arrays if features_in(arrays) else None
    except ARCHIVE_DAMAGE:
        return arrays


def features_in(arrays: str) -> tuple[str, ...]:
    """Every X for which an .npz holds the arrays X_img and X_txt, sorted. Raises one of ARCHIVE_DAMAGE."""
    return _features(arrays)


def _usual(arrays: str) -> str | None:
    """The features that are read unless others are named: l14, else the only ones; None where nothing settles it.

    A damaged .npz has none: its reader says what is wrong.
    """
    try:
        found = features_in(arrays)
    except ARCHIVE_DAMAGE:
        return None
    return PREFERRED if PREFERRED in found else found[0] if len(found) == 1 else None


def _look(arrays: str) -> tuple[str, ...]:
    with locations.open_file(arrays, jumps=True) as file, zipfile.ZipFile(file) as members:
        names = {name.removesuffix(ARRAY) for name in members.namelist()}
    stems = {name.removesuffix(IMAGES) for name in names if name.endswith(IMAGES)}
    return tuple(sorted(stem for stem in stems if stem + TEXTS in names))


_features = Remembered(_look)


def _named_files(path: str) -> ClipRetrievalFiles | None:
    found = CLIP_RETRIEVAL.match(path)
    return None if found is None else ClipRetrievalFiles(found["folder"][:-1] or found["folder"], found["number"])

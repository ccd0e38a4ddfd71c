"""What `inspect` finds out, as it hands it over. Knows no files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ncaudit.engines.local import ShardError
from ncaudit.readable import Readable
from ncaudit.verbs.inspect.image_sample import ImageSample


@dataclass(frozen=True, kw_only=True)
class Captions:
    """The captions, of pairs: a row with several captions is several pairs."""

    column: str
    others: tuple[str, ...]  # columns that may hold captions too
    several: bool  # a list per row
    null: int
    blank: int  # spaces at most
    of_several_lines: int  # each of which may be a caption: see --caption-lines
    examples: tuple[str, ...]  # cut to 300 characters; anybody's text


@dataclass(frozen=True, kw_only=True)
class KeyColumn:
    """A column that could name the pairs."""

    column: str
    null: int
    repeated: int  # rows whose key occurred before


@dataclass(frozen=True, kw_only=True)
class Images:
    """The images, from footers and a sample."""

    column: str
    held: str  # bytes, struct, path
    missing: int | None  # rows without one; None where only reading them would tell
    sample: ImageSample


@dataclass(frozen=True, kw_only=True)
class Told:
    """What ncaudit's tables say of themselves: the provenance that this many of them share."""

    shards: int
    provenance: Mapping[str, Any]
    source: Mapping[str, Any] | None  # what the first of them was made from: name and fingerprint
    data: Mapping[str, Any] | None  # of scores and labels: the shard of the dataset behind it


@dataclass(frozen=True, kw_only=True, repr=False)
class Inspection(Readable, first=("what", "next")):
    """What it is, and what to do with it."""

    sources: tuple[str, ...]
    kind: str
    what: str
    next: tuple[str, ...]  # commands
    first: tuple[str, ...]  # what must be done before, or must be known


@dataclass(frozen=True, kw_only=True, repr=False)
class FolderInspection(Inspection):
    """A model, heads or a fit that ncaudit wrote."""

    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, repr=False)
class ShardsInspection(Inspection, first=("what", "rows", "pairs", "shards", "next")):
    """Files of pairs. Counts are over the shards of this kind that could be read."""

    format: str
    shards: int
    bytes: int
    rows: int
    pairs: int
    columns: Mapping[str, str]  # name: type; of the first shard, then what others have beyond it
    captions: Captions | None
    keys: tuple[KeyColumn, ...]
    images: Images | None
    url: str | None
    prior_scores: tuple[str, ...]
    class_columns: tuple[str, ...]
    truth_columns: tuple[str, ...]
    words: Mapping[str, Mapping[str, int]]  # how often each status, verdict, reason … occurs
    mean_soft_label: float | None
    soft_labels_below_half: int
    dims: tuple[int, int] | None  # of the image and the text embeddings
    features: tuple[str, ...]  # the names of DataComp's embeddings beside the metadata
    provenance: tuple[Told, ...]
    schema_differences: tuple[str, ...]
    other_kinds: Mapping[str, str]  # what else lies there: its kind and one file of it
    damaged: tuple[ShardError, ...]
    without_pairs: tuple[ShardError, ...]  # sound shards that lack the columns of the others

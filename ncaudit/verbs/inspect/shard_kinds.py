"""What a shard is, and which tool wrote it: by its metadata, its columns and the files beside it.

Knows schemas and the names that tools use; nothing of what the rows hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from ncaudit.schema import DATASET_PREFIX
from ncaudit.shards.columns import IMG2DATASET
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import Format, format_of, suffix_of
from ncaudit.shards.files.provenance import provenance_of
from ncaudit.shards.files.shard import ArrayPair, ClipRetrievalFiles, Shard

EMBEDDINGS = {"image_embedding", "text_embedding"}
DROP_REASON = "drop_reason"
DATACOMP = ("clip_b32_similarity_score", "clip_l14_similarity_score")


class Kind(StrEnum):
    """What can be done with a shard."""

    dataset = "dataset"
    scored_dataset = "scored dataset"  # with our columns added
    embeddings = "embeddings"
    scores = "scores"
    labels = "labels"
    dropped = "dropped"  # what `filter` took out
    weights = "weights"  # key and soft label, made for other tools
    review = "review"  # pairs for people to judge


@dataclass(frozen=True)
class ShardKind:
    """A shard's kind, the format of its file, and both in words with the tool that wrote it."""

    kind: Kind
    format: str
    words: str


def kind_of(shard: Shard, schema: pa.Schema) -> ShardKind:
    """The kind of a shard whose schema is known. Raises BadTable when the file is of no known format."""
    form, provenance = _format(shard), first_provenance(schema)
    kind = _kind(set(schema.names), provenance)
    words = _words(kind, shard.path, form, schema, provenance)
    return ShardKind(kind, form, words)


def first_provenance(schema: pa.Schema) -> Mapping[str, Any]:
    """The provenance; of one table made of several shards, the first one's. Empty for another tool's table."""
    provenance = provenance_of(schema)
    if provenance and "verb" not in provenance and provenance.get("shards"):
        return dict(provenance["shards"][0])
    return provenance or {}


def _format(shard: Shard) -> str:
    if shard.parts is None:
        return str(format_of(shard.path))
    if isinstance(shard.parts, ArrayPair):
        return "two NumPy arrays"
    return "clip-retrieval" if isinstance(shard.parts, ClipRetrievalFiles) else "parquet with features in .npz"


def _kind(names: set[str], provenance: Mapping[str, Any]) -> Kind:
    if names & {DROP_REASON, DATASET_PREFIX + DROP_REASON} and provenance.get("verb") == "filter":
        return Kind.dropped
    if names >= EMBEDDINGS:
        return Kind.embeddings
    if DATASET_PREFIX + "soft_label" in names:
        return Kind.scored_dataset
    if names >= {"pair_id", "is_match", "stratum"} and "status" not in names:
        return Kind.review
    if names >= {"pair_id", "status"} and names & {"soft_label", "score", "label_quality"}:
        return Kind.labels if "label_quality" in names else Kind.scores
    if provenance.get("verb") == "filter" and "soft_label" in names and len(names) == 2:
        return Kind.weights
    return Kind.dataset


def _words(kind: Kind, path: str, form: str, schema: pa.Schema, provenance: Mapping[str, Any]) -> str:
    verb = provenance.get("verb")
    ours = {
        Kind.embeddings: "embedding table" if verb and form == Format.parquet else _foreign_embeddings(form),
        Kind.scores: "score table",
        Kind.labels: "label table",
        Kind.weights: "list of weights",
        Kind.review: "pairs for review",
    }
    what = ours.get(kind) or _flavour(path, form, schema)
    if kind is Kind.review:
        return f"{what} ({form}), as ncaudit sample draws them"
    if verb is None:
        return what if kind in (Kind.dataset, Kind.scored_dataset, Kind.embeddings) else f"{what} of another tool"
    return f"{what}{_deed(kind, str(verb), provenance)}"


def _deed(kind: Kind, verb: str, provenance: Mapping[str, Any]) -> str:
    if kind is Kind.dropped:
        return ": what ncaudit filter dropped"
    if verb == "filter":
        return ", filtered by ncaudit" if kind is not Kind.weights else " of ncaudit filter"
    if verb == "corrupt":
        options = provenance.get("options", {})
        return f", corrupted by ncaudit ({options.get('kind')}, rate {options.get('rate')})"
    return ", with ncaudit's scores" if kind is Kind.scored_dataset else " of ncaudit"


def _foreign_embeddings(form: str) -> str:
    if form == str(Format.parquet):
        return "embedding table of another tool"
    return f"DataComp metadata ({form})" if form.startswith("parquet") else f"embeddings ({form})"


def _flavour(path: str, form: str, schema: pa.Schema) -> str:
    """Which tool's dataset this looks like."""
    names = set(schema.names)
    if form == str(Format.tar):
        return "webdataset tar with a sidecar table" if sidecar_of(path) else "webdataset tar"
    if names >= IMG2DATASET:
        return f"img2dataset {form}"
    if b"huggingface" in (schema.metadata or {}):
        return f"Hugging Face {form}"
    if "uid" in names and names.intersection(DATACOMP):
        return "DataComp metadata"
    return f"table ({form})"


def sidecar_of(tar: str) -> str | None:
    """The table that img2dataset writes beside a tar, if it is there: it has the rows whose download failed, too."""
    table = tar.removesuffix(suffix_of(tar)) + ".parquet"
    return table if locations.is_file(table) else None


def shared_provenance(schema: pa.Schema) -> dict[str, Any] | None:
    """What the tables of one run have in common: their provenance without what is each shard's own; None: not ours."""
    if provenance_of(schema) is None:
        return None
    own = {"source", "data", "decisions", "scores", "scored", "shards"}
    return {name: value for name, value in first_provenance(schema).items() if name not in own}

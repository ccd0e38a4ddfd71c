"""What heads were trained on, as `heads.json` tells it: which tables, what those were made from, and by which encoder.

Knows embedding tables and the record that `embed` leaves beside them; nothing of training.
"""

from collections.abc import Sequence
from typing import Any

from ncaudit.shards.claims.records import EMBED_RECORD, read_record
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.tables.embeddings import EmbeddingTable


def origins(tables: Sequence[EmbeddingTable]) -> dict[str, Any]:
    """As plain JSON. tables: name -> fingerprint. sources: fingerprints of the shards that they were embedded from.

    encoder_folder: where the encoder's folder was when they were embedded; None where it has none or nobody knows.
    """
    sources = {_source(table).get("fingerprint") for table in tables} - {None}
    folders = (_encoder_folder(table) for table in tables)
    return {
        "tables": {table.shard.name: fingerprint(table.shard) for table in tables},
        "sources": sorted(sources),
        "encoder_folder": next((folder for folder in folders if folder), None),
    }


def _encoder_folder(table: EmbeddingTable) -> str | None:
    """A table names its model without paths; the record in the folder that `embed` wrote it to has the path."""
    name, model = _source(table).get("name"), (table.provenance or {}).get("model")
    if not name or not table.shard.path.endswith(f"/{name}"):
        return None
    record = read_record(join(table.shard.path.removesuffix(name), EMBED_RECORD)) or {}
    return record.get("folder") if record.get("model") == model else None


def _source(table: EmbeddingTable) -> dict[str, Any]:
    return (table.provenance or {}).get("source") or {}

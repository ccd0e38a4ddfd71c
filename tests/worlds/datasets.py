"""Parquet files of any columns, written in one line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write(
    path: Path,
    columns: Mapping[str, Any] | pa.Table | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    group: int | None = None,
    **more: Any,
) -> Path:
    """A table, or columns and more of them, in a file whose folder is made.

    metadata: of its schema. group: rows per row group; None: as arrow does.
    """
    table = columns if isinstance(columns, pa.Table) else pa.table({**(columns or {}), **more})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path, row_group_size=group)
    return path

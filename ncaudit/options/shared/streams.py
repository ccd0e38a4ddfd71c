"""What `--out -` writes, and what names mean that are no folder."""

from enum import StrEnum


class StreamFormat(StrEnum):
    """How `--out -` writes rows on standard output."""

    arrow = "arrow"
    jsonl = "jsonl"
    csv = "csv"


STREAM = "-"
TABLE_SUFFIX = ".parquet"

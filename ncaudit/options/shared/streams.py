"""What `--out -` writes, and what names mean that are no folder."""

from enum import StrEnum


class StreamFormat(StrEnum):
    """How `--out -` writes rows on standard output."""

    arrow = "arrow"
    jsonl = "jsonl"
    csv = "csv"


STREAM = "-"
TABLE_SUFFIX = ".parquet"


def is_folder(out: str) -> bool:
    """Whether `out` is neither a stream nor one table."""
    return out != STREAM and not out.endswith(TABLE_SUFFIX)


def streams_csv(out: str, kind: StreamFormat) -> bool:
    """Whether standard output gets CSV."""
    return out == STREAM and kind is StreamFormat.csv

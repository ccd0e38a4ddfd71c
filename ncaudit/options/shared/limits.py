"""How much of a file may be held in memory at once. Knows numbers of bytes; nothing of files."""

from ncaudit.options.shared.checks import require_at_least

MAX_ROW_BYTES = 64 << 20  # of one line, one cell or one member of an archive, unpacked


def require_row_bytes(value: int) -> None:
    """Raises UsageError where nothing could be read so."""
    require_at_least("--max-row-bytes", value, 1024)

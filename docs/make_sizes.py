"""Prints the table of docs/clusters.md, how long 10 M, 100 M and 1,000 M pairs take: `python docs/make_sizes.py`.

Knows what was measured on one machine, and multiplies; nothing here was run at those sizes. A test finds the page out
of date.
"""

SHARD = 10_000  # pairs
MACHINES = 64
# Measured on 2 cores of a Xeon without GPU, by the scripts that docs/speed.md names beside the same figures
EMBED_PAIRS_PER_S = 12.7  # ViT-B/32 in float32, real photos
SCORE_ROWS_PER_S = 1_450.0  # 512 dimensions
FILTER_MB_PER_S = 265.0  # --data, half of the rows kept
READ_ROWS_PER_S = 1 / 3e-5  # to draw the sample, and once more to count repeats
# Measured by tests/benchmarks/cluster.py
ENGINE_S = 0.01  # of one process, per shard: to hand it out and to take it back
# Assumed
PHOTO_MB = 0.1
TABLE_BYTES = 2 * 2 * 512 + 200  # of an embedding table, per pair
HOUR, GB = 3600, 1e9


def table() -> str:
    """As the page has it."""
    head = ("pairs", "shards of 10,000", "`embed`", "`score`", "`filter --data`", "sample, repeats", "tables")
    lines = [head, ("---",) * len(head), *map(_row, (10_000_000, 100_000_000, 1_000_000_000))]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(pairs: int) -> tuple[str, ...]:
    embed, score = pairs / EMBED_PAIRS_PER_S, pairs / SCORE_ROWS_PER_S
    kept = pairs * PHOTO_MB / FILTER_MB_PER_S
    once = 2 * pairs / READ_ROWS_PER_S
    size = f"{pairs * TABLE_BYTES / GB:,.0f} GB"
    return f"{pairs // 10**6:,} M", f"{pairs // SHARD:,}", *map(_shared, (embed, score, kept, once)), size


def _shared(seconds: float) -> str:
    return f"{_long(seconds)}; {_long(seconds / MACHINES)} on {MACHINES}"


def _long(seconds: float) -> str:
    """
    >>> _long(90), _long(7200), _long(400_000)
    ('1.5 min', '2.0 h', '4.6 days')
    """
    for unit, size in (("days", 24 * HOUR), ("h", HOUR), ("min", 60)):
        if seconds >= 2 * size or unit == "min":
            return f"{seconds / size:,.1f} {unit}"
    raise AssertionError(seconds)



if __name__ == "__main__":
    print(table())

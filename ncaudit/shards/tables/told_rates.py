"""What score tables say of the labels in them: that there are none, and why; that several fits or rates made them.

Knows the provenance of tables, and whether a column is empty; nothing of what is in their rows.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import Provenance

SOFT_LABEL = "soft_label"
LABELS = (SOFT_LABEL, "verdict")
Named = tuple[str, Provenance | None]  # a table's path, and what it says of itself


def why_no_labels(
    tables: Iterable[Named], labelled_since: Callable[[str], bool] = lambda path: False
) -> tuple[list[str], str] | None:
    """The tables whose own metadata says that no row has a soft label, and the first's reason; None for none.

    labelled_since: whether the columns of the table at this path say otherwise, as somebody has filled them in.

    >>> why_no_labels([("a.parquet", {"verb": "score", "label_means": "no soft label: all pairs score alike"})])
    (['a.parquet'], 'all pairs score alike')
    """
    said = [(path, told) for path, table in tables for told in _scored(table) if _unlabelled(told)]
    filled_in = {path for path in dict.fromkeys(path for path, _ in said) if labelled_since(path)}
    found = [(path, told) for path, told in said if path not in filled_in]
    if not found:
        return None
    reason = str(found[0][1]["label_means"]).partition(": ")[2].partition(". Look")[0]
    return list(dict.fromkeys(path for path, _ in found)), reason


def any_there(batches: Iterable[pa.RecordBatch]) -> bool:
    """Whether any cell of these columns is not null."""
    return any(column.null_count < len(column) for batch in batches for column in batch.columns)


def no_labels(paths: Sequence[str], reason: str, what: str) -> BadTable:
    """The error of who needs labels that these tables do not have. what: it wants to do."""
    more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return BadTable(
        f"{paths[0]}{more}: no row has a label to {what}, as {reason}",
        fix="look at a few pairs (`ncaudit sample`), embed with another model or mend the captions, and score again",
    )


def rank_notes(tables: Iterable[Named]) -> list[str]:
    """What to say where tables are ranked together."""
    told = several_fits(tables)
    return [] if told is None else [told]


def several_fits(tables: Iterable[Named]) -> str | None:
    """What to say where these tables, ranked together, were not scored alike; None where they were."""
    each = [(place, told) for path, table in tables for place, told in _placed(path, table) if told.get("fit")]
    fits = {str(told.get("scores_of_fit") or told["fit"]) for _, told in each}
    first = {str(told["fit"]): (path, told) for path, told in reversed(each)}
    if len(first) < 2:
        return None
    listed = ", ".join(sorted(f"{_rate(told)} in {path}" for path, told in first.values())[:4])
    if len(fits) > 1:
        return (
            f"these tables were scored with {len(fits)} different fits, whose scores are on different scales, and are"
            f" ranked together ({listed}): score them in one run with --refit to compare them"
        )
    return (
        f"these tables were scored with one fit, but labelled with {len(first)} noise rates of their own ({listed}),"
        " and are ranked together: `score --refit` gives all of them one fit"
    )


def _placed(path: str, table: Provenance | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a table says of its scores, and where those are: which part of it, where it was made of several."""
    parts = list(_scored(table))
    for told in parts:
        name = (told.get("source") or {}).get("name") if len(parts) > 1 else None
        yield (f"{path} (from {name})" if name else path), told


def _scored(table: Provenance | None) -> Iterator[Mapping[str, Any]]:
    """What a table, or one that was made of several, says of its scores."""
    for told in _parts(table or {}):
        scored = told.get("scored") or {}  # `filter` made one table of several
        yield from _scored(scored) if scored else [told]


def _parts(told: Provenance) -> Sequence[Mapping[str, Any]]:
    parts: Sequence[Mapping[str, Any]] = told["shards"] if "shards" in told and "fit" not in told else [told]
    return parts


def _unlabelled(told: Mapping[str, Any]) -> bool:
    return str(told.get("label_means", "")).startswith("no soft label")


def _rate(told: Mapping[str, Any]) -> str:
    rate = (told.get("noise_rate") or {}).get("rate")
    return "no rate" if rate is None else f"{rate:.1%}"

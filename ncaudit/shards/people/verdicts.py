"""The file that people fill in: pairs written for review, and read back with a verdict each.

Knows CSV, parquet, JSON lines and the words that people write; nothing of how the pairs were drawn.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from ncaudit.errors import BadTable
from ncaudit.options import REVIEW_SUFFIXES, STREAM, TABLE_SUFFIX, StreamFormat
from ncaudit.shards.files.writer import atomic_file, atomic_table
from ncaudit.shards.people.truth import MATCH, MISMATCH, MISSING, WORDS
from ncaudit.shards.readers.parquet import open_parquet
from ncaudit.shards.streams.standard_output import FORMULA, StreamWriter, without_formulas
from ncaudit.shards.tables.checks import require_column

IS_MATCH: Final = "is_match"
STRATUM, STRATUM_ROWS = "stratum", "stratum_rows"
VERDICT_WORDS: Final = {**WORDS, "yes": MATCH, "match": MATCH, "no": MISMATCH, "mismatch": MISMATCH}


@dataclass(frozen=True)
class Verdicts:
    """What people said of some pairs, each once. The arrays hold the judged pairs only, in the order of the file."""

    path: str
    pair_id: tuple[str, ...]
    is_match: npt.NDArray[np.bool_]  # (n,): image and caption belong together
    stratum: npt.NDArray[np.int64] | None  # (n,): the stratum it was drawn from; None: the file does not say
    stratum_rows: npt.NDArray[np.int64] | None  # (H,): all rows of each stratum, also of those without a verdict
    unjudged: int  # pairs of the file without a verdict

    def places(self, pair_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Which entry of the arrays each of these pairs is; -1 for one without a verdict. Returns (m,) int64."""
        place = {name: number for number, name in enumerate(self.pair_id)}
        return np.array([place.get(name, -1) for name in pair_ids], dtype=np.int64)


def write_review(path: str, pairs: pa.Table) -> None:
    """Write pairs for review, CSV, parquet or JSON lines by suffix; `-` is CSV on standard output.

    In CSV, text that a spreadsheet program would run as a formula gets an apostrophe in front, in every column but
    pair_id. A file appears whole or not at all; one that is there already is for its caller to refuse.
    """
    if path.endswith(TABLE_SUFFIX):
        with atomic_table(path, pairs.schema) as table:
            for batch in pairs.to_batches():
                table.write(batch)
        return
    kind = StreamFormat.jsonl if path.endswith(".jsonl") else StreamFormat.csv
    plain = pairs if kind is StreamFormat.jsonl else without_formulas(pairs, keep="pair_id")
    if path == STREAM:
        _write_stream(sys.stdout.buffer, plain, kind)
    else:
        with atomic_file(path) as file:
            _write_stream(file, plain, kind)


def looks_like_formula(text: pa.ChunkedArray) -> int:
    """How many of these texts a spreadsheet program would run."""
    return int(pc.sum(pc.match_substring_regex(text, FORMULA)).as_py() or 0)


def read_verdicts(path: str) -> Verdicts:
    """The verdicts in a CSV, parquet or JSON lines file with `pair_id` and `is_match`.

    A verdict is true or false, 1 or 0, yes or no, match or mismatch, in any case; empty: not judged. A pair that is
    there several times counts once. `stratum` and `stratum_rows` are read where both are there.
    Raises BadTable when the file cannot be read, lacks a column, has another word (naming its row), contradicts itself
    on a pair, or has strata that are not whole.
    """
    table = _read(path)
    for name in ("pair_id", IS_MATCH):
        require_column(path, table.schema, name)
    ids, words = (_words(table[name]) for name in ("pair_id", IS_MATCH))
    told = _verdicts(path, words)
    _require_ids(path, ids, told)
    stratum, stratum_rows = _strata(path, table, ids)
    judged = _judged_once(path, ids, told)
    return Verdicts(
        path=path,
        pair_id=tuple(ids[judged]),
        is_match=told[judged] == MATCH,
        stratum=None if stratum is None else stratum[judged],
        stratum_rows=stratum_rows,
        unjudged=len(set(ids.tolist()) - {""}) - len(judged),
    )


def _write_stream(file: Any, pairs: pa.Table, kind: StreamFormat) -> None:
    writer = StreamWriter(file, pairs.schema, kind)
    for batch in pairs.to_batches():
        writer.write(batch)
    writer.close()


def _read(path: str) -> pa.Table:
    kind = next((suffix for suffix in (*REVIEW_SUFFIXES, ".tsv") if path.lower().endswith(suffix)), None)
    if kind is None:
        raise BadTable(f"{path} is no {', '.join(REVIEW_SUFFIXES)} file", fix="save it as CSV, in UTF-8")
    try:
        if kind == TABLE_SUFFIX:
            return open_parquet(path).read()
        return _read_jsonl(path) if kind == ".jsonl" else _read_csv(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadTable(f"{path} cannot be read: {reason}", fix="save it again, as CSV in UTF-8") from error


def _read_csv(path: str) -> pa.Table:
    parsing = pyarrow.csv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True)
    names = pyarrow.csv.open_csv(path, parse_options=parsing).schema.names
    # all as strings: a pair_id 007 must not become 7
    converting = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=converting)


def _delimiter(path: str) -> str:
    """Spreadsheet programs save CSV with what their language separates by: the header tells."""
    with open(path, encoding="utf-8-sig") as file:
        header = file.readline()
    cells = {mark: [cell.strip('" \r\n') for cell in header.split(mark)] for mark in ",;\t"}
    return next((mark for mark, names in cells.items() if "pair_id" in names), ",")


def _read_jsonl(path: str) -> pa.Table:
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is no JSON object")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: pa.array([_text(row.get(name)) for row in rows], pa.string()) for name in names})


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _words(column: pa.ChunkedArray) -> npt.NDArray[np.object_]:
    if pa.types.is_nested(column.type):
        return np.array([_text(value) or "" for value in column.to_pylist()], dtype=object)
    words: npt.NDArray[np.object_] = np.array(column.cast(pa.string()).fill_null("").to_pylist(), dtype=object)
    return words


def _verdicts(path: str, words: npt.NDArray[np.object_]) -> npt.NDArray[np.int8]:
    told = [VERDICT_WORDS.get(word.strip().lower()) for word in words]
    if None in told:
        first = told.index(None)
        raise BadTable(
            f"{path}: {_row_name(path, first)} says {words[first]!r} in {IS_MATCH}",
            fix="write yes or no (or true, false, 1, 0, match, mismatch); leave empty what was not judged",
        )
    return np.array(told, dtype=np.int8)


def _row_name(path: str, place: int) -> str:
    """How a person finds the row: spreadsheet programs count from 1, the header among them."""
    if path.lower().endswith((".csv", ".tsv")):
        return f"row {place + 2} (the header is row 1)"
    return f"line {place + 1}" if path.lower().endswith(".jsonl") else f"row {place}"


def _require_ids(path: str, ids: npt.NDArray[np.object_], told: npt.NDArray[np.int8]) -> None:
    nameless = np.flatnonzero((ids == "") & (told != MISSING))
    if len(nameless):
        raise BadTable(
            f"{path}: {_row_name(path, int(nameless[0]))} has a verdict but no pair_id", fix="give it its pair_id"
        )


def _judged_once(path: str, ids: npt.NDArray[np.object_], told: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """The places of the judged pairs, each pair's first."""
    first: dict[str, int] = {}
    for place in np.flatnonzero(told != MISSING).tolist():
        known = first.setdefault(ids[place], place)
        if told[known] != told[place]:
            raise BadTable(
                f"{path} says both match and mismatch of pair {ids[place]}",
                fix="keep one verdict, or leave both empty",
            )
    return np.array(list(first.values()), dtype=np.int64)


def _strata(
    path: str, table: pa.Table, ids: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.int64] | None, npt.NDArray[np.int64] | None]:
    """The stratum of each row of the file (-1 for empty rows), and the rows of each stratum."""
    if not {STRATUM, STRATUM_ROWS} <= set(table.column_names):
        return None, None
    there = ids != ""
    stratum, rows = (_whole_numbers(path, table, name, there) for name in (STRATUM, STRATUM_ROWS))
    count = int(stratum.max(initial=-1)) + 1
    known = np.unique(np.stack([stratum, rows])[:, there], axis=1)
    if known.shape[1] != count or (known[0] != np.arange(count)).any():
        raise _broken_strata(path, known)
    return stratum, known[1]


def _whole_numbers(path: str, table: pa.Table, name: str, there: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    numbers = np.full(len(table), -1, dtype=np.int64)
    for place in np.flatnonzero(there).tolist():
        word = _text(table[name][place].as_py()) or ""
        if not word.strip().removesuffix(".0").isdigit():
            raise BadTable(
                f"{path}: {_row_name(path, place)} has {word!r} in {name}",
                fix=f"keep {STRATUM} and {STRATUM_ROWS} as drawn; for pairs of your own, leave out both columns",
            )
        numbers[place] = int(word.strip().removesuffix(".0"))
    return numbers


def _broken_strata(path: str, known: npt.NDArray[np.int64]) -> BadTable:
    numbers, times = np.unique(known[0], return_counts=True)
    if (times > 1).any():
        what = f"{path} says different {STRATUM_ROWS} for stratum {numbers[times > 1][0]}"
        return BadTable(what, fix="give the verdicts of one drawing; those of another belong in a file of their own")
    missing = np.setdiff1d(np.arange(numbers.max() + 1), numbers)[0]
    return BadTable(
        f"{path} has no row of stratum {missing}", fix=f"keep the rows that were not judged, with {IS_MATCH} empty"
    )

"""The file that people fill in: pairs written for review, and read back with a verdict each.

Knows the words that people write, and what a review looks like; nothing of how the pairs were drawn.
"""

import codecs
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES, STREAM, TABLE_SUFFIX, StreamFormat
from ncaudit.shards.files.writer import atomic_file, atomic_table
from ncaudit.shards.people.filled_in import FilledIn, read_filled_in
from ncaudit.shards.people.pair_finder import TELLING, Asked, as_words, asked, whole_number
from ncaudit.shards.people.words import CANNOT_TELL, HOW_TO_SAY, MATCH, MISMATCH, MISSING, told
from ncaudit.shards.streams.standard_output import FORMULA, StreamWriter, without_formulas

IS_MATCH: Final = "is_match"
STRATUM, STRATUM_ROWS = "stratum", "stratum_rows"
Words = npt.NDArray[np.object_]
Codes = npt.NDArray[np.int8]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Verdicts:
    """What one judge said of some pairs, each once. The arrays hold the judged pairs only, in the order of the file."""

    path: str
    pairs: Asked  # (n,): which pairs they are
    is_match: npt.NDArray[np.bool_]  # (n,): image and caption belong together
    stratum: Numbers | None  # (n,): the stratum it was drawn from; None: the file does not say
    drawn: "Drawn | None"  # of which drawing; None: the file does not say
    cannot_tell: int  # pairs of which the judge could not tell
    unjudged: int  # pairs of the file without a verdict, those of which nobody could tell among them

    @property
    def pair_id(self) -> tuple[str, ...]:
        """(n,): as the file has them."""
        return tuple(self.pairs.pair_id)

    @property
    def stratum_rows(self) -> Numbers | None:
        """(H,): all rows of each stratum, also of those without a verdict."""
        return None if self.drawn is None else whole((self.drawn,))


@dataclass(frozen=True)
class Drawn:
    """What a file tells of the drawing that its pairs are of: every (stratum, its rows) in it, (2, m)."""

    path: str
    known: Numbers


def write_review(path: str, pairs: pa.Table, *, marked: bool = True) -> None:
    """Write pairs for review, CSV, parquet or JSON lines by suffix; `-` is CSV on standard output.

    marked: whether a CSV file begins with the mark by which spreadsheet programs know UTF-8. In CSV, text that such a
    program would run as a formula gets an apostrophe in front, in every column but pair_id. A file appears whole or not
    at all; one that is there already is for its caller to refuse.
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
        return
    with atomic_file(path) as file:
        if marked and kind is StreamFormat.csv:
            file.write(codecs.BOM_UTF8)
        _write_stream(file, plain, kind)


def looks_like_formula(text: pa.ChunkedArray) -> int:
    """How many of these texts a spreadsheet program would run."""
    return int(pc.sum(pc.match_substring_regex(text, FORMULA)).as_py() or 0)


def read_verdicts(path: str, *, alone: bool = True, max_row_bytes: int = MAX_ROW_BYTES) -> Verdicts:
    """The verdicts in a CSV, parquet or JSON lines file with `pair_id` and `is_match`.

    What a verdict may be written as, `words` knows; empty: not judged. A pair that is there several times counts once.
    `stratum` and `stratum_rows` are read where both are there. alone: all pairs that were drawn are in this file.
    Raises BadTable when the file cannot be read, lacks a column, has another word (naming its row), contradicts itself
    on a pair, or has strata that are not whole.
    """
    file = read_filled_in(path, ("pair_id", IS_MATCH), (*TELLING, STRATUM, STRATUM_ROWS), max_row_bytes)
    rows = asked(file, np.arange(file.table.num_rows))
    codes = _codes(file, as_words(file.table[IS_MATCH]))
    _require_names(file, rows, codes)
    stratum, drawn = _strata(file, rows)
    if alone and drawn is not None:
        whole((drawn,))
    judged = _judged_once(path, rows, codes)
    keys = {_key(rows, place) for place in np.flatnonzero(_named(rows)).tolist()}
    unsure = {_key(rows, place) for place in np.flatnonzero(codes == CANNOT_TELL).tolist()}
    known = {_key(rows, place) for place in judged.tolist()}
    return Verdicts(
        path=path,
        pairs=asked(file, judged),
        is_match=codes[judged] == MATCH,
        stratum=None if stratum is None else stratum[judged],
        drawn=drawn,
        cannot_tell=len(unsure - known),
        unjudged=len(keys - known),
    )


def whole(files: Sequence[Drawn]) -> Numbers:
    """The rows of each stratum, (H,), that the files of one drawing tell together.

    Raises BadTable where they are of several drawings, or a stratum is in none of them.
    """
    known = np.unique(np.concatenate([one.known for one in files], axis=1), axis=1)
    count = int(known[0].max(initial=-1)) + 1
    if known.shape[1] != count or (known[0] != np.arange(count)).any():
        raise _broken_strata(" and ".join(one.path for one in files), known)
    return np.asarray(known[1], dtype=np.int64)


def _write_stream(file: Any, pairs: pa.Table, kind: StreamFormat) -> None:
    writer = StreamWriter(file, pairs.schema, kind)
    for batch in pairs.to_batches():
        writer.write(batch)
    writer.close()


def _codes(file: FilledIn, words: Words) -> Codes:
    said = {word: told(word) for word in set(words)}
    codes = [said[word] for word in words]
    if None in codes:
        first = codes.index(None)
        raise BadTable(f"{file.path}: {file.row(first)} says {words[first]!r} in {IS_MATCH}", fix=HOW_TO_SAY)
    return np.array(codes, dtype=np.int8)


def _named(rows: Asked) -> npt.NDArray[np.bool_]:
    """Whether a row says which pair it is about; spreadsheet programs leave empty rows at the end."""
    places = [None] * len(rows) if rows.place is None else rows.place
    return np.array([name != "" or place is not None for name, place in zip(rows.pair_id, places, strict=True)], bool)


def _require_names(file: FilledIn, rows: Asked, codes: Codes) -> None:
    nameless = np.flatnonzero(~_named(rows) & (codes != MISSING))
    if len(nameless):
        raise BadTable(f"{file.path}: {file.row(int(nameless[0]))} has a verdict but no pair_id", fix="give it its own")


def _key(rows: Asked, place: int) -> str:
    """Where it is told, the place counts too: a name that a spreadsheet changed may be that of several pairs."""
    where = None if rows.place is None else rows.place[place]
    said = "" if rows.caption is None or where is None else rows.caption[place]
    return f"{rows.pair_id[place]}\n{where or ''}\n{said}"


def _judged_once(path: str, rows: Asked, codes: Codes) -> Numbers:
    """The places of the judged pairs, each pair's first."""
    first: dict[str, int] = {}
    for place in np.flatnonzero((codes == MATCH) | (codes == MISMATCH)).tolist():
        known = first.setdefault(_key(rows, place), place)
        if codes[known] != codes[place]:
            raise both_said(path, str(rows.pair_id[place]))
    return np.array(list(first.values()), dtype=np.int64)


def both_said(path: str, pair_id: str) -> BadTable:
    """The error of a judge who contradicts himself."""
    return BadTable(
        f"{path} says both match and mismatch of pair {pair_id}",
        fix="keep one verdict, or leave both empty; give every judge a file, and --verdicts for each",
    )


def _strata(file: FilledIn, rows: Asked) -> tuple[Numbers | None, Drawn | None]:
    """The stratum of each row of the file (-1 for empty rows), and what all rows tell of the strata."""
    if not (file.has(STRATUM) and file.has(STRATUM_ROWS)):
        return None, None
    there = _named(rows)
    stratum, members = (_whole_numbers(file, name, there) for name in (STRATUM, STRATUM_ROWS))
    return stratum, Drawn(file.path, np.unique(np.stack([stratum, members])[:, there], axis=1))


def _whole_numbers(file: FilledIn, name: str, there: npt.NDArray[np.bool_]) -> Numbers:
    numbers, words = np.full(len(there), -1, dtype=np.int64), as_words(file.table[name])
    for place in np.flatnonzero(there).tolist():
        number = whole_number(words[place])
        if number is None:
            raise BadTable(
                f"{file.path}: {file.row(place)} has {words[place]!r} in {name}",
                fix=f"keep {STRATUM} and {STRATUM_ROWS} as drawn; for pairs of your own, leave out both columns",
            )
        numbers[place] = int(number)
    return numbers


def _broken_strata(path: str, known: Numbers) -> BadTable:
    numbers, times = np.unique(known[0], return_counts=True)
    if (times > 1).any():
        what = f"{path} says different {STRATUM_ROWS} for stratum {numbers[times > 1][0]}"
        return BadTable(what, fix="give the verdicts of one drawing; those of another are for a run of their own")
    missing = np.setdiff1d(np.arange(numbers.max() + 1), numbers)[0]
    return BadTable(
        f"{path} has no row of stratum {missing}", fix=f"keep the rows that were not judged, with {IS_MATCH} empty"
    )

"""`corrupt --kind label-…`: the user's dataset with a known share of its class labels changed, and the true ones
beside them.

Knows options, classes and shards; nothing of Typer or of how a parquet file is rewritten. A label is one entry of the
label column; a row has one, several (a list) or none.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as t
from scipy.sparse import csr_matrix

from ncaudit.counts import counted
from ncaudit.engines.local import Accounting
from ncaudit.engines.pace import computing
from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import CorruptKind, CorruptOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.schema import OK
from ncaudit.shards.claims.claims import Claim
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.dataset.class_labels import Classes, classes_of, require_class_column
from ncaudit.shards.dataset.rows import read_column
from ncaudit.shards.files.provenance import EarlierOutputs, Provenance, describe, provenance_of
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.rewriting.rewrite import rewrite_shard
from ncaudit.shards.tables.embeddings import IMAGE, TEXT, check_tables_agree, open_embeddings
from ncaudit.verbs.corrupt.dataset_rows import (
    Flags,
    Ints,
    Matrix,
    chosen_rows,
    claimed,
    corruptible_shards,
    embedded_rows,
    noise_types,
    plan_digest,
    write_shards,
)

TRUTH = ("true_label", "label_is_right", "noise_type")
Means = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, repr=False)
class CorruptLabelsResult(Readable, first=("rate", "wrong", "labelled", "accounting", "out")):
    """What was changed. A label is wrong when it is not among those that the row had."""

    out: str
    kind: CorruptKind
    label_column: str
    classes: int
    labelled: int  # rows with a label; the others are as they were
    unlabelled: int
    asked_rate: float
    rate: float  # the real one: wrong / labelled
    wrong: int
    unchanged: int  # chosen, but the drawn class was the old one, or each class to change into was there already
    confused_with: Mapping[str, str] | None  # label-asymmetric: which class each one is turned into
    accounting: Accounting


@dataclass(frozen=True)
class _LabelRows:
    """Every row of every shard, shard after shard. row, code: (m,) both, every (row, class) there is, ascending."""

    shards: tuple[Shard, ...]
    starts: Ints
    column: str
    classes: Classes
    row: Ints
    code: Ints

    @cached_property
    def usable(self) -> Flags:
        """(n,): the row has a label."""
        labelled = np.zeros(int(self.starts[-1]), dtype=bool)
        labelled[self.row] = True
        return labelled

    def has(self, row: Ints, code: Ints) -> Flags:
        """(q,) bool: whether these rows, each with a label, have these classes."""
        asked = row * len(self.classes) + code
        place = np.searchsorted(self._pairs, asked).clip(max=len(self._pairs) - 1)
        found: Flags = self._pairs[place] == asked
        return found

    @cached_property
    def _pairs(self) -> Ints:
        return self.row * len(self.classes) + self.code


@dataclass(frozen=True)
class _Changes:
    """Rows, ascending, of which the label `old` becomes `new`: class codes that differ; (m,) each."""

    kind: CorruptKind
    row: Ints
    old: Ints
    new: Ints


def corrupt_labels(options: CorruptOptions, progress: Progress = SILENT) -> CorruptLabelsResult:
    """Write the dataset again with labels changed in `rate` of the labelled rows, and three columns with the truth.

    The dataset may be raw or embedding tables; captions and images stay as they are. A row that is chosen has one of
    its labels replaced. label-symmetric: by a class drawn from all classes, the old one included, as the literature
    has it: about rate * (1 - 1/classes) of the labels end up wrong. label-asymmetric: by the one class that the old
    one is always confused with: the class with the nearest mean embedding (image and caption side by side) where the
    dataset is embedding tables or `embeddings` are given, else the next class in order, the first after the last.
    A label that the row has already is not given to it twice. The real rate is in the result.
    true_label: the value as it was. label_is_right: whether it is the same now, null where there is none. Nulls and
    empty lists stay. Which rows and classes: a pure function of data, options and seed. Raises NcauditError with fewer
    than two classes, or when a truth column is there already or the output would overwrite the input.
    """
    column, shards, claim = made_ready_for_labels(options)
    with made_by(options), computing(options.threads, exact=True), claim.held():
        return _corrupt(options, shards, column, claim, progress)


def made_ready_for_labels(options: CorruptOptions) -> tuple[str, list[Shard], Claim]:
    """Which column is changed of what, and the right to write. Raises NcauditError for whatever is wrong with them."""
    if not options.kind.of_labels or options.label_column is None:
        raise UsageError(f"corrupt_labels changes labels, and {options.kind} is about captions", fix="call corrupt")
    shards = corruptible_shards(options, TRUTH, "labels may be corrupted")
    return options.label_column, shards, claimed(options, shards)


def _corrupt(
    options: CorruptOptions, shards: list[Shard], column: str, claim: Claim, progress: Progress
) -> CorruptLabelsResult:
    progress.job("corrupt", {"read the labels": 0.1, "choose labels": 0.0, "write the dataset": 1.0})
    progress.stage("read the labels", sum(open_shard(shard).rows for shard in shards))
    rows = _read(shards, column, progress)
    usable = rows.usable
    wanted = int(options.rate * int(usable.sum()) + 0.5)
    progress.stage("choose labels", None)
    chosen = chosen_rows(rows, np.flatnonzero(usable), wanted, options.seed)
    target = _confusions(options, rows) if options.kind is CorruptKind.label_asymmetric else None
    changes = _changes(options, rows, chosen, target)
    if options.rate and not len(changes.row):
        raise NcauditError(
            f"no label can be changed: {len(chosen):,} of {counted(int(usable.sum()), 'row')} with a label were "
            "chosen, and whatever class theirs were to become is one that they have",
            fix="raise --rate, or give another --label-column: every row may have all classes",
        )
    progress.stage("write the dataset", len(usable))
    return CorruptLabelsResult(
        out=options.out,
        kind=options.kind,
        label_column=column,
        classes=len(rows.classes),
        labelled=int(usable.sum()),
        unlabelled=int((~usable).sum()),
        asked_rate=options.rate,
        rate=len(changes.row) / int(usable.sum()),
        wrong=len(changes.row),
        unchanged=len(chosen) - len(changes.row),
        confused_with=None if target is None else _named(rows.classes, target),
        accounting=_write(options, rows, changes, target, claim, progress),
    )


def require_classes(shards: list[Shard], column: str) -> None:
    """Raises BadTable where a shard has no such column, or not of classes."""
    for shard in shards:
        require_class_column(shard.path, open_shard(shard).schema, column)


def _read(shards: list[Shard], column: str, progress: Progress) -> _LabelRows:
    require_classes(shards, column)
    classes = Classes(classes_of(shards, column))
    if len(classes) < 2:
        raise NcauditError(
            f"column {column} holds {counted(len(classes), 'class', 'classes')} in {counted(len(shards), 'shard')}: "
            "no label could be wrong",
            fix="give another --label-column",
        )
    counts, row, code, first = [0], [], [], 0
    for shard in shards:
        file = open_shard(shard)
        counts.append(file.rows)
        for part in read_column(shard, column, file):
            labels = classes.read(part)
            row.append(first + np.repeat(np.arange(len(part)), np.diff(labels.starts)))
            code.append(labels.codes.astype(np.int64))
            first += len(part)
            progress.advance(len(part))
    return _LabelRows(tuple(shards), np.cumsum(counts), column, classes, np.concatenate(row), np.concatenate(code))


def _changes(options: CorruptOptions, rows: _LabelRows, chosen: Ints, target: Ints | None) -> _Changes:
    """One label of each chosen row becomes `target` of it, or any class where that is None."""
    draw = np.random.default_rng(options.seed)
    held = np.isin(rows.row, chosen)
    row, code = rows.row[held], rows.code[held]
    order = np.lexsort([draw.random(len(row)), row])
    row, old = row[order], code[order]
    if target is not None:
        free = ~rows.has(row, target[old])
        row, old = row[free], old[free]
    row, first = np.unique(row, return_index=True)  # one label of each row, in a random order the first
    old = old[first]
    new = _drawn(rows, row, old, draw) if target is None else target[old]
    wrong = new != old
    return _Changes(options.kind, row[wrong], old[wrong], new[wrong])


def _drawn(rows: _LabelRows, row: Ints, old: Ints, draw: np.random.Generator) -> Ints:
    """A class for each of these rows, uniform among the old one and those that the row does not have."""
    new = draw.integers(len(rows.classes), size=len(row))
    while len(again := np.flatnonzero((new != old) & rows.has(row, new))):
        new[again] = draw.integers(len(rows.classes), size=len(again))
    return new


def _confusions(options: CorruptOptions, rows: _LabelRows) -> Ints:
    """(c,) the class that each class is confused with, never itself."""
    count = len(rows.classes)
    following = (np.arange(count) + 1) % count
    batches = _embedded(options, rows)
    if batches is None:
        return following
    means = _class_means(rows, batches)
    square = (means**2).sum(axis=1)
    apart = square[:, None] + square[None, :] - 2 * means @ means.T
    np.fill_diagonal(apart, np.inf)
    apart = np.where(np.isnan(apart), np.inf, apart)  # a class without an embedding has no mean
    return np.where(np.isfinite(apart).any(axis=1), apart.argmin(axis=1), following)


def _embedded(options: CorruptOptions, rows: _LabelRows) -> Iterator[tuple[Ints, Matrix, Matrix]] | None:
    """(row numbers, image, text) of embedded rows; None where there are no embeddings."""
    own = [{IMAGE, TEXT} <= set(open_shard(shard).schema.names) for shard in rows.shards]
    if options.embeddings and any(own):
        raise UsageError(
            f"{rows.shards[own.index(True)].path} holds embeddings itself, and there is --embeddings",
            fix="leave it out",
        )
    if options.embeddings:
        return embedded_rows(options.embeddings, rows, options.max_row_bytes)
    return _own_embeddings(rows) if all(own) else None


def _own_embeddings(rows: _LabelRows) -> Iterator[tuple[Ints, Matrix, Matrix]]:
    tables = [open_embeddings(shard, columns=[]) for shard in rows.shards]
    check_tables_agree(tables)
    for table, first in zip(tables, rows.starts.tolist(), strict=False):
        for batch in table.batches():
            yield first + np.flatnonzero(batch.ok), batch.image, batch.text
            first += len(batch)


def _class_means(rows: _LabelRows, batches: Iterator[tuple[Ints, Matrix, Matrix]]) -> Means:
    """(c, d) the mean embedding of each class, image and caption side by side; nan where nothing is embedded."""
    member = csr_matrix((np.ones(len(rows.row)), (rows.row, rows.code)), (int(rows.starts[-1]), len(rows.classes)))
    total, count = 0.0, np.zeros(len(rows.classes))
    for row, image, text in batches:
        total = total + member[row].T @ np.concatenate([image, text], axis=1)
        count += np.asarray(member[row].sum(axis=0))[0]
    with np.errstate(invalid="ignore"):
        means: Means = total / count[:, None]
    return means


def _named(classes: Classes, target: Ints) -> dict[str, str]:
    return {str(name): str(classes.names[other]) for name, other in zip(classes.names, target.tolist(), strict=True)}


def _write(
    options: CorruptOptions,
    rows: _LabelRows,
    changes: _Changes,
    target: Ints | None,
    claim: Claim,
    progress: Progress,
) -> Accounting:
    told: dict[str, Any] = {name: getattr(options, name) for name in ("rate", "kind", "seed", "label_column")}
    told |= {"confused_with": _named(rows.classes, target)} if target is not None else {}
    facts = {**told, "plan": plan_digest(rows, changes.row, changes.old, changes.new)}
    claim.settle(facts)
    earlier = EarlierOutputs(progress.note)

    def write(number: int) -> bool:
        shard = rows.shards[number]
        # what embedding tables know of their model stays: they are as good as before
        model = (provenance_of(open_shard(shard).schema) or {}).get("model")
        provenance = describe("corrupt", shard, options=facts, **({"model": model} if model else {}))
        path = shard.output(options.out)
        if finished := earlier.hold(path, provenance):
            return finished
        _write_shard(rows, changes, number, path, provenance)
        return False

    return write_shards(rows, write, lambda some: {OK: some.stop - some.start}, progress)


def _write_shard(rows: _LabelRows, changes: _Changes, number: int, path: str, provenance: Provenance) -> None:
    shard, start = rows.shards[number], int(rows.starts[number])
    kind = open_shard(shard).schema.field(rows.column).type
    names = _values(rows.classes, kind)

    def columns_for(first: int, batch: pa.RecordBatch) -> list[pa.Array]:
        here = slice(start + first, start + first + len(batch))
        low, high = np.searchsorted(changes.row, [here.start, here.stop])
        mine = _Changes(
            changes.kind, *(part[low:high] for part in (changes.row - here.start, changes.old, changes.new))
        )
        wrong = np.zeros(len(batch), dtype=bool)
        wrong[mine.row] = True
        own, right = batch[rows.column], pa.array(~wrong, mask=~rows.usable[here])
        return [_changed(own, mine, names), own, right, noise_types(wrong, changes.kind)]

    add = [pa.field(name, kind) for name, kind in zip(TRUTH, (kind, pa.bool_(), pa.string()), strict=True)]
    rewrite_shard(shard, path, columns_for=columns_for, add=add, replace=[rows.column], provenance=provenance)


def _changed(own: pa.Array, changes: _Changes, names: list[Any]) -> pa.Array:
    """The labels with these changes made, whose rows are places in them."""
    if not len(changes.row):
        return own
    labels = own.to_pylist()
    for row, old, new in np.stack([changes.row, changes.old, changes.new], axis=1).tolist():
        label = labels[row]
        labels[row] = [names[new] if v == names[old] else v for v in label] if isinstance(label, list) else names[new]
    return pa.array(labels, own.type)


def _values(classes: Classes, kind: pa.DataType) -> list[Any]:
    """The classes as values of the column: booleans are counted as whole numbers elsewhere."""
    inner = kind.value_type if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind) else kind
    return [bool(name) if t.is_boolean(inner) else name for name in classes.names]

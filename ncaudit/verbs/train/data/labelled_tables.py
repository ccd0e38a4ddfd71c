"""The embeddings that `train --tune heads` learns from: tables joined to their labels, split by photo.

Knows embedding tables and score tables; nothing of heads or of the training loop.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ncaudit.counts import counted
from ncaudit.errors import BadTable, NcauditError
from ncaudit.objectives import TrainsOn
from ncaudit.options import TrainOptions
from ncaudit.progress import Progress
from ncaudit.schema import NOT_EMBEDDED, NOT_SCORED, OK
from ncaudit.shards.dataset.class_labels import require_class_column
from ncaudit.shards.files.locations import is_remote
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.places import scratch
from ncaudit.shards.readers import open_shard
from ncaudit.shards.tables.embeddings import EmbeddingBatch, EmbeddingTable, check_tables_agree, open_embeddings
from ncaudit.shards.tables.key_index import NOWHERE, Places
from ncaudit.shards.tables.made_from import refuse_another, source_of
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.train.data.classes import TrainingClasses, refuse_own, training_classes, validation_classes
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, Records, as_batch, record_type
from ncaudit.verbs.train.data.labelled_shards import (
    Labels,
    match_scores,
    own_labels,
    require_labels,
    require_own_labels,
)
from ncaudit.verbs.train.data.split import Mask, Sides, check_split, held_out, require_batch, val_share
from ncaudit.verbs.train.data.training_set import READ, READ_VAL, TrainingSet

OTHER_EMBEDDINGS = "score the embeddings as they are now, or give those that were scored"
SCAN_PAIRS = 8_192  # looked at together when photos are compared


@dataclass(frozen=True)
class Window:
    """Usable pairs, how many rows beside them were left out and why, and the first that is on one side only."""

    records: Records
    left_out: Counter[str]
    missing: str | None = None

    @property
    def rows(self) -> int:
        """All of them."""
        return len(self.records) + self.left_out.total()


@dataclass(frozen=True)
class LabelledTable:
    """One embedding table, and the score table that belongs to it; without one labels are its own, or all 1."""

    table: EmbeddingTable
    scores: ScoreTable | None
    label_column: str | None  # of the score table, or without one of the table itself; None: every label is 1
    record: np.dtype[Any]  # that all tables share
    classes: TrainingClasses | None = None  # that its rows carry, where the objective asks for them

    def windows(self) -> Iterator[Window]:
        """All rows in the table's order, then those of the score table that it does not have.

        Raises BadTable when the two have no pair in common.
        """
        if self.scores is None:
            for batch in self.table.batches():
                yield self._window(batch, self._own_labels(batch), np.array(batch.status, dtype=object))
            return
        labels = Labels(self.scores, self.label_column)
        taken = labels.once_each(self.table.shard.path)
        for batch in self.table.batches():
            places = labels.find(batch.pair_id)
            taken.take(places)
            yield self._joined(batch, labels, places, self.scores.shard.path)
        found = taken.found
        if not found.any():
            raise self._strangers(labels, self.scores.shard.path)
        if not found.all():
            first = labels.name_of(int(found.argmin()))
            missing = f"{self.table.shard.path} has no pair {first}"
            yield Window(np.empty(0, self.record), Counter({NOT_EMBEDDED: int((~found).sum())}), missing)

    def _own_labels(self, batch: EmbeddingBatch) -> npt.NDArray[np.float32]:
        if self.label_column is None:
            return np.ones(len(batch), dtype=np.float32)
        return own_labels(batch.carried.column(0), batch.ok, batch.pair_id, self.table.shard.path, self.label_column)

    def _joined(self, batch: EmbeddingBatch, labels: Labels, places: Places, scores: str) -> Window:
        unknown = places == NOWHERE
        told = np.where(unknown, NOT_SCORED, labels.status[places] if len(labels.label) else NOT_SCORED)
        status = np.where(batch.ok, told, np.array(batch.status, dtype=object))
        label = labels.label[places] if len(labels.label) else np.zeros(len(batch), dtype=np.float32)
        first = f"{scores} has no pair {batch.pair_id[int(unknown.argmax())]}" if unknown.any() else None
        return self._window(batch, label, status, first)

    def _window(
        self,
        batch: EmbeddingBatch,
        label: npt.NDArray[np.float32],
        status: npt.NDArray[Any],
        missing: str | None = None,
    ) -> Window:
        used: Mask = status == OK
        inner = used[batch.ok]  # of the ok rows, which are the only ones with embeddings
        records = np.empty(int(used.sum()), dtype=self.record)
        records["image"], records["text"] = batch.image[inner], batch.text[inner]
        records["photo"], records["caption"] = batch.image_id[inner], batch.caption_id[inner]
        records["label"] = label[used]
        if self.classes is not None:
            records["classes"] = self.classes.packed(batch.carried.column(0))[used]
        return Window(records, Counter(status[~used].tolist()), missing)

    def _strangers(self, labels: Labels, scores: str) -> BadTable:
        first = repr(labels.name_of(0)) if len(labels.label) else "missing"
        return BadTable(
            f"{scores} has no pair of {self.table.shard.path} (its first is {first})",
            fix="give the score tables of these embedding tables",
        )


def open_labelled_tables(options: TrainOptions) -> list[LabelledTable]:
    """Every embedding table with its score table, checked: names, content, labels, widths, models.

    Raises BadTable naming the table when its score table is missing, was made from another file, or has labels that
    are missing or outside [0, 1], or when the tables do not belong together.
    """
    if options.own_label_column:
        shards = find_shards(options.embeddings or (), options.features, options.max_row_bytes)
        for shard in shards:
            refuse_own(shard.path, options.own_label_column)
        require_own_labels(shards, options.own_label_column)
    tables = _open(options.embeddings or (), options, options.own_label_column)
    if options.by_class:
        return _with_classes(tables, options)
    record, column = record_type(*_dims(tables)), options.soft_label_column
    if not options.scores:
        return [LabelledTable(table, None, options.own_label_column, record) for table in tables]
    scores = dict(match_scores([table.shard for table in tables], options))
    for table in tables:
        _check_same_table(table, scores[table.shard])
    require_labels(list(scores.values()), column)
    return [LabelledTable(table, scores[table.shard], column, record) for table in tables]


def _with_classes(tables: Sequence[EmbeddingTable], options: TrainOptions) -> list[LabelledTable]:
    """The tables with the classes of their rows; every label is 1."""
    classes = training_classes([table.shard for table in tables], options.class_column)
    record = record_type(*_dims(tables), len(classes))
    return [LabelledTable(table, None, None, record, classes) for table in tables]


@dataclass(frozen=True)
class EmbeddedSet:
    """A training set of embeddings, with what heads need to begin."""

    pairs: TrainingSet
    train: EmbeddedPairs
    model: Any  # the `model` provenance that the tables agree on, or None
    tables: Sequence[EmbeddingTable]
    classes: int = 0  # that the pairs carry, where the objective asks for them


@contextmanager
def open_training_embeddings(options: TrainOptions, trains_on: TrainsOn, progress: Progress) -> Iterator[EmbeddedSet]:
    """Read every row once: join, count, split by photo, and keep in memory or in a spool file inside `options.out`.

    trains_on: of the labels; what it refuses can validate, but is not learnt from.
    Raises NcauditError as `open_labelled_tables` does, and when there are fewer training pairs than a batch holds or
    fewer than two validation photos.
    """
    labelled = open_labelled_tables(options)
    tables = [each.table for each in labelled]
    val, val_carried = _read_val_data(options, tables, progress) if options.val_data else (None, None)
    expected = sum(table.rows for table in tables)
    known = labelled[0].classes if labelled else None
    classes = 0 if known is None else len(known)
    with EmbeddedPairs(*_dims(tables), at_most=expected, folder=_spool_folder(options.out), classes=classes) as train:
        sides = Sides(share=val_share(options.held_share, expected), seed=options.seed, trains_on=trains_on)
        taken = _Taken(sides, train)
        statuses = _read_all(labelled, taken, progress)
        require_batch(len(train), options)
        if options.held_share:
            val = taken.val()
        photos = set() if val is None else set(val["photo"].tolist())
        shared = _shared_photos(train, photos) if options.val_data else 0
        check_split(options, sides.share, photos, shared, progress)
        pairs = TrainingSet(
            train, None if val is None else as_batch(val), val_photos=len(photos), dropped=sides.dropped,
            mean_label=sides.label_sum / len(train), statuses=statuses, shards=len(tables),
            unlabelled=taken.unlabelled, val_carried=val_carried,
        )  # fmt: skip
        yield EmbeddedSet(pairs, train, _model(tables), tables, classes)


class _Taken:
    """Windows of embedded pairs, each pair on its side."""

    def __init__(self, sides: Sides, train: EmbeddedPairs) -> None:
        self._sides, self._train, self.unlabelled = sides, train, 0
        self._val: list[Records] = []

    def take(self, records: Records) -> None:
        """One window, in order."""
        to_val, learnt = self._sides.of(records["photo"], records["label"])
        self._val.append(records[to_val])
        self._train.add(records[learnt])
        if "classes" in (records.dtype.names or ()):
            self.unlabelled += int((~records["classes"][learnt].any(axis=1)).sum())

    def val(self) -> Records:
        """All that was held out."""
        return np.concatenate(self._val)


def _read_all(labelled: Sequence[LabelledTable], taken: _Taken, progress: Progress) -> Counter[str]:
    progress.stage(READ, sum(each.table.rows for each in labelled))
    statuses: Counter[str] = Counter()
    missing: list[str] = []
    for window in (window for each in labelled for window in each.windows()):
        taken.take(window.records)
        statuses.update(window.left_out + Counter({OK: len(window.records)}))
        missing += [window.missing] if window.missing else []
        progress.advance(window.rows, window.left_out.total())
    if missing:
        count = statuses[NOT_SCORED] + statuses[NOT_EMBEDDED]
        pairs = counted(count, "pair is", "pairs are")
        progress.note(f"{pairs} in only one of embeddings and scores; the first: {missing[0]}")
    return statuses


def _read_val_data(
    options: TrainOptions, tables: Sequence[EmbeddingTable], progress: Progress
) -> tuple[Records, Tensor | None]:
    """The user's own validation tables: all pairs, or a seeded choice of photos where they are too many.

    Beside them, where the objective asks for classes, the (n, C) bool table of those that they carry.
    """
    own = _open(options.val_data or (), options)
    check_tables_agree([*tables, *own])
    shards = [table.shard for table in own]
    classes = training_classes(shards, options.class_column) if options.by_class else None  # theirs: may be others
    record, rows = record_type(*_dims(own), len(classes or ())), sum(table.rows for table in own)
    share, chosen, failed = val_share(1.0, rows), [np.empty(0, dtype=record)], 0
    progress.stage(READ_VAL, rows)
    labelled = [LabelledTable(table, None, None, record, classes) for table in own]
    for window in (window for each in labelled for window in each.windows()):
        chosen.append(window.records[held_out(window.records["photo"], share=share, seed=options.seed)])
        failed += window.left_out.total()
        progress.advance(window.rows, window.left_out.total())
    if failed:
        progress.note(f"{failed:,} of {counted(rows, 'validation row')} cannot be used")
    val = np.concatenate(chosen)
    if classes is None:
        return val, None
    return val, validation_classes(val["classes"], classes)


def _shared_photos(train: EmbeddedPairs, photos: set[int]) -> int:
    wanted, found = np.array(sorted(photos), dtype=np.int64), set[int]()
    for first in range(0, len(train), SCAN_PAIRS):
        part = train.take(np.arange(first, min(first + SCAN_PAIRS, len(train))))["photo"]
        found.update(part[np.isin(part, wanted)].tolist())
    return len(found)


def _open(sources: Sequence[str], options: TrainOptions, labels: str | None = None) -> list[EmbeddingTable]:
    """labels: a column of the tables' own that tells them."""
    shards = find_shards(sources, options.features, options.max_row_bytes)
    columns = [] if labels is None else [labels]
    if options.by_class:
        columns = [options.class_column]
        for shard in shards:
            refuse_own(shard.path, options.class_column)
            require_class_column(shard.path, open_shard(shard).schema, options.class_column)
    tables = [open_embeddings(shard, columns=columns) for shard in shards]
    check_tables_agree(tables)
    if not all(_dims(tables)):
        raise NcauditError(f"{tables[0].shard.path} has no embeddings", fix="give tables with embeddings")
    return [table for table in tables if table.rows]


def _dims(tables: Sequence[EmbeddingTable]) -> tuple[int, int]:
    """Of a table without any usable row they are not known, and 0."""
    return max(table.image_dims for table in tables), max(table.text_dims for table in tables)


def _model(tables: Sequence[EmbeddingTable]) -> Any:
    told = ((table.provenance or {}).get("model") for table in tables)
    return next((model for model in told if model), None)


def _check_same_table(table: EmbeddingTable, scores: ScoreTable) -> None:
    refuse_another(table.shard, scores.shard.path, source_of(scores.provenance), OTHER_EMBEDDINGS)


def _spool_folder(out: str) -> str:
    """Where there is room on this machine for what does not fit into memory."""
    return scratch.folder() if is_remote(out) else out

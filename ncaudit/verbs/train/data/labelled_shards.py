"""The user's shards joined to their labels or classes, row by row: which pairs may be learnt from, and why others not.

Knows shards and score tables; nothing of pixels or of training. The dataset is read, never copied.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.counts import counted
from ncaudit.errors import BadTable, UsageError
from ncaudit.hashing import hash_values
from ncaudit.nearest import did_you_mean
from ncaudit.options import DataOptions, TrainOptions
from ncaudit.schema import NOT_SCORED, OK
from ncaudit.shards.columns import Columns, find_columns, key_candidates, refuse_unread_root
from ncaudit.shards.dataset.class_labels import require_class_column
from ncaudit.shards.dataset.rows import Rows, read_column, read_rows, text
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import ShardFile, open_shard
from ncaudit.shards.tables.checks import refuse_unscored
from ncaudit.shards.tables.key_index import NOWHERE, KeyIndex, OnceEach, Places
from ncaudit.shards.tables.made_from import data_of, match_by_name, refuse_another
from ncaudit.shards.tables.scores import ScoreTable, open_scores
from ncaudit.shards.tables.told_rates import SOFT_LABEL, any_there, no_labels, why_no_labels
from ncaudit.verbs.train.data.classes import Packed, TrainingClasses, refuse_own, training_classes

OTHER_DATA = (
    "embed and score the dataset as it is now, or give the one that was scored, or with --key the column that holds the"
    " pair_ids"
)
WINDOW_ROWS = 512
Floats = npt.NDArray[np.float32]
Hashes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs that may be learnt from, not decoded yet."""

    pair_id: list[str]
    images: list[bytes]
    captions: list[str]
    label: Floats  # (n,)
    photo: Hashes  # (n,) of the image's bytes
    classes: Packed  # (n, bytes) one bit per class; (n, 0) where nobody asks for classes

    def __len__(self) -> int:
        return len(self.images)

    def select(self, wanted: npt.NDArray[np.bool_]) -> "LabelledPairs":
        """The pairs where `wanted` is true."""
        if wanted.all():
            return self
        at = np.flatnonzero(wanted).tolist()
        return LabelledPairs(
            [self.pair_id[i] for i in at], [self.images[i] for i in at], [self.captions[i] for i in at],
            self.label[wanted], self.photo[wanted], self.classes[wanted],
        )  # fmt: skip

    def part(self, at: slice) -> "LabelledPairs":
        """The pairs of a slice."""
        return LabelledPairs(
            self.pair_id[at], self.images[at], self.captions[at], self.label[at], self.photo[at], self.classes[at]
        )


@dataclass(frozen=True)
class ClassColumn:
    """The classes of a dataset's pairs, and who tells them: the shards themselves, or their score tables."""

    known: TrainingClasses
    in_scores: bool


@dataclass(frozen=True)
class LabelledShard:
    """One shard of the dataset, and the score table that belongs to it (none for validation data)."""

    shard: Shard
    columns: Columns
    scores: ScoreTable | None
    label_column: str | None  # of the score table, or without one of the shard itself; None: every label is 1
    image_root: str | None
    classes: ClassColumn | None = None  # where the objective asks for them

    @property
    def rows(self) -> int:
        """Rows on disk; a row with several captions holds more pairs."""
        return open_shard(self.shard).rows

    def windows(self) -> Iterator[tuple[LabelledPairs, Counter[str]]]:
        """Usable pairs in the shard's order, and how many rows of each status were left out beside them."""
        known = None if self.scores is None else Labels(self.scores, self.label_column)
        scored = self._classes_of_scores()
        taken = None if known is None else known.once_each(self.shard.path)
        for rows in read_rows(self.shard, self.columns, rows=WINDOW_ROWS, image_root=self.image_root):
            places = None if known is None else known.find(rows.pair_id)
            if taken is not None and places is not None:
                taken.take(places)
            classes = self._own_classes(rows) if scored is None or places is None else scored[places]
            label = self._own_labels(rows) if known is None else _told_labels(rows, known, places)
            yield _usable(rows, known, places, classes, label)

    def _own_labels(self, rows: Rows) -> Floats:
        """The labels that the shard tells itself, of usable pairs; without such a column 1."""
        if self.label_column is None or not self.columns.carried:
            return np.ones(len(rows), dtype=np.float32)
        where = f"{self.shard.path}, rows {rows.row[0]:,} to {rows.row[-1]:,}" if len(rows) else self.shard.path
        used = np.array([problem is None for problem in rows.status], dtype=bool)
        return own_labels(rows.carried.column(0), used, rows.pair_id, where, self.label_column)

    def _classes_of_scores(self) -> Packed | None:
        """The classes of every row of the score table, where it is the one that tells them."""
        if self.scores is None or self.classes is None or not self.classes.in_scores:
            return None
        name = self.classes.known.name
        return self.classes.known.packed(self.scores.read([name])[name].combine_chunks())

    def _own_classes(self, rows: Rows) -> Packed:
        if self.classes is None:
            return np.empty((len(rows), 0), dtype=np.uint8)
        if self.columns.carried:
            return self.classes.known.packed(rows.carried.column(0))
        return self.classes.known.packed(pa.array(rows.captions, pa.string()))  # the class is the caption


class Labels:
    """The labels of one score table by pair_id. Raises BadTable when they are no labels."""

    def __init__(self, scores: ScoreTable, column: str | None) -> None:
        """column: of the labels; None: every label is 1."""
        if column is not None and column not in scores.schema.names:
            raise BadTable(
                f"{scores.shard.path} has no column {column} (found: {', '.join(scores.schema.names)})",
                fix=f"{did_you_mean(column, scores.schema.names)}name a column in [0, 1], or a boolean one, with "
                "--label-column",
            )
        table = scores.read([] if column is None else [column])
        self._pairs = KeyIndex(table["pair_id"])
        self._pairs.refuse_repeats(scores.shard.path)
        self.status = np.array(table["status"].fill_null("embedding_invalid").to_pylist(), dtype=object)
        self.label = np.ones(len(table), dtype=np.float32)
        if column is not None:
            self.label = _numbers(table[column], scores.shard.path, column)
            _check_labels(self, scores.shard.path, column)
        self.total = float(self.label[self.status == OK].sum(dtype=np.float64))

    def find(self, pair_ids: Sequence[str]) -> Places:
        """Each pair's place in the table; NOWHERE where it is not there."""
        return self._pairs.places(pair_ids)

    def once_each(self, path: str) -> OnceEach:
        """What refuses rows of a table or shard, at `path`, that are called alike."""
        return OnceEach(self._pairs, path)

    def name_of(self, place: int) -> str:
        """The pair_id at a place of the table."""
        return self._pairs.key(place)


def open_labelled(options: TrainOptions) -> list[LabelledShard]:
    """Every shard of the dataset with its score table, checked: names, content, labels or classes, rows.

    A shard may be another file than the one that was scored only where --key names the column that joins them.
    Raises NcauditError naming the shard when a score table is missing, was made from another file, has labels that are
    missing or outside [0, 1], or has no pair of the shard; and where there are no classes, or none that could be learnt
    from, for an objective that asks for them. Without --scores every label is 1.
    """
    shards = _open_scored(options) if options.scores else _open_own(options)
    if not options.val_data:  # whose images may be named by paths
        refuse_unread_root((shard.columns for shard in shards), options.image_root)
    return shards


def _open_scored(options: TrainOptions) -> list[LabelledShard]:
    matched = match_scores(find_shards(options.data or (), max_row_bytes=options.max_row_bytes), options)
    for shard, scores in () if options.key else matched:
        refuse_another(shard, scores.shard.path, data_of(scores.provenance), OTHER_DATA)
    if not options.by_class:
        require_labels([scores for _, scores in matched], options.soft_label_column)
    classes = _classes_of_either(matched, options.class_column) if options.by_class else None
    return [_open(shard, scores, options, classes) for shard, scores in matched]


def _open_own(options: TrainOptions) -> list[LabelledShard]:
    """The shards without score tables, labels being a column of their own, or all 1."""
    name = options.own_label_column
    shards = find_shards(options.data or (), max_row_bytes=options.max_row_bytes)
    if name is None:
        return open_unlabelled(options.data or (), options)
    require_own_labels(shards, name)
    return [_open_labelled_by(shard, name, options) for shard in shards]


def _open_labelled_by(shard: Shard, name: str, options: TrainOptions) -> LabelledShard:
    columns = find_columns(open_shard(shard).schema, shard.name, options, carry=[name])
    if not columns.carried:
        raise BadTable(f"{shard.path}: {name} holds the images or captions, and no labels", fix="name another column")
    return LabelledShard(shard, columns, None, name, options.image_root)


def open_unlabelled(sources: Sequence[str], options: TrainOptions) -> list[LabelledShard]:
    """The shards of a dataset without score tables: of one to validate on, its classes are its own."""
    shards = find_shards(sources, max_row_bytes=options.max_row_bytes)
    classes = None
    if options.by_class:
        for shard in shards:
            require_class_column(shard.path, open_shard(shard).schema, options.class_column)
        classes = ClassColumn(training_classes(shards, options.class_column), False)
    return [_open(shard, None, options, classes) for shard in shards]


def _classes_of_either(matched: Sequence[tuple[Shard, ScoreTable]], name: str) -> ClassColumn:
    """The classes that the shards tell, which are the user's own; where no shard does, those of the score tables."""
    own = {shard: open_shard(shard).schema for shard, _ in matched}
    of_scores = {scores.shard: scores.schema for _, scores in matched}
    in_scores = not any(name in schema.names for schema in own.values())
    if in_scores and not any(name in schema.names for schema in of_scores.values()):
        shard, scores = matched[0]
        raise BadTable(
            f"neither {shard.path} nor {scores.shard.path} has a column {name!r}",
            fix=f"give --label-column; the dataset has: {', '.join(own[shard].names)};"
            f" its scores: {', '.join(scores.schema.names)}",
        )
    for shard, schema in (of_scores if in_scores else own).items():
        if in_scores:
            refuse_own(shard.path, name)
        require_class_column(shard.path, schema, name)
    return ClassColumn(training_classes(list(of_scores if in_scores else own), name), in_scores)


def expected_pairs(shards: Sequence[LabelledShard]) -> int:
    """An upper bound of the usable pairs: ok rows of the score tables, or the rows of the shards."""
    return sum(_ok_rows(shard) for shard in shards)


def _ok_rows(labelled: LabelledShard) -> int:
    if labelled.scores is None:
        return labelled.rows
    return sum(int(pc.sum(pc.equal(batch["status"], OK)).as_py() or 0) for batch in labelled.scores.batches([]))


def _usable(
    rows: Rows, known: Labels | None, places: Places | None, classes: Packed, label: Floats
) -> tuple[LabelledPairs, Counter[str]]:
    status = [problem or OK for problem in rows.status]
    if known is not None and places is not None and len(rows):
        scored = [NOT_SCORED if place == NOWHERE else str(known.status[place]) for place in places]
        status = [own if own != OK else told for own, told in zip(status, scored, strict=True)]
    at = [i for i, word in enumerate(status) if word == OK]
    images = [image for i in at if (image := rows.images[i]) is not None]
    captions = [str(rows.captions[i]) for i in at]
    photo = hash_values(pa.array(images, pa.large_binary()))
    pair_id = [rows.pair_id[i] for i in at]
    pairs = LabelledPairs(pair_id, images, captions, label[at].astype(np.float32), photo, classes[at])
    return pairs, Counter(word for word in status if word != OK)


def _told_labels(rows: Rows, known: Labels, places: Places | None) -> Floats:
    """The labels of the score table; of a pair that it lacks any number, as such a pair is left out."""
    return known.label[places] if len(known.label) and len(rows) else np.ones(len(rows), dtype=np.float32)


def own_labels(
    column: pa.Array, used: npt.NDArray[np.bool_], names: Sequence[str], where: str, column_name: str
) -> Floats:
    """The labels that data tell themselves, (n,). used: (n,) the rows that count. Raises BadTable as `Labels` does."""
    label = _numbers(column, where, column_name)
    _require_labels(label, used, names.__getitem__, where, column_name)
    return label


def require_own_labels(shards: Sequence[Shard], name: str) -> None:
    """Raises UsageError where the data have no such column: then --label-column would change nothing.

    Raises BadTable where it holds no labels, or every one is 0.
    """
    total = 0.0
    for shard in shards:
        found = open_shard(shard).schema.names
        if name not in found:
            raise UsageError(
                f"--label-column {name} is none of {shard.path} (found: {', '.join(found)}), and there are no --scores",
                fix="give --scores, whose column it is, or a column of the data in [0, 1] or boolean",
            )
        for column in read_column(shard, name, open_shard(shard)):
            total += float(np.nansum(_numbers(column, shard.path, name)))
    if not total:
        raise BadTable(f"every {name} is 0", fix="name another column of labels with --label-column")


def match_scores(shards: Sequence[Shard], options: TrainOptions) -> list[tuple[Shard, ScoreTable]]:
    """Each shard with the score table of its name. Raises BadTable naming the first shard that has none."""
    found = find_shards(options.scores or (), max_row_bytes=options.max_row_bytes)
    tables = [open_scores(table) for table in found]
    for table in tables:
        refuse_unscored(table.shard.path, table.schema)
    return list(match_by_name(shards, tables, "score table", whole=False).items())  # one may train on a part


def require_labels(tables: Sequence[ScoreTable], column: str) -> None:
    """Raises BadTable when labels are missing or outside [0, 1] in ok rows, or all of them are 0."""
    told = [(table.shard.path, table.provenance) for table in tables] if column == SOFT_LABEL else []
    by_path = {table.shard.path: table for table in tables}
    if none := why_no_labels(told, lambda path: _labelled_since(by_path[path])):
        raise no_labels(*none, "train by soft_label")
    if not sum([Labels(table, column).total for table in tables]):  # a list: every table is to be looked at
        raise BadTable(f"every {column} is 0", fix="name another column of labels with --label-column")


def _labelled_since(table: ScoreTable) -> bool:
    """Whether somebody has filled in the labels that this table says it has not."""
    if SOFT_LABEL not in table.schema.names:
        return False
    return any_there(batch.select([SOFT_LABEL]) for batch in table.batches([SOFT_LABEL]))


def _open(shard: Shard, scores: ScoreTable | None, options: TrainOptions, classes: ClassColumn | None) -> LabelledShard:
    file = open_shard(shard)
    key = _key(shard, scores, file, options) if scores is not None else None
    carry = [] if classes is None or classes.in_scores else [classes.known.name]
    columns = find_columns(file.schema, shard.name, options, key=key, carry=carry)
    if carry == [columns.image]:
        raise BadTable(f"{shard.path}: column {columns.image} holds the images", fix="give another --label-column")
    label_column = options.soft_label_column if classes is None and scores is not None else None
    return LabelledShard(shard, columns, scores, label_column, options.image_root, classes)


def _key(shard: Shard, scores: ScoreTable, file: ShardFile, options: DataOptions) -> str | None:
    """The column that the score table names its pairs by: the first under which it knows a row of the shard."""
    ids = scores.read([])["pair_id"].to_pylist()
    known = {*ids, *(name.rpartition("/")[0] for name in ids)}  # without the caption's number
    wanted = [options.key] if options.key else []
    if options.key is None:
        wanted = key_candidates(file.schema, one_folder=True)
    for column in wanted:
        if any(value in known for batch in read_column(shard, column, file) for value in text(batch.cast(pa.string()))):
            return column
    if not options.key and any(name.startswith(f"{shard.stem}/") for name in known):
        return None
    raise BadTable(
        f"{scores.shard.path} has no pair of {shard.path} (its first is {ids[0] if ids else 'missing'!r})",
        fix="give the score tables of this dataset, under the names they were embedded with, and the same --key",
    )


def _numbers(column: pa.Array | pa.ChunkedArray, path: str, name: str) -> Floats:
    kind = column.type
    if not (pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise BadTable(f"{path}: {name} is {kind}, no label", fix="name a column in [0, 1], or boolean: --label-column")
    nan_for_null = pc.fill_null(column.cast(pa.float64()), float("nan"))
    return np.asarray(nan_for_null.to_numpy(), dtype=np.float32)


def _check_labels(labels: Labels, path: str, column: str) -> None:
    _require_labels(labels.label, labels.status == OK, labels.name_of, path, column)


def _require_labels(
    label: Floats, used: npt.NDArray[np.bool_], name_of: Callable[[int], str], path: str, column: str
) -> None:
    missing = used & np.isnan(label)
    if missing.any():
        raise BadTable(
            f"{path}: {column} is null or nan in {missing.sum():,} of {counted(used.sum(), 'ok row')}"
            f" (first: {name_of(int(missing.argmax()))})",
            fix="score with a scorer that gives soft labels (bicro), or name another column with --label-column",
        )
    outside = used & ((label < 0) | (label > 1))
    if outside.any():
        first = int(outside.argmax())
        raise BadTable(
            f"{path}: {column} is outside [0, 1] in {counted(outside.sum(), 'ok row')}"
            f" (first: {name_of(first)}, {label[first]:g})",
            fix="name a column of labels in [0, 1] with --label-column",
        )

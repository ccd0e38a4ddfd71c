"""`show`: the pairs of score tables that are worth a look, with what judged them; of label tables the unlikely classes.

Knows options, tables and the dataset behind them; nothing of Typer, and nothing of models: no torch is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ncaudit.counts import counted
from ncaudit.judging.galleries.cells import whole_length
from ncaudit.judging.galleries.collector import Found, Row
from ncaudit.judging.galleries.named import WITNESSES, find_named, in_data
from ncaudit.options import ShowOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.streams.standard_input import received
from ncaudit.shards.tables.pairs_in_data import Dataset, InData
from ncaudit.shards.tables.scores import ScoreTable, open_scores
from ncaudit.verbs.outputs import inputs_of
from ncaudit.verbs.show.lists import LOOK, holds_classes, looked_through
from ncaudit.verbs.show.pictures import Pictures, pictures

FIND = "find the pairs"  # a stage
ANCHORS = ("image_anchor", "text_anchor")
OF_ANCHOR = ("shard", "row", "caption")  # what is looked up of it


@dataclass(frozen=True, kw_only=True)
class ShownRow:
    """What is told of every row that is shown."""

    list: str  # name of the list that it stands in
    pair_id: str
    status: str | None
    shard: str | None
    row: int | None
    caption: str | None
    caption_characters: int | None = None  # of the whole caption, where it was cut
    image: str | None = None  # the file that its picture was written to
    image_problem: str | None = None  # why there is no picture, where one was asked for


@dataclass(frozen=True, kw_only=True)
class ShownPair(ShownRow):
    """A row of a score table."""

    soft_label: float | None
    similarity: float | None
    score: float | None
    verdict: str | None
    reason: str | None
    image_anchor: str | None
    image_anchor_caption: str | None = None
    text_anchor: str | None
    text_anchor_caption: str | None = None
    caption_count: int | None
    image_count: int | None
    suggested_caption: str | None
    suggested_pair: str | None
    suggested_probability: float | None


@dataclass(frozen=True, kw_only=True)
class ShownClass(ShownRow):
    """A row of a label table."""

    given_label: Any
    label_quality: float | None
    suggested_label: Any
    partition: str | None
    image_neighbour_label: Any
    image_neighbour_share: float | None
    text_neighbour_label: Any
    text_neighbour_share: float | None
    why: Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class ShownList:
    """A list that was asked for. count: how many rows belong in it, of which the first are shown."""

    name: str
    title: str
    rule: str
    count: int


@dataclass(frozen=True, kw_only=True, repr=False)
class ShowResult(Readable, first=("rows", "pairs", "images")):
    """What is shown, of how many rows."""

    pairs: tuple[ShownPair | ShownClass, ...]
    lists: tuple[ShownList, ...]
    rows: int  # of all tables
    images: str | None = None  # folder of the pictures
    notes: tuple[str, ...] = ()


def show(options: ShowOptions, progress: Progress = SILENT) -> ShowResult:
    """The first rows of the lists that are asked for. One pass over the tables, one over their names for the anchors,
    and, where `data` is named, one over the shards that hold what is shown; memory does not grow with the rows.

    Raises NcauditError when these are no score or label tables, or `data` is another dataset than the one behind them.
    """
    with made_by(options), received(options.scores) as given:
        result = _show(replace(options, scores=given.sources), progress)
        return replace(result, notes=(*given.notes, *result.notes))


def _show(options: ShowOptions, progress: Progress) -> ShowResult:
    dataset, tables = opened(options)
    progress.job("show", {LOOK: 1.0, WITNESSES: 0.2} | ({FIND: 0.0} if dataset else {}))
    found = looked_through(options, tables, progress)
    judges = find_named(tables, {name for row in _rows(found) for name in _anchors_of(row)}, OF_ANCHOR, progress)
    shown = _Shown(options, tables, found, judges)
    pairs = shown.pairs if dataset is None else shown.with_data(dataset, progress)
    return ShowResult(
        pairs=tuple(pairs),
        lists=tuple(_list_of(one) for one in found),
        rows=sum(table.rows for table in tables),
        images=options.images if any(pair.image for pair in pairs) else None,
        notes=tuple(_notes(options, pairs)),
    )


def opened(options: ShowOptions) -> tuple[Dataset | None, list[ScoreTable]]:
    """The dataset and the tables. Raises NcauditError for a wrong name of either, before any work."""
    dataset = Dataset(options.data, options.of_data) if options.data else None
    return dataset, [open_scores(shard) for shard in find_shards(options.scores)]


def _rows(found: Sequence[Found]) -> Iterator[Row]:
    return (row for one in found for row in one.rows)


def _anchors_of(row: Row) -> list[str]:
    return [name for column in ANCHORS if (name := row.get(column)) is not None]


def _list_of(one: Found) -> ShownList:
    gallery = one.gallery
    return ShownList(name=gallery.name, title=gallery.title, rule=gallery.rule, count=one.count)


class _Shown:
    """The rows that are shown, before and after the dataset was asked."""

    def __init__(
        self, options: ShowOptions, tables: Sequence[ScoreTable], found: Sequence[Found], judges: Mapping[str, Row]
    ) -> None:
        self._options, self._tables, self._judges = options, tables, judges
        self._rows = list(_rows(found))
        self._kind = ShownClass if holds_classes(tables[0]) else ShownPair
        names = [one.gallery.name for one in found for _ in one.rows]
        self.pairs = [self._pair(name, row) for name, row in zip(names, self._rows, strict=True)]

    def _pair(self, name: str, row: Row) -> ShownPair | ShownClass:
        told = {field.name: row.get(field.name) for field in fields(self._kind) if field.name in row.cells}
        for column in ANCHORS:
            judge = self._judges.get(row.get(column) or "")
            told |= {f"{column}_caption": judge.get("caption")} if judge and self._kind is ShownPair else {}
        needed = {field.name: None for field in fields(self._kind)}
        return self._kind(**{**needed, **told, "list": name, "caption_characters": whole_length(row.cells, "caption")})

    def with_data(self, dataset: Dataset, progress: Progress) -> list[ShownPair | ShownClass]:
        """The same with captions and pictures from the dataset."""
        lacking = [name for name, judge in self._judges.items() if judge.get("caption") is None]
        rows = [*self._rows, *(self._judges[name] for name in lacking)]
        wanted = [in_data(self._tables, row) for row in rows]
        progress.stage(FIND, len(wanted), "pairs")
        captions = dict[str, str | None]()
        with pictures() as held:
            for number, pair in dataset.pairs(wanted):
                if number < len(self.pairs):
                    self.pairs[number] = self._seen(self.pairs[number], pair, held)
                else:
                    captions[lacking[number - len(self.pairs)]] = pair.caption
                progress.advance(1)
            if self._options.images is not None:
                self._write(held, self._options.images, dataset)
        return [_with_anchors(pair, captions) for pair in self.pairs]

    def _seen(self, pair: ShownPair | ShownClass, there: InData, held: Pictures) -> Any:
        told = replace(pair, caption=there.caption) if pair.caption is None else pair
        if self._options.images is None:
            return told
        if there.image is None:
            return replace(told, image_problem=there.missing)
        return replace(told, image=join(self._options.images, held.hold(pair.pair_id, there.image)))

    def _write(self, held: Pictures, folder: str, dataset: Dataset) -> None:
        options = self._options
        inputs = inputs_of([table.shard for table in self._tables], dataset.shards)
        told = {"scores": sorted(table.shard.path for table in self._tables), "worst": options.worst}
        held.write(folder, inputs, told, overwrite=options.overwrite)


def _with_anchors(pair: ShownPair | ShownClass, captions: Mapping[str, str | None]) -> ShownPair | ShownClass:
    if not isinstance(pair, ShownPair):
        return pair
    return replace(
        pair,
        image_anchor_caption=captions.get(pair.image_anchor or "", pair.image_anchor_caption),
        text_anchor_caption=captions.get(pair.text_anchor or "", pair.text_anchor_caption),
    )


def _notes(options: ShowOptions, pairs: Sequence[ShownRow]) -> Iterator[str]:
    if not options.data and pairs and all(pair.caption is None for pair in pairs):
        yield "these tables carry no captions: name the dataset with --data to see them"
    lacking = sum(pair.image_problem is not None for pair in pairs)
    if lacking:
        yield f"{lacking:,} of {counted(len(pairs), 'pair has no picture', 'pairs have no picture')}"

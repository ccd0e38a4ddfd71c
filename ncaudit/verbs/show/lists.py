"""Which rows `show` shows, and what tables must have for that; all of them found in one pass over the tables.

Knows score and label tables and galleries; nothing of the dataset or of how pairs are shown.
"""

import shlex
from collections.abc import Sequence

import numpy as np

from ncaudit.errors import BadTable
from ncaudit.judging.galleries.collector import SHOWN, Collector, Found
from ncaudit.judging.galleries.rules import AGAINST_SIMILARITY, UNSURE, WORST, Gallery, of_reason
from ncaudit.options import ShowOptions
from ncaudit.progress import Progress
from ncaudit.shards.files.locations import common_folder
from ncaudit.shards.tables.checks import is_unscored, refuse_unscored, require_column
from ncaudit.shards.tables.scores import ScoreTable

LOOK = "look through the rows"  # a stage
NUMBERS = ("soft_label", "score", "similarity")  # pairs are ranked by the first that there is
OF_CLASSES = (
    *("pair_id", "shard", "row", "status", "caption", "given_label", "partition", "label_quality", "suggested_label"),
    *("image_neighbour_label", "image_neighbour_share", "text_neighbour_label", "text_neighbour_share", "why"),
)
WORST_CLASSES = Gallery(
    "worst-classes",
    "Worst classes",
    "The lowest label_quality of all: the given class is least likely to be right.",
    lambda cells: cells.ok & ~np.isnan(cells.number("label_quality")),
    lambda cells: cells.number("label_quality"),
)


def holds_classes(table: ScoreTable) -> bool:
    """Whether `labels` wrote it, and not `score`."""
    return "label_quality" in table.schema.names and not {"score", "soft_label"} & set(table.schema.names)


def galleries(options: ShowOptions, tables: Sequence[ScoreTable]) -> list[Gallery]:
    """The lists that are asked for. Raises BadTable where a table lacks what they go by."""
    if any(map(holds_classes, tables)):
        return _of_classes(options, tables)
    _refuse_embeddings(tables)
    for table in tables:
        _require(options, table)
    if options.against is not None:
        return list(AGAINST_SIMILARITY)
    if options.reason is not None:
        return [of_reason(options.reason)]
    return [UNSURE] if options.unsure else [WORST]


def _of_classes(options: ShowOptions, tables: Sequence[ScoreTable]) -> list[Gallery]:
    for table in tables:
        if not holds_classes(table):
            what = f"{table.shard.path} holds no judged classes, and {tables[0].shard.path} does"
            raise BadTable(what, fix="show score tables and label tables one after the other")
    asked = {"--unsure": options.unsure, "--reason": options.reason, "--against": options.against}
    for flag, value in asked.items():
        if value:
            what = f"{flag} is about score tables, and {tables[0].shard.path} holds judged classes"
            raise BadTable(what, fix="leave it out: the least likely classes are shown; or give what `score` wrote")
    return [WORST_CLASSES]


def _refuse_embeddings(tables: Sequence[ScoreTable]) -> None:
    """Where they lie beside score tables, as below what `audit` wrote, the others are meant."""
    unscored = [table for table in tables if is_unscored(table.schema)]
    scored = [table.shard.path for table in tables if not is_unscored(table.schema)]
    if unscored and scored:
        what = f"{unscored[0].shard.path} holds embeddings, and {scored[0]} scores"
        raise BadTable(what, fix=f"give the score tables alone: ncaudit show {shlex.quote(common_folder(scored))}")


def _require(options: ShowOptions, table: ScoreTable) -> None:
    path, schema = table.shard.path, table.schema
    refuse_unscored(path, schema)
    if not set(NUMBERS) & set(schema.names):
        require_column(path, schema, "soft_label")
    if options.reason is not None:
        require_column(path, schema, "reason")
    if options.against is not None:
        require_column(path, schema, "similarity")
    if (options.against is not None or options.unsure) and "verdict" not in schema.names:
        require_column(path, schema, "soft_label")


def looked_through(options: ShowOptions, tables: Sequence[ScoreTable], progress: Progress) -> list[Found]:
    """The lists, from one pass over all rows."""
    columns = OF_CLASSES if holds_classes(tables[0]) else SHOWN
    collector = Collector(galleries(options, tables), options.worst, columns)
    progress.stage(LOOK, sum(table.rows for table in tables))
    for table in tables:
        for batch in table.batches(_there(table, columns)):
            collector.add(batch)
            progress.advance(len(batch))
    return collector.found()


def _there(table: ScoreTable, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name in table.schema.names]

"""The sample of all tables, drawn by whoever does the shards: each table tells the rows that may be in it.

Knows sites and tables; nothing of what is fitted. Of each table only the rows come here whose keys are small enough to
be among the wanted ones, so that neither this process nor the way to it ever holds more than some more than these.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.engines.jobs import Site, Task, finding, found_by
from ncaudit.judging import fit_sample
from ncaudit.judging.fit_sample import ALL, Drawing, Drawn, Sample, Span
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.tables.embeddings import EmbeddingTable


def draw(site: Site, tables: Sequence[EmbeddingTable], *, pairs: int, seed: int, progress: Progress) -> Sample:
    """As `fit_sample.draw` has it, and the very same."""
    if not site.elsewhere:
        return fit_sample.draw(tables, pairs=pairs, seed=seed, progress=progress)
    drawing, span = Drawing(pairs), Span.likely(pairs, sum(table.rows for table in tables))
    find = partial(_drawn, pairs=pairs, seed=seed, span=span)
    while True:
        for drawn in found_by(site.engine(finding(find)), _tasks(tables), progress):
            drawing.add(drawn)
        if drawing.found >= pairs or span.upto == ALL:
            return drawing.sample()
        span = span.next(pairs, drawing.found)
        progress.status("more of the rows, as some have failed")
        find = partial(_drawn, pairs=pairs, seed=seed, span=span, heard=False)


def _drawn(
    item: tuple[int, EmbeddingTable], progress: Progress, *, pairs: int, seed: int, span: Span, heard: bool = True
) -> Drawn:
    """heard: whether rows are counted; they are when they are read for the first time."""
    number, table = item
    listener = progress if heard else SILENT
    return fit_sample.drawn_of(table, number, pairs=pairs, seed=seed, span=span, progress=listener)


def texts_of(
    site: Site, tables: Sequence[EmbeddingTable], caption_id: npt.NDArray[np.int64], progress: Progress
) -> Mapping[int, str]:
    """These captions as the tables have them, by their ids; those that they carry no text of are left out."""
    find = partial(_texts, wanted=np.unique(caption_id))
    found: dict[int, str] = {}
    for texts in found_by(site.engine(finding(find)), _tasks(tables), progress):
        found |= texts
    return found


def _texts(item: tuple[int, EmbeddingTable], progress: Progress, *, wanted: npt.NDArray[np.int64]) -> Mapping[int, str]:
    texts: dict[int, str] = {}
    for ids, captions in item[1].captions():
        places = np.flatnonzero(np.isin(ids, wanted))
        texts.update(zip(ids[places].tolist(), captions.take(pa.array(places)).to_pylist(), strict=True))
    return texts


def _tasks(tables: Sequence[EmbeddingTable]) -> list[Task]:
    each: list[tuple[int, Any]] = list(enumerate(tables))
    return [Task(table.shard, (number, table), table.rows) for number, table in each]

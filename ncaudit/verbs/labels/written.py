"""Label tables, written by whoever does the shards: each gets the answers on its own rows, and no others.

Knows tables and the answers on their rows; nothing of how classes are judged.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.engines.jobs import Does, Job
from ncaudit.engines.local import ShardRows
from ncaudit.progress import Progress
from ncaudit.shards.claims.claims import followed
from ncaudit.shards.claims.records import FOLDER_RECORD
from ncaudit.shards.dataset.class_labels import Class
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.provenance import Provenance, attach
from ncaudit.shards.files.writer import atomic_table
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.verbs.labels.label_rows import LabelColumns, LabelTally, label_batch


@dataclass(frozen=True)
class Form:
    """What all label tables of a run share. names: of the classes, by their number."""

    names: Sequence[Class]
    schema: pa.Schema


@dataclass(frozen=True)
class Answers:
    """On the rows of one table that are `ok`. pair_ids: what the pairs are called that `columns.why` numbers."""

    columns: LabelColumns
    ok: npt.NDArray[np.bool_]  # of all of its rows
    pair_ids: pa.Array

    @classmethod
    def of(cls, columns: LabelColumns, ok: npt.NDArray[np.bool_], every: pa.Array) -> "Answers":
        """columns: `why` numbers all pairs of the run, which are called `every`; of these, only the named are kept."""
        number, place = np.unique(columns.why, return_inverse=True)
        none = int(np.searchsorted(number, 0))  # -1 comes before all, if it is there
        why = (place - none).reshape(columns.why.shape)
        named = every.take(pa.array(number[none:].astype(np.int64)))
        return cls(replace(columns, why=np.maximum(why, -1)), ok, named)


@dataclass(frozen=True)
class ToWrite:
    """One table of answers: where, and of what."""

    path: str
    provenance: Provenance
    table: EmbeddingTable
    answers: Answers


def label_rows(table: EmbeddingTable, answers: Answers, form: Form, progress: Progress) -> Iterator[pa.RecordBatch]:
    """The rows of a label table, in the order of the embeddings."""
    done = 0
    for batch in table.told(answers.ok):
        ok = int(batch.ok.sum())
        known = {"pair_id": batch.pair_id, "shard": batch.shard, "row": batch.row, "status": batch.status}
        known["given_label"] = batch.carried.column(0)
        columns = answers.columns.part(slice(done, done + ok))
        done += ok
        yield label_batch(known, batch.ok, columns, form.names, answers.pair_ids, form.schema)
        progress.advance(len(batch), len(batch) - ok)


def writing(out: str, form: Form) -> Job:
    """The work on a `ToWrite`, in any process; its tally is told."""
    return partial(_writing, out, form)


@contextmanager
def _writing(out: str, form: Form, progress: Progress) -> Iterator[tuple[None, Does]]:
    def does(item: ToWrite) -> ShardRows:
        tally = LabelTally()
        with atomic_table(item.path, attach(form.schema, item.provenance)) as writer:
            for batch in label_rows(item.table, item.answers, form, progress):
                writer.write(tally.counted(batch))
        return ShardRows(tally.statuses, more=tally)

    with followed(join(out, FOLDER_RECORD)):
        yield None, does

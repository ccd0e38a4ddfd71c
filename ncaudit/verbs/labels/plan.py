"""What `labels` would do. Knows what an earlier run has found and written; judges nothing."""

from typing import Any

from ncaudit.counts import counted
from ncaudit.matchers.heads.projected_tables import training_notes
from ncaudit.options import LabelsOptions
from ncaudit.planned import Plan
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.claims.departed import notes_on_departed
from ncaudit.shards.files.shard import Shard
from ncaudit.verbs.labels.labels import Run, made_ready
from ncaudit.verbs.outputs import is_folder
from ncaudit.verbs.planning import AGAIN, FITS, Shards, plan_of_one, plan_of_shards, reading, refuse_streams


def plan_labels(options: LabelsOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `labels` would refuse to begin."""
    refuse_streams(options.embeddings)
    run, claim = made_ready(options, progress)
    rows = {table.shard: table.rows for table in run.tables}
    told: dict[str, Any] = {
        "reads": (reading("embeddings", options.embeddings, [*rows], rows.__getitem__),),
        "columns": {"class": options.label_column},
        "notes": [*notes_on_departed([*rows]), *training_notes(run.tables)],
    }
    if not is_folder(options.out):
        every = sum(rows.values())
        return plan_of_one(claim, options.out, every, work=_work(run, every, every), **told)
    shards = Shards([*rows], rows, _finished(run))
    told["work"] = _work(run, sum(rows.values()), shards.left or 0)
    fate = shards.fate(options.out, lambda place, name: FITS if run.known is not None else AGAIN)
    return plan_of_shards(claim, options.out, shards, fate=fate, prune=options.prune, **told)


def _finished(run: Run) -> frozenset[Shard]:
    if run.known is None:
        return frozenset()
    hold, out = run.earlier.hold, run.options.out
    return frozenset(table.shard for table in run.tables if hold(table.shard.output(out), run.provenance(table)))


def _work(run: Run, every: int, left: int) -> tuple[str, ...]:
    """The answers are kept for tables that are whole: one that is missing has all classes judged again."""
    if not left:
        return ()
    return (
        f"judge the classes of {counted(every, 'row')} together",
        f"write the answers of {counted(left, 'row')}",
    )

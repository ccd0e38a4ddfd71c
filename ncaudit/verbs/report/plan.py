"""What `report` would do. Knows what it reads and where its page goes; makes none."""

from collections.abc import Iterator

from ncaudit.counts import counted
from ncaudit.options import ReportOptions
from ncaudit.planned import Plan, Reading
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.tables.told_rates import rank_notes
from ncaudit.verbs.planning import plan_of_one, reading
from ncaudit.verbs.report.report import Ready, made_ready


def plan_report(options: ReportOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `report` would refuse to begin."""
    ready = made_ready(options)
    return plan_of_one(
        ready.claim, options.out, sum(table.rows for table in ready.tables), reads=tuple(_reads(options, ready)),
        work=tuple(_work(options, ready)),
        notes=tuple(rank_notes((table.shard.path, table.provenance) for table in ready.tables)),
    )  # fmt: skip


def _reads(options: ReportOptions, ready: Ready) -> Iterator[Reading]:
    rows = {table.shard: table.rows for table in ready.tables}
    yield reading("scores", options.scores, [*rows], rows.__getitem__)
    if ready.dataset is not None:
        yield reading("--data", options.data or (), ready.dataset.shards)


def _work(options: ReportOptions, ready: Ready) -> Iterator[str]:
    rows = sum(table.rows for table in ready.tables)
    yield f"look through {counted(rows, 'row')} of {'judged classes' if ready.of_labels else 'scores'}"
    if ready.dataset is not None:
        yield "find the pairs that are shown in the dataset, for their pictures"
    yield f"write one page of at most {options.max_mib:g} MiB"

"""What `filter` would do. Knows how it decides, which is done in full; writes nothing of it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ncaudit.counts import counted
from ncaudit.engines.local import ShardRows, run_shards
from ncaudit.options import FilterForm, FilterOptions
from ncaudit.planned import Plan, Reading
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.claims.claims import Place
from ncaudit.shards.files.shard import Shard
from ncaudit.verbs.filter.filter import Ready, decided_shard, looked_first, made_ready, outputs
from ncaudit.verbs.filter.keep_rules import KEPT_WORD
from ncaudit.verbs.filter.shared_cuts import CUTS
from ncaudit.verbs.planning import AGAIN, FITS, Fate, Shards, plan_of_one, plan_of_shards, reading, refuse_streams

FORMS = {
    FilterForm.rows: "write these rows", FilterForm.ids: "list their ids", FilterForm.weights: "list their weights",
    FilterForm.datacomp_uids: "list their uids for DataComp",
}  # fmt: skip


def plan_filter(options: FilterOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `filter` would refuse to begin."""
    refuse_streams(options.scores)
    ready = made_ready(options, progress)
    looked_first(ready)
    progress.stage("decide", sum(scores.rows or 0 for scores in ready.tables))
    return _one(ready) if options.one_output else _of_shards(ready)


def _one(ready: Ready) -> Plan:
    run, counts = ready.run, Counter[str]()
    for number, scores in enumerate(ready.tables):
        for rows in run.decided(scores, number, [*run.chooser.columns]):
            counts.update(run.count(rows.codes, rows.labels))
            run.progress.advance(len(rows.batch))
    return plan_of_one(ready.claim, run.options.out, sum(counts.values()), **_told(ready, counts))


def _of_shards(ready: Ready) -> Plan:
    run, counts, finished, rows = ready.run, Counter[str](), set[Shard](), dict[Shard, int]()
    numbered = {id(scores): number for number, scores in enumerate(ready.tables)}

    def work(shard: Shard) -> ShardRows:
        scores = ready.matched[shard]
        found = decided_shard(run, shard, scores.opened(), numbered[id(scores)])
        rows[shard] = len(found.codes)
        finished.update([shard] if found.finished else [])
        run.progress.advance(scores.rows)
        return ShardRows(run.count(found.codes, found.labels), resumed=found.finished)

    own = run.options.own(list(ready.matched))
    run.notes += run.options.told_of(len(own), len(ready.matched))
    accounts = run_shards(own, work)  # raises where none can be decided, as the run would
    run.notes += [f"{one.shard} would fail: {one.message}" for one in accounts.shard_errors]
    counts.update(accounts.statuses)
    shards = Shards([*ready.matched], rows, finished, own)
    return plan_of_shards(
        ready.claim, run.options.out, shards, fate=_fate(ready, shards), **_told(ready, counts, shards.left)
    )


def _fate(ready: Ready, shards: Shards) -> Fate:
    """Of a shard's table, of what goes beside it, of what tells the sizes of all tars, and of what parts share."""
    fates = {name: shards.of(shard) for shard in ready.matched for name in outputs(ready.run.options, shard)}
    everything = FITS if set(fates.values()) <= {FITS} else AGAIN

    def fate(place: Place, name: str) -> str:
        if name == CUTS:
            return FITS if ready.run.cuts_known else AGAIN
        return fates.get(name, everything)

    return fate


def _told(ready: Ready, counts: Counter[str], left: int | None = None) -> dict[str, Any]:
    run, rows = ready.run, sum(counts.values())
    kept = counts.pop(KEPT_WORD, 0)
    work = (f"keep {kept:,} of {counted(rows, 'row')}", FORMS[run.options.write_as])
    return {
        "reads": tuple(_reads(ready)), "outcome": {"kept": kept, "dropped": sum(counts.values()), **counts},
        "work": work if left != 0 else (), "notes": tuple(run.notes),
    }  # fmt: skip


def _reads(ready: Ready) -> Iterator[Reading]:
    options: FilterOptions = ready.run.options
    rows = {scores.shard: scores.rows for scores in ready.files}
    yield reading("scores", options.scores, [*rows], rows.__getitem__)
    if options.data:
        yield reading("--data", options.data, [*ready.matched])

"""What `score` would do. Knows the fit that is there, and which tables hold with it; fits nothing."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ncaudit import scorers
from ncaudit.counts import counted
from ncaudit.engines.jobs import ThisProcess
from ncaudit.judging import choice
from ncaudit.judging.saved_fits import SavedFit, holds_fit
from ncaudit.matchers.heads.projected_tables import training_notes
from ncaudit.options import AUTO_SCORER, ScoreOptions
from ncaudit.planned import Plan, Reading
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.claims.claims import Place
from ncaudit.shards.claims.departed import notes_on_departed
from ncaudit.shards.files.locations import is_file, join
from ncaudit.shards.files.provenance import EarlierOutputs, fingerprint
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.shards.tables.repeats.kept import REPEATS
from ncaudit.verbs.outputs import is_folder
from ncaudit.verbs.planning import (
    AGAIN,
    FITS,
    Shards,
    counted_rows,
    plan_of_one,
    plan_of_shards,
    reading,
    refuse_streams,
)
from ncaudit.verbs.score.fit import FIT_FOLDER, fit_that_is_there, why_anew
from ncaudit.verbs.score.parts import rates_of_part, repeats_for
from ncaudit.verbs.score.rates import RATES, Rates, known_rates
from ncaudit.verbs.score.score import Ready, made_ready, provenance_of_scores


def plan_score(options: ScoreOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `score` would refuse to begin."""
    scorers.refuse_unread(choice.meant(options.scorer), options)
    refuse_streams(options.embeddings)
    ready = made_ready(options, progress)
    ready.heard(ThisProcess(), progress)
    tables, saved = ready.tables, fit_that_is_there(options, ready.tables, progress)
    told: dict[str, Any] = {"reads": tuple(_reads(ready))}
    told["notes"] = [*notes_on_departed([table.shard for table in tables]), *training_notes(tables)]
    if not is_folder(options.out):
        rows = sum(table.rows for table in tables)
        return plan_of_one(ready.claim, options.out, rows, work=tuple(_work(ready, saved, tables, tables)), **told)
    rates, new = _rates(options, tables, saved, progress)
    finished = _finished(ready, rates, new, progress)
    rows_of = dict(_rows(ready))
    own = [] if options.fit_only else ready.own
    left = [ready.table_of(shard) for shard in own if finished is None or shard not in finished]
    told["notes"] += options.told_of(len(own), len(ready.shards))
    told["work"] = tuple(_work(ready, saved, new, left))
    if saved is None and not options.refit and (why := why_anew(options, tables)) is not None:
        told["notes"].append(why)
    if finished is None:
        told["notes"].append("which tables hold shows once the judged pairs are scored again")
    shards = Shards(ready.shards, rows_of, finished, own)
    fate = shards.fate(options.out, partial(_of_fit, options, saved, bool(new)))
    return plan_of_shards(ready.claim, options.out, shards, fate=fate, prune=options.prune, **told)


def _rates(
    options: ScoreOptions, tables: Sequence[EmbeddingTable], saved: SavedFit | None, progress: Progress
) -> tuple[Rates | None, list[EmbeddingTable]]:
    """What is known of the noise rate, and the tables that no fit has seen. Raises NcauditError as a part would."""
    if options.slice is not None:
        rates = rates_of_part(options, tables, saved, progress)
        repeats_for(options, tables, progress)
        return rates, []
    return known_rates(options, tables, saved, progress) if saved else (None, list(tables))


def _of_fit(options: ScoreOptions, saved: SavedFit | None, later: bool, place: Place, name: str) -> str:
    """What is known of a file beside the tables. later: whether there are tables that the fit never saw."""
    if name.endswith(REPEATS):
        return FITS if saved and is_file(place.at(name)) else AGAIN
    if name.endswith(RATES):
        return AGAIN if saved and later else FITS
    if place.flag == "--save-fit":
        return FITS if saved and not later and not options.verdicts and holds_fit(place.folder, saved) else AGAIN
    return FITS if saved else AGAIN


def _reads(ready: Ready) -> Iterator[Reading]:
    options, rows = ready.options, {table.shard: table.rows for table in ready.tables}
    yield reading("embeddings", options.embeddings, [*rows], rows.__getitem__)
    if ready.dataset:
        yield reading("--data", options.data or (), [*ready.dataset.shards])
    if ready.judges:
        yield Reading(what="--verdicts", names=tuple(options.verdicts or ()), shards=len(ready.judges))
    if options.join:
        yield Reading(what="--join", names=tuple(options.join), shards=len(options.join))


def _rows(ready: Ready) -> Iterable[tuple[Shard, int]]:
    if ready.dataset:
        return counted_rows(ready.dataset.shards).items()
    return ((table.shard, table.rows) for table in ready.tables)


def _shard_of(ready: Ready, table: EmbeddingTable) -> Shard:
    """Where the table's scores go."""
    if ready.dataset is None:
        return table.shard
    return next(shard for shard in ready.dataset.shards if ready.dataset.table_of(shard) is table)


def _finished(
    ready: Ready, rates: Rates | None, new: list[EmbeddingTable], progress: Progress
) -> frozenset[Shard] | None:
    """The shards whose scores hold; None where verdicts change the fit that they rest on."""
    if not any(ready.claim.there[place] for place in ready.claim.places) or rates is None:
        return frozenset()
    if ready.judges:
        return None
    if ready.options.refit:
        return frozenset()
    earlier = EarlierOutputs(progress.note)
    known = [table for table in ready.tables if all(table is not one for one in new)]
    return frozenset(shard for table in known if _holds(ready, rates, earlier, table, shard := _shard_of(ready, table)))


def _holds(ready: Ready, rates: Rates, earlier: EarlierOutputs, table: EmbeddingTable, shard: Shard) -> bool:
    more = {"dataset": fingerprint(shard)} if ready.dataset else {}
    made_from = provenance_of_scores(ready.options, rates, ready.join, table, **more)
    return earlier.hold(shard.output(ready.options.out), made_from)


def _work(
    ready: Ready, saved: SavedFit | None, new: Iterable[EmbeddingTable], left: Iterable[EmbeddingTable]
) -> Iterator[str]:
    """saved: the fit that is there. new: tables that it never saw; left: those to be scored."""
    options, rows = ready.options, sum(table.rows for table in left)
    if saved is None:
        every = sum(table.rows for table in ready.tables)
        scorer = "the scorer that does best" if options.scorer == AUTO_SCORER else options.scorer
        most = "all" if every <= options.fit_pairs else f"{options.fit_pairs:,} of"
        yield f"fit {scorer} on {most} {counted(every, 'row')}"
        if options.check:
            yield "measure what the audit can tell on these data (the power check)"
    elif later := sum(table.rows for table in new):
        yield f"estimate the noise rate of {counted(later, 'row')} that came after the fit"
    if options.fit_only and not (saved and is_file(join(options.out, FIT_FOLDER, REPEATS))):
        yield "count how often photos and captions occur"
    if ready.judges:
        yield f"correct the labels by the verdicts of {counted(len(ready.judges), 'judge')}"
    if rows:
        yield f"score {counted(rows, 'row')}"

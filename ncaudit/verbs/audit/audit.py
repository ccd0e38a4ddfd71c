"""`audit`: a dataset to the page about it. Embeds, scores and reports; then the same of classes, if there are any.

Knows the verbs and in which order they run; nothing of how they work. Each of them resumes by itself: a rerun goes on
where the first was killed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import monotonic

from ncaudit.engines.local import Accounting
from ncaudit.errors import BadTable, Interrupted
from ncaudit.options import STREAM, AuditOptions, ShowOptions
from ncaudit.progress import SILENT, Parts, Progress
from ncaudit.schema import OK, carried_name
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import read_batches
from ncaudit.shards.rewriting.rewrite import are_written_back
from ncaudit.shards.streams.standard_input import received
from ncaudit.verbs.audit.places import Places, anything_there, places_of, with_classes
from ncaudit.verbs.embed.embed import EmbedResult, embed
from ncaudit.verbs.labels.labels import LabelsResult, labels
from ncaudit.verbs.report.report import ReportResult, report
from ncaudit.verbs.score.score import ScoreResult, score
from ncaudit.verbs.show.show import ShownClass, ShownPair, show

OF_LABELS = "report of labels"
STEPS = {"embed": 8.0, "score": 1.0, "report": 0.2}  # with their shares of the time
OF_CLASSES = {"labels": 0.5, OF_LABELS: 0.2}
WORST = 5  # pairs told at the end


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """What `audit` made, and what each step told of it."""

    out: str
    sources: tuple[str, ...]  # as they were given
    written_back: bool  # whether `filter` can write this dataset without some pairs
    embed: EmbedResult
    score: ScoreResult
    labels: LabelsResult | None  # None without a label column
    report: ReportResult
    labels_report: ReportResult | None
    worst: tuple[ShownPair | ShownClass, ...]  # the five lowest soft labels
    accounting: Accounting  # of the scores; a shard that any step could not do is an error here
    seconds: float
    notes: tuple[str, ...] = ()


def audit(options: AuditOptions, progress: Progress = SILENT) -> AuditResult:
    """Embed, score, judge classes (with `label_column`) and report; a rerun resumes, and ends in the same files.

    Raises NcauditError before any work where some step could not write its files, and as the steps do.
    """
    with received(options.sources, options.max_row_bytes) as given:
        root = options.image_root or (os.getcwd() if given.spooled else None)
        found = find_shards(given.sources, max_row_bytes=options.max_row_bytes)
        meant = with_classes(replace(options, sources=given.sources, image_root=root), found)
        places = places_of(meant, found)
        try:
            result = _run(meant, progress, places)
        except KeyboardInterrupt as error:
            raise Interrupted(kept=anything_there(places)) from error
    back = STREAM not in options.sources and are_written_back(found)
    return replace(result, sources=tuple(options.sources), written_back=back, notes=given.notes)


def _run(options: AuditOptions, progress: Progress, places: Places) -> AuditResult:
    begun, parts = monotonic(), Parts(progress, "audit", STEPS if options.label_column is None else STEPS | OF_CLASSES)
    embedded = embed(options.of_embed, parts.part("embed"))
    _require_embedded(options, embedded)
    scored = score(options.of_score, parts.part("score"))
    page = report(options.of_report, parts.part("report"))
    classes, classes_page = _classes(options, parts)
    shown = show(ShowOptions(scores=[options.of_score.out], worst=WORST))
    return AuditResult(
        out=options.out, sources=(), written_back=False, embed=embedded, score=scored, labels=classes,
        report=page, labels_report=classes_page, worst=shown.pairs,
        accounting=_together(embedded.accounting, scored.accounting, *([classes.accounting] if classes else [])),
        seconds=monotonic() - begun,
    )  # fmt: skip


def _classes(options: AuditOptions, parts: Parts) -> tuple[LabelsResult | None, ReportResult | None]:
    """What is found about the classes, last: the page about the pairs is there whatever becomes of it."""
    chosen, page = options.of_labels, options.of_labels_report
    if chosen is None or page is None:
        return None, None
    judged = labels(replace(chosen, label_column=carried_name(chosen.label_column)), parts.part("labels"))
    return judged, report(page, parts.part(OF_LABELS))


def _together(embedded: Accounting, scored: Accounting, *others: Accounting) -> Accounting:
    """Rows as they ended in the scores, and every shard that is missing somewhere."""
    every = (embedded, scored, *others)
    errors = dict.fromkeys(error for accounts in every for error in accounts.shard_errors)
    resumed = min(accounts.shards_resumed for accounts in every)
    return Accounting(embedded.shards, resumed, tuple(errors), scored.statuses)


def _require_embedded(options: AuditOptions, embedded: EmbedResult) -> None:
    """Raises BadTable where no row has embeddings: the reason of the first one helps most."""
    accounts = embedded.accounting
    if accounts.ok:
        return
    told = ", ".join(f"{count:,} {status}" for status, count in sorted(accounts.statuses.items()))
    first = _first_failure(find_shards([options.of_embed.out]))
    raise BadTable(
        f"no row of {', '.join(options.sources)} could be embedded: {told} (the first: {first})",
        fix="see what `ncaudit inspect` says of the dataset; paths of images start from --image-root",
    )


def _first_failure(tables: Sequence[Shard]) -> str:
    for table in tables:
        for batch in read_batches(table, ["pair_id", "status", "detail"], 1024):
            for row in batch.to_pylist():
                if row["status"] != OK:
                    return f"{row['pair_id']}, {row['detail'] or row['status']}"
    return "none"

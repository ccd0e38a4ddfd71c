"""What `audit` would do: the plans of its steps, as far as what they read is there.

Knows the steps' plans; a step that reads what another has still to make is planned by its claim alone.
"""

from collections.abc import Iterator
from dataclasses import replace

from ncaudit.counts import counted
from ncaudit.options import AuditOptions
from ncaudit.planned import Plan
from ncaudit.progress import SILENT, Progress
from ncaudit.schema import carried_name
from ncaudit.shards.claims.claims import Claim
from ncaudit.verbs.audit.audit import meant_by
from ncaudit.verbs.audit.places import asked_places
from ncaudit.verbs.embed.plan import plan_embed
from ncaudit.verbs.labels.plan import plan_labels
from ncaudit.verbs.planning import FITS, UNKNOWN, plan_of_claim, refuse_streams
from ncaudit.verbs.report.plan import plan_report
from ncaudit.verbs.score.plan import plan_score
from ncaudit.verbs.score.rates import RATES


def plan_audit(options: AuditOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `audit` would refuse to begin."""
    refuse_streams(options.sources)
    found, meant = meant_by(options)
    claims, removes = asked_places(meant, found)
    embedding = plan_embed(meant.of_embed, progress)
    steps = (embedding, *_later(meant, claims, embedding, progress))
    return Plan(
        verb="audit", out=options.out, reads=embedding.reads, columns=embedding.columns, shards=embedding.shards,
        finished=_least(steps), rows_left=_most(steps), work=tuple(_work(steps)), removes=tuple(removes), steps=steps,
    )  # fmt: skip


def _later(options: AuditOptions, claims: list[Claim], embedding: Plan, progress: Progress) -> Iterator[Plan]:
    """All but the first step: in full where all that they read is there."""
    whole = embedding.finished == embedding.shards
    claims_of = {claim.verb: claim for claim in claims}
    scoring = plan_score(options.of_score, progress) if whole else _after(claims_of["score"], options.of_score.out)
    yield scoring
    judging = None
    if options.of_labels is not None:
        label_column = carried_name(options.of_labels.label_column)
        chosen = replace(options.of_labels, label_column=label_column)
        judging = plan_labels(chosen, progress) if whole else _after(claims_of["labels"], chosen.out)
        yield judging
    yield from _pages(options, claims_of["report"], [scoring, judging], embedding.shards, progress)


def _pages(
    options: AuditOptions, claim: Claim, tables: list[Plan | None], shards: int, progress: Progress
) -> Iterator[Plan]:
    """tables: of the scores, and of the classes if there are any."""
    pages = [page for page in (options.of_report, options.of_labels_report) if page is not None]
    for page, place, step in zip(pages, claim.places, tables, strict=False):
        if step is not None and step.finished == shards:
            yield plan_report(page, progress)
        else:
            yield _after(replace(claim, places=[place]), page.out)


def _after(claim: Claim, out: str) -> Plan:
    """Of a step that reads what is still to be made."""
    # rates are of rows that came after the fit, of which nobody knows yet
    return plan_of_claim(claim, out, lambda place, name: FITS if name.endswith(RATES) else UNKNOWN, finished=None)


def _least(steps: tuple[Plan, ...]) -> int | None:
    """Shards that every step has finished."""
    counts = [step.finished for step in steps if step.shards]
    return None if None in counts else min(count for count in counts if count is not None)


def _most(steps: tuple[Plan, ...]) -> int | None:
    """Pages are made again whenever they are asked for: they do not count."""
    counts = [step.rows_left for step in steps if step.rows_left is not None and step.shards]
    return max(counts, default=None)


def _work(steps: tuple[Plan, ...]) -> Iterator[str]:
    for step in steps:
        if step.work:
            yield f"{step.verb}: {'; '.join(step.work)}"
        elif step.finished is None:
            yield f"{step.verb}: after the steps before it"
        else:
            yield f"{step.verb}: nothing, {counted(step.shards, 'shard is', 'shards are')} finished"

"""What `audit` tells at its end: the rate, the counts, the worst captions, what next. Knows its result only."""

import os
import shlex
from collections.abc import Sequence
from dataclasses import fields

from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.cli.shared.wrapped import wrapped
from ncaudit.cli.words import labels as label_words
from ncaudit.cli.words import score as score_words
from ncaudit.judging.evidence import NOTHING, UNKNOWN
from ncaudit.options import STREAM, AuditOptions
from ncaudit.options.shared.about import flag_of
from ncaudit.verbs.audit.audit import AuditResult
from ncaudit.verbs.report.to_judge import EXPORTED
from ncaudit.verbs.show.show import ShownRow

NUMBER = 7  # columns of a soft label and the space behind it
MOST, WHOLE = 150, 2_000  # columns of a caption, and of our own words


def lines(result: AuditResult, options: AuditOptions) -> list[str]:
    """The summary for people."""
    return [
        *accounting(result.accounting),
        *(line for told in score_words.told(result.score) for line in wrapped(told, "", indent=0, most=WHOLE)),
        *([] if result.labels is None else label_words.rate(result.labels)),
        *_notes(result),
        *_worst(result.worst),
        *_next(result, options),
    ]


def _notes(result: AuditResult) -> list[str]:
    """What the steps say, each word once."""
    notes = [*result.notes, *result.embed.notes, *result.score.notes, *result.report.notes]
    notes += [] if result.labels is None else result.labels.notes
    return noted(dict.fromkeys(notes))


def _worst(pairs: Sequence[ShownRow]) -> list[str]:
    if not pairs:
        return []
    labelled = getattr(pairs[0], "soft_label", None) is not None
    head = "the worst captions, each after its soft label:" if labelled else "the worst captions, each after its score:"
    return [head, *(line for pair in pairs for line in _pair(pair, "soft_label" if labelled else "score"))]


def _pair(pair: ShownRow, column: str) -> list[str]:
    number = getattr(pair, column, None)
    told = "" if number is None else f"{number:>6.3f}"
    caption = f"({pair.pair_id})" if pair.caption is None else pair.caption
    return wrapped(caption, f" {told}", indent=NUMBER + 2, most=MOST)


def _next(result: AuditResult, options: AuditOptions) -> list[str]:
    scores = shlex.quote(os.path.join(result.out, "scores"))
    told = [f"ncaudit show {scores}"]
    if _is_unknown(result):  # the best of these scores are any pairs
        return _listed(result, told, options)
    rule = "--keep-share 0.8" if result.score.mean_soft_label is None else "--min-soft-label 0.5"
    data = "".join(f" --data {shlex.quote(source)}" for source in result.sources) if result.written_back else ""
    return _listed(result, [*told, f"ncaudit filter {scores} {rule}{data} --out kept/"], options)


def _again(options: AuditOptions) -> str:
    """The same command with what people have judged on the page."""
    words = ["ncaudit", "audit", *options.sources]
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name in ("sources", "verdicts", "overwrite", "refit", "prune") or value == field.default:
            continue
        flag = flag_of(field.name)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words += [flag] if one is True else [flag.replace("--", "--no-")] if one is False else [flag, str(one)]
    return f"  {shlex.join([*words, '--verdicts', EXPORTED])}"


def _is_unknown(result: AuditResult) -> bool:
    return bool((result.score.fit_facts.get(NOTHING) or {}).get("kind") == UNKNOWN)


def _listed(result: AuditResult, commands: Sequence[str], options: AuditOptions) -> list[str]:
    pages = [page.out for page in (result.report, result.labels_report) if page is not None]
    first = [f"next: open {' and '.join(pages)} in a browser; or", *(f"  {command}" for command in commands)]
    if not result.report.judge_pairs or options.verdicts or STREAM in options.sources:  # a stream is gone
        return first
    return [*first, f"once you have judged pairs on the page, with the {EXPORTED} that it gives you:", _again(options)]

"""What `audit` tells at its end: the rate, the counts, the worst captions, what next. Knows its result only."""

import os
from collections.abc import Sequence
from dataclasses import fields

from ncaudit.cli.layout.vocabulary import Command, Told, Words, command, prose
from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.cli.words import labels as label_words
from ncaudit.cli.words import score as score_words
from ncaudit.cli.words import worst
from ncaudit.options import STREAM, AuditOptions
from ncaudit.options.shared.about import flag_of
from ncaudit.verbs.audit.audit import AuditResult
from ncaudit.verbs.report.to_judge import EXPORTED
from ncaudit.verbs.show.show import ShownPair, ShownRow


def lines(result: AuditResult, options: AuditOptions) -> Words:
    """The summary for people."""
    return [
        *score_words.told(result.score),
        *([] if result.labels is None else label_words.rate(result.labels)),
        *([] if score_words.is_unknown(result.score) else worst.lines(_pairs(result.worst))),
        *_next(result, options),
        *_notes(result),
        *accounting(result.accounting),
    ]


def _pairs(shown: Sequence[ShownRow]) -> list[ShownPair]:
    return [pair for pair in shown if isinstance(pair, ShownPair)]


def _notes(result: AuditResult) -> list[Told]:
    """What the steps say, each word once."""
    notes = [*result.notes, *result.embed.notes, *result.score.notes, *result.report.notes]
    notes += [] if result.labels is None else result.labels.notes
    return noted(dict.fromkeys(notes))


def _next(result: AuditResult, options: AuditOptions) -> Words:
    scores, pages = os.path.join(result.out, "scores"), [page for page in (result.report, result.labels_report) if page]
    return [
        prose(f"next: open {' and '.join(page.out for page in pages)} in a browser"),
        command("ncaudit", "show", scores, lead="also: "),
        *([] if score_words.is_unknown(result.score) else [_filter(result, scores)]),
        *_judge(result, options),
    ]


def _filter(result: AuditResult, scores: str) -> Command:
    rule = ("--keep-share", "0.8") if result.score.mean_soft_label is None else ("--min-soft-label", "0.5")
    data = [word for source in result.sources for word in ("--data", source)] if result.written_back else []
    return command("ncaudit", "filter", scores, *rule, *data, "--out", "kept/", lead="also: ")


def _judge(result: AuditResult, options: AuditOptions) -> Words:
    """The same command with what people have judged on the page."""
    if not result.report.judge_pairs or options.verdicts or STREAM in options.sources:  # a stream is gone
        return []
    head = f"once you have judged pairs on the page, with the {EXPORTED} that it gives you:"
    return [head, command(*_again(options), "--verdicts", EXPORTED, lead="  ")]


def _again(options: AuditOptions) -> list[str]:
    words = ["ncaudit", "audit", *options.sources]
    for field in fields(options):
        value = getattr(options, field.name)
        if field.name in ("sources", "verdicts", "overwrite", "refit", "prune") or value == field.default:
            continue
        flag = flag_of(field.name)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            words += [flag] if one is True else [flag.replace("--", "--no-")] if one is False else [flag, str(one)]
    return words

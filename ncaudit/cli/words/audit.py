"""What `audit` tells at its end: the rate, the counts, the worst captions, what next. Knows its result only."""

import shlex

from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.cli.words import score as score_words
from ncaudit.verbs.audit.audit import AuditResult


def lines(result: AuditResult) -> list[str]:
    """The summary for people."""
    return [*score_words.told(result.score), *noted(result.notes), *accounting(result.accounting)]

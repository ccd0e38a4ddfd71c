"""The stages of scoring: their names, in order, and about how much of the time each takes.

Knows options and how many rows there are; nothing of what the stages do.
"""

from collections.abc import Sequence

from ncaudit import scorers
from ncaudit.judging import choice, power
from ncaudit.options import ScoreOptions
from ncaudit.shards.tables.embeddings import EmbeddingTable

LOOK_UP = "look up the judged pairs"
DRAW, FIT, POWER = "draw the sample", "fit", "power check"
DRAW_LATER, RATE = "noise rate of the new rows: draw", "noise rate of the new rows"
JUDGED = "scores of the judged pairs"
REPEATS, SCORE = "count repeats", "score the rows"
SUGGEST_DRAW, SUGGEST = "suggestions: draw clean pairs", "suggestions: strangers' captions"


def before_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> dict[str, float]:
    """All of them, as if nothing were left by an earlier run."""
    rows = sum(table.rows for table in tables)
    sample = min(rows, options.fit_pairs)
    checked = min(sample, power.PAIRS) * len(scorers.names())
    found = {LOOK_UP: 0.0} if options.verdicts else {}
    found |= {DRAW: rows * 0.3, FIT: sample * 1.0 + checked * (choice.is_open(options) * 1.0)}
    found |= {POWER: checked * 1.0} if options.check else {}
    return found | with_fit(options, tables)


def with_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> dict[str, float]:
    """Those that come once there is a fit."""
    rows = sum(table.rows for table in tables)
    judged = {JUDGED: rows * 1.0} if options.verdicts else {}
    suggest = {SUGGEST_DRAW: rows * 0.3, SUGGEST: 0.0} if options.suggest else {}
    return {**judged, REPEATS: rows * 0.1, **suggest, SCORE: rows * 1.0}

"""The stages of scoring: their names, in order, and about how much of the time each takes.

Knows options and how many rows there are; nothing of what the stages do.
"""

from collections.abc import Sequence

from ncaudit import scorers
from ncaudit.judging import choice
from ncaudit.options import ScoreOptions
from ncaudit.shards.tables.embeddings import EmbeddingTable

LOOK_UP = "look up the judged pairs"
DRAW, FIT, POWER = "draw the sample", "fit", "power check"
DRAW_LATER, RATE = "noise rate of the new rows: draw", "noise rate of the new rows"
JUDGED = "scores of the judged pairs"
REPEATS, SCORE = "count repeats", "score the rows"
SUGGEST_DRAW, SUGGEST = "suggestions: draw clean pairs", "suggestions: strangers' captions"
# Seconds on two busy cores, of 20,000 and 60,000 pairs: only how they stand to each other matters
ONE_FIT, ONE_FITTED, ONE_SCORER = 30.0, 2e-3, 5.0  # a fit, each pair of it, and each scorer of the power check
ONE_READ, ONE_SCORED = 3e-5, 1.2e-3  # rows


def before_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> dict[str, float]:
    """All of them, as if nothing were left by an earlier run."""
    rows = sum(table.rows for table in tables)
    sample = min(rows, options.fit_pairs)
    each = ONE_SCORER * len(scorers.names())
    found = {LOOK_UP: 0.0} if options.verdicts else {}
    found |= {DRAW: rows * ONE_READ, FIT: ONE_FIT + sample * ONE_FITTED + each * choice.is_open(options)}
    found |= {POWER: each} if options.check else {}
    return found | with_fit(options, tables)


def with_fit(options: ScoreOptions, tables: Sequence[EmbeddingTable]) -> dict[str, float]:
    """Those that come once there is a fit."""
    rows = sum(table.rows for table in tables)
    judged = {JUDGED: rows * ONE_SCORED} if options.verdicts else {}
    suggest = {SUGGEST_DRAW: rows * ONE_READ, SUGGEST: 0.0} if options.suggest else {}
    return {**judged, REPEATS: rows * ONE_READ, **suggest, SCORE: rows * ONE_SCORED}

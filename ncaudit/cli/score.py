"""`ncaudit score`: embedding tables to a soft label per pair."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared import given
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.options import ScoreOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("A soft label for every pair.", "ncaudit score embeddings/ --out scores"),
    Example(
        "With people's judgements, and a better caption for every noisy pair.",
        "ncaudit score embeddings/ --verdicts review.csv --suggest --out scores",
    ),
    Example("By the plain cosine, in one table.", "ncaudit score embeddings/ --scorer clip-score --out scores.parquet"),
)


def _refuse_unread(options: ScoreOptions) -> None:
    from ncaudit.judging import choice
    from ncaudit.scorers import refuse_unread

    refuse_unread(choice.meant(options.scorer), options, given.names())


@command(ScoreOptions, EXAMPLES, refuses=_refuse_unread)
def score(options: ScoreOptions, progress: Progress) -> Answer:
    """Give every pair a soft label, 0 to 1: 1 - P(the pair is a random-like mismatch).

    Calibrated against random pairs of the same data. It under-counts mismatches on the same topic and half-right
    captions. Rerun the same command to resume.
    """
    from ncaudit.cli.words.score import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.score.score import score as run

    scored = run(options, progress)
    return Answer(scored, lines(scored), exit_code(scored.accounting, options.max_failed))

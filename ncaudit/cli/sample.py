"""`ncaudit sample`: pairs for people to judge."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.options import SampleOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("200 pairs to judge in a spreadsheet.", "ncaudit sample scores/ --out review.csv"),
    Example("100 others, in parquet.", "ncaudit sample scores/ --n 100 --seed 1 --out review.parquet"),
)


@command(SampleOptions, EXAMPLES)
def sample(options: SampleOptions, progress: Progress) -> Answer:
    """Draw pairs for people to judge, from every range of the score.

    Fill in the column is_match (yes or no, or cannot tell), and give the file to `ncaudit score --verdicts`: it then
    knows the rate of mismatches. Rows are in random order, and the scores stand last: judge without looking at them. In
    CSV, text that a spreadsheet program would run as a formula gets an apostrophe in front; pair_id is kept as it is.
    """
    from ncaudit.cli.words.sample import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.sample import sample as run

    drawn = run(options, progress)
    return Answer(drawn, lines(drawn))

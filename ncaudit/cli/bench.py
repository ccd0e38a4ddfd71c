"""`ncaudit bench`: which scorer finds which mismatches on these data."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared import given
from ncaudit.options import BenchOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("Which scorer finds the most swapped captions.", "ncaudit bench embeddings/ --pairs 200 --seeds 1"),
    Example(
        "One scorer at two rates of noise, with every run in a file.",
        "ncaudit bench embeddings/ --scorers csls --rates 0.2 --rates 0.4 --pairs 200 --out runs.csv",
    ),
)


def _refuse_unread(options: BenchOptions) -> None:
    from ncaudit.scorers import refuse_unread

    refuse_unread(options.scorers, options, given.names())


@command(BenchOptions, EXAMPLES, refuses=_refuse_unread)
def bench(options: BenchOptions, progress: Progress) -> Answer:
    """Measure how well scorers find mismatches that are made for the purpose.

    Swaps captions of a sample, fits every scorer anew and tells how many swaps it finds: which scorer to use on these
    data, and which kind of noise it would miss. Give a flag several times for several values: --rates 0.2 --rates 0.4.
    """
    from ncaudit.cli.words.bench import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.bench import bench as run

    result = run(options, progress)
    return Answer(result, lines(result, options.seeds))

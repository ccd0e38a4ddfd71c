"""`ncaudit filter`: the pairs worth keeping."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared.exit_codes import TOO_MANY_FAILED
from ncaudit.options import FilterOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example(
        "The rows of the dataset whose soft label is high enough.",
        "ncaudit filter scores/ --data data/ --min-soft-label 0.5 --out clean",
    ),
    Example(
        "The better four fifths, in one table, and what was dropped with the reason.",
        "ncaudit filter scores/ --keep-share 0.8 --out kept.parquet --dropped dropped.parquet",
    ),
    Example(
        "The names of the clean pairs, one per line.", "ncaudit filter scores/ --verdict clean --as ids --out clean.txt"
    ),
)


@command(FilterOptions, EXAMPLES)
def filter_pairs(options: FilterOptions, progress: Progress) -> Answer:
    """Keep the pairs that are worth keeping.

    A pair is kept when every rule given agrees; one that could not be scored is dropped, with its status as the reason.
    Equal scores are ordered by pair_id. Rerun the same command to resume.
    """
    from ncaudit.cli.words.filter import lines
    from ncaudit.verbs.filter.filter import filter_pairs as run  # --help must not pay for arrow

    result = run(options, progress)
    return Answer(result, lines(result), TOO_MANY_FAILED if result.shard_errors else 0)

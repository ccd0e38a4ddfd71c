"""`ncaudit inspect`: what is this, and what to do with it."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared.exit_codes import TOO_MANY_FAILED
from ncaudit.options import InspectOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("A dataset: its columns, what is wrong with it, the next command.", "ncaudit inspect data/"),
    Example("What another command wrote.", "ncaudit inspect embeddings/"),
)


@command(InspectOptions, EXAMPLES)
def inspect(options: InspectOptions, progress: Progress) -> Answer:
    """Tell what this is, what it holds and what is wrong with it, and the next command to run.

    Reads the light columns once and a sample of 64 images; nothing is written, no model is loaded.
    """
    from ncaudit.cli.words.inspect import lines
    from ncaudit.verbs.inspect.findings import ShardsInspection
    from ncaudit.verbs.inspect.inspect import inspect as run  # --help must not pay for arrow

    found = run(options, progress)
    damaged = isinstance(found, ShardsInspection) and (found.damaged or found.without_pairs)
    return Answer(found, lines(found), TOO_MANY_FAILED if damaged else 0)

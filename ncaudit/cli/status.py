"""`ncaudit status`: how far the runs are that fill a folder."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared.exit_codes import TOO_MANY_FAILED
from ncaudit.options import StatusOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("Shards that are finished, and what is missing.", "ncaudit status scores/"),
    Example("In a script: only once everything is there, and whole.", "ncaudit status scores/ --verify --json"),
)


@command(StatusOptions, EXAMPLES)
def status(options: StatusOptions, progress: Progress) -> Answer:
    """Tell how many shards of a folder are finished, failed or missing, and their rows.

    For runs in parts (--slice), on a cluster, or just at work. Exits with 0 where all is there, 3 where something is
    missing, failed or damaged, 1 where the folder is none of ncaudit's. Opens no input and writes nothing.
    """
    from ncaudit.cli.words.status import lines
    from ncaudit.verbs.status import status as run  # --help must not pay for arrow

    found = run(options, progress)
    return Answer(found, lines(found), 0 if found.complete else TOO_MANY_FAILED)

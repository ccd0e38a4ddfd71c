"""`ncaudit scorers`: what can be given to --scorer, with one line each."""

from ncaudit.cli.commands.command import Answer, NoOptions, command
from ncaudit.cli.commands.spec import Example
from ncaudit.progress import Progress

EXAMPLES = (
    Example("What there is.", "ncaudit scorers"),
    Example("The same for a program.", "ncaudit scorers --json"),
)


@command(NoOptions, EXAMPLES)
def scorers(options: NoOptions, progress: Progress) -> Answer:
    """List the scorers."""
    from ncaudit import scorers as folder  # torch takes seconds to import; --help must not pay for it
    from ncaudit.cli.words.scorers import lines

    found = {name: folder.get(name).ABOUT for name in folder.names()}
    return Answer(found, lines(found))

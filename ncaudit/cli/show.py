"""`ncaudit show`: the pairs that are worth a look, in the terminal."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.options import ShowOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("The five worst pairs.", "ncaudit show scores/ --worst 5"),
    Example(
        "What the cosine would have kept or dropped by mistake.", "ncaudit show scores/ --against similarity --worst 3"
    ),
    Example("The worst pairs, with their pictures in a folder.", "ncaudit show scores/ --data data/ --images pictures"),
)


@command(ShowOptions, EXAMPLES)
def show(options: ShowOptions, progress: Progress) -> Answer:
    """Show pairs of score tables: caption, label, cosine, reason, and the pairs that judged them.

    The worst ones unless said otherwise. Of label tables the classes that are least likely to be right. --json gives
    one object with all that is known of each pair. It needs no model and no torch.
    """
    from ncaudit.cli.words.show import lines
    from ncaudit.verbs.show.show import show as run

    shown = run(options, progress)
    return Answer(shown, lines(shown))

"""`ncaudit demo`: the main job on the sample that ships with ncaudit."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.options import DemoOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("The audit alone, in half a minute.", "ncaudit demo --fast"),
    Example("The whole job, with its trainings.", "ncaudit demo --out demo"),
)


@command(DemoOptions, EXAMPLES)
def demo(options: DemoOptions, progress: Progress) -> Answer:
    """Run the whole job on the sample that comes with ncaudit.

    Embeds and scores 2,000 made-up pairs, 28 % mismatched, shows them on a page (report.html), then trains on them and
    evaluates; about two minutes on two cores.
    """
    from ncaudit.cli.words.demo import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.demo import demo as run

    result = run(options, progress)
    return Answer(result, lines(result))

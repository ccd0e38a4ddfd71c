"""`ncaudit report`: score tables or label tables to one page that shows the pairs."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.options import ReportOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("A page with captions and pictures.", "ncaudit report scores/ --data data/ --out report.html"),
    Example(
        "Only pairs to judge, for people who should see no score.",
        "ncaudit report scores/ --data data/ --judge-only --judge 50 --out judge.html",
    ),
)


@command(ReportOptions, EXAMPLES)
def report(options: ReportOptions, progress: Progress) -> Answer:
    """Show the pairs: one page with the answer, charts, galleries of pairs with the evidence, and pairs to judge.

    The page is one file that can be mailed: it opens by double click, fetches nothing and sends nothing. Without --data
    it has captions and no pictures.
    """
    from ncaudit.cli.words.report import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.report.report import report as run

    made = run(options, progress)
    return Answer(made, lines(made))

"""`ncaudit labels`: which given classes are wrong, and what they should be."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.options import LabelsOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("Judge the classes of a column.", "ncaudit labels embeddings/ --label-column class --out labels"),
    Example(
        "In one table, by 20 neighbours.",
        "ncaudit labels embeddings/ --label-column class --k 20 --out labels.parquet",
    ),
)


@command(LabelsOptions, EXAMPLES)
def labels(options: LabelsOptions, progress: Progress) -> Answer:
    """Judge the class that every pair was given: the chance that it is right, and the class to give instead.

    Each pair is judged by its neighbours in both modalities, without its own class. Also tells how many labels are
    wrong, and which classes are taken for which. Rerun the same command to resume.
    """
    from ncaudit.cli.words.labels import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.labels.labels import labels as run

    found = run(options, progress)
    return Answer(found, lines(found), exit_code(found.accounting, options.max_failed))

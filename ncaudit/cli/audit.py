"""`ncaudit audit`: a dataset to the page about it, in one command."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.options import AuditOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("Everything about the shards of a folder, on one page.", "ncaudit audit data/ --out audited"),
    Example("With the classes of a column judged, too.", "ncaudit audit data/ --label-column class --out audited"),
)


@command(AuditOptions, EXAMPLES, one_line=True)
def audit(options: AuditOptions, progress: Progress) -> Answer:
    """From a dataset to a page that shows which captions do not belong: embed, score, and report in one command.

    With --label-column classes are judged, too. Rerun the same command to resume. Each step is a command of its own
    (embed, score, labels, report) with more flags, and goes on from the same folders.
    """
    from ncaudit.cli.words.audit import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.audit.audit import audit as run

    audited = run(options, progress)
    return Answer(audited, lines(audited, options), exit_code(audited.accounting, options.max_failed))

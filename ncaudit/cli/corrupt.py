"""`ncaudit corrupt`: a dataset with known noise, to measure on."""

from typing import TYPE_CHECKING

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.options import CorruptOptions
from ncaudit.progress import Progress

if TYPE_CHECKING:
    from ncaudit.verbs.corrupt.captions import CorruptResult
    from ncaudit.verbs.corrupt.classes import CorruptLabelsResult

EXAMPLES = (
    Example("A fifth of the captions swapped with any others.", "ncaudit corrupt data/ --rate 0.2 --out noisy"),
    Example("One word exchanged in a tenth of them.", "ncaudit corrupt data/ --rate 0.1 --kind word --out noisy"),
    Example(
        "Two fifths of the classes of a column changed to any other.",
        "ncaudit corrupt data/ --rate 0.4 --kind label-symmetric --label-column class --out noisy",
    ),
)


@command(CorruptOptions, EXAMPLES)
def corrupt(options: CorruptOptions, progress: Progress) -> Answer:
    """Swap or change a known share of the captions, or change a known share of the class labels.

    Writes the dataset back with columns that tell the truth: is_match, caption_of and noise_type, or for labels
    true_label, label_is_right and noise_type. Where a word is exchanged or a phrase added, also what was changed.
    """
    from ncaudit.cli.words.corrupt import lines  # torch takes seconds to import; --help must not pay for it

    result = _run(options, progress)
    return Answer(result, lines(result), exit_code(result.accounting, max_failed=1.0))


def _run(options: CorruptOptions, progress: Progress) -> "CorruptResult | CorruptLabelsResult":
    if options.kind.of_labels:
        from ncaudit.verbs.corrupt.classes import corrupt_labels

        return corrupt_labels(options, progress)
    from ncaudit.verbs.corrupt.captions import corrupt

    return corrupt(options, progress)

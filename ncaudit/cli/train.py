"""`ncaudit train`: a matcher from pairs weighted by their soft labels, as towers on images or heads on embeddings."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.engines.ranks import launched
from ncaudit.options import TrainOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example(
        "Heads on embeddings that are there: a minute.",
        "ncaudit train --tune heads --embeddings embeddings/ --scores scores/ --out matcher",
    ),
    Example(
        "A whole model on images, weighted by soft label.", "ncaudit train --data data/ --scores scores/ --out matcher"
    ),
    Example(
        "With noisy classes.",
        "ncaudit train --tune heads --embeddings embeddings/ --objective nirnl --label-column class --out matcher",
    ),
)


@command(TrainOptions, EXAMPLES)
def train(options: TrainOptions, progress: Progress) -> Answer:
    """Train a matcher on pairs weighted by soft label.

    The folder OUT is then a model for every command, and for open_clip where towers were tuned. Rerun the same command
    to resume. Several GPUs: torchrun --nproc-per-node N -m ncaudit train …
    """
    from ncaudit.cli.words.train import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.train.train import train as run

    trained = run(options, progress)
    return Answer(trained, lines(trained), is_told=launched().is_first)

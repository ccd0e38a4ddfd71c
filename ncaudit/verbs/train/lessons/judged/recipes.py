"""Which lessons a recipe is, of pairs that the matcher judges. Knows options and lessons; nothing of networks."""

from ncaudit.options import TrainOptions
from ncaudit.verbs.train.lessons.judged.judged_pairs import JudgedPairs
from ncaudit.verbs.train.lessons.judged.rematching import Rematching
from ncaudit.verbs.train.lessons.lessons import Lessons


def judging(options: TrainOptions, pairs: JudgedPairs) -> Lessons:
    """The lessons of `options.recipe`, for a recipe that judges."""
    labelled = bool(options.scores or options.own_label_column)
    return Rematching(
        pairs, epochs=options.pace.epochs, begin_after=options.noisy_after, every=options.relabel_every,
        labelled=labelled, seed=options.seed,
    )  # fmt: skip

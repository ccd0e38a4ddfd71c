"""Which lessons a recipe is, of pairs that the matcher judges. Knows options and lessons; nothing of networks."""

from ncaudit.matchers.steps.optimisation import Throttle
from ncaudit.options import TrainingRecipe, TrainOptions
from ncaudit.verbs.train.lessons.judged.agreeing import Agreeing
from ncaudit.verbs.train.lessons.judged.gentle import Gentle
from ncaudit.verbs.train.lessons.judged.judged_pairs import JudgedPairs
from ncaudit.verbs.train.lessons.judged.refining import Refining
from ncaudit.verbs.train.lessons.judged.rematching import Rematching
from ncaudit.verbs.train.lessons.lessons import Lessons

AUDITS = 4  # of gentle's run


def judging(options: TrainOptions, pairs: JudgedPairs, throttle: Throttle) -> Lessons:
    """The lessons of `options.recipe`, for a recipe that judges. throttle: of the network's learning rate."""
    epochs, seed = options.pace.epochs, options.seed
    labelled = bool(options.scores or options.own_label_column)
    if options.recipe is TrainingRecipe.crcl:
        return Refining(pairs, epochs=epochs, seed=seed)
    if options.recipe is TrainingRecipe.consensus:
        return Agreeing(pairs, labelled=labelled, seed=seed)
    if options.recipe is TrainingRecipe.gentle:
        every = options.relabel_every or -(-epochs // AUDITS)
        return Gentle(pairs, throttle, epochs=epochs, every=every, labelled=labelled, seed=seed)
    return Rematching(
        pairs, epochs=epochs, begin_after=options.noisy_after, every=options.relabel_every, labelled=labelled, seed=seed
    )

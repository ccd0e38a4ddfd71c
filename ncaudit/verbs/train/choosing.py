"""`--objective auto` in a run: which pairs are compared on, and how far it has come.

Knows options, what is trained and progress; nothing of how objectives are compared.
"""

from functools import partial

import torch

from ncaudit.engines.ranks import Ranks
from ncaudit.options import TrainOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.verbs.train.auto.choice import Choice, Get, candidates, choose
from ncaudit.verbs.train.auto.trials import Course
from ncaudit.verbs.train.matcher_kind import Trained

READ_SOME, COMPARE = "read pairs to compare on", "compare objectives"  # stages


def made_choice(
    options: TrainOptions, trained: Trained, precision: torch.dtype, ranks: Ranks, progress: Progress, get: Get
) -> Choice:
    """Compare on some of the training pairs, at the run's own pace. Every rank makes its part of each step.

    get: an objective by its name, with what was asked beside it.
    """
    progress.stage(READ_SOME, None)
    with trained.sampled(precision, SILENT) as sampled:
        pace, labelled = options.pace, options.labelled
        course = Course(epochs=pace.epochs, batch_pairs=pace.batch_pairs, seed=options.seed, ranks=ranks)
        progress.stage(COMPARE, sampled.judged * pace.epochs * len(candidates(labelled)), "epochs")
        return choose(sampled, course, labelled=labelled, get=get, step=partial(progress.advance, 1))

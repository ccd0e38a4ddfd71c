"""Labels that nobody has told: what the default scorer makes of all pairs, as `score` would. Knows scorers."""

import numpy as np
import torch

from ncaudit.counts import counted
from ncaudit.errors import NcauditError
from ncaudit.judging import calibrated
from ncaudit.options import ScorerOptions
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.split import epoch_generator
from ncaudit.verbs.train.lessons.judged.judged_pairs import Labels

GIVE_SCORES = "give labels of another model with --scores"


def audited(pairs: Pairs, seed: int) -> Labels:
    """(n,) soft labels. Raises NcauditError where they are fewer than a calibration needs, or score like random ones.

    pairs: all n, as one network sees them that has not learnt from them.
    """
    if len(pairs) < calibrated.FEWEST_PAIRS:
        raise NcauditError(
            f"{counted(len(pairs), 'training pair')}, and labels need {calibrated.FEWEST_PAIRS}",
            fix=f"{GIVE_SCORES}, or more data",
        )
    options = ScorerOptions(seed=seed)
    order = epoch_generator(seed, 0).permutation(len(pairs))[: options.fit_pairs]
    fit = calibrated.learn(pairs.take(torch.from_numpy(order).to(pairs.image.device)), options)
    if "noise_rate" not in fit.facts:
        raise NcauditError(
            f"the matcher that training starts from tells no labels: {fit.facts['label_means']}", fix=GIVE_SCORES
        )
    apply = calibrated.applier(fit, pairs.image.device)
    # captions of one photo vouch for each other, so they are scored together
    by_photo = pairs.image_id.argsort(stable=True)
    parts = [apply(pairs.take(rows)).soft_label for rows in torch.split(by_photo, calibrated.ROWS)]
    label = np.empty(len(pairs), dtype=np.float32)
    label[by_photo.cpu().numpy()] = torch.cat([part for part in parts if part is not None]).float().cpu().numpy()
    return label

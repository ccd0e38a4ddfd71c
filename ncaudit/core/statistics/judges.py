"""How far people who judged the same pairs agree. Knows yes and no; nothing of who they are or of what they judged."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NOT_JUDGED = -1


@dataclass(frozen=True)
class Agreement:
    """Of several judges, over the pairs that two or more of them judged. Shares in [0, 1]."""

    pairs: int  # that two or more judged
    disputed: int  # of those: some say yes, others no
    share: float | None  # of those pairs: all say the same; None without any such pair
    alpha: float | None  # Krippendorff's: 1 perfect, 0 as by chance; None where all verdicts are one and the same


def agreement(verdicts: npt.NDArray[np.int8]) -> Agreement:
    """What Krippendorff's alpha (2004, nominal data) and the plain share say of the judges.

    verdicts: (n, judges), 1 yes, 0 no, NOT_JUDGED where a judge did not say. With any number of judges, each of whom
    may have left out pairs, alpha is 1 - observed / expected disagreement of two verdicts on one pair; where one word
    is rare, the share is high by chance, and alpha is not.

    >>> agreement(np.array([[1, 1], [0, 0], [1, 0], [0, 0], [0, -1]], np.int8))
    Agreement(pairs=4, disputed=1, share=0.75, alpha=0.5333333333333333)
    """
    yes, no = ((verdicts == word).sum(axis=1).astype(np.float64) for word in (1, 0))
    by_several = yes + no >= 2
    yes, no = yes[by_several], no[by_several]
    disputed = int(((yes > 0) & (no > 0)).sum())
    share = None if not len(yes) else 1 - disputed / len(yes)
    return Agreement(len(yes), disputed, share, _alpha(yes, no))


def _alpha(yes: npt.NDArray[np.float64], no: npt.NDArray[np.float64]) -> float | None:
    """yes, no: (n,) how many judges said it of each pair, two or more in all."""
    all_yes, all_no = float(yes.sum()), float(no.sum())
    if not all_yes or not all_no:
        return None
    observed = float((2 * yes * no / (yes + no - 1)).sum())
    expected = 2 * all_yes * all_no / (all_yes + all_no - 1)
    return 1 - observed / expected

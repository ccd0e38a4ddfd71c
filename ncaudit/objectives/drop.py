"""Plain InfoNCE on the pairs whose label is high enough: the hard filter that a soft label has to beat.

The filter works on the data and not on the batch: a doubted pair is nobody's negative either, and batches stay full.
"""

import numpy as np
import numpy.typing as npt

from ncaudit.errors import NcauditError
from ncaudit.objectives import infonce

batch_loss, of_infonce = infonce.batch_loss, infonce.of_infonce  # all that passed the filter are trusted alike


def trains_on(label: npt.NDArray[np.floating], *, drop_below: float = 0.5) -> npt.NDArray[np.bool_]:
    """Which pairs are learnt from: those with label >= drop_below.

    label: (n,) float in [0, 1], calibrated: at .5, a pair stays that more likely belongs together than not.
    Returns (n,) bool. Compared in the label's own precision: a float32 label of .9 is not below .9.

    >>> trains_on(np.array([0.4, 0.5, 1.0], dtype=np.float32))
    array([False,  True,  True])
    """
    kept: npt.NDArray[np.bool_] = label >= label.dtype.type(drop_below)
    return kept


def check(*, drop_below: float) -> None:
    """Raises NcauditError for a bound that is no probability."""
    if not 0 <= drop_below <= 1:
        raise NcauditError(f"drop_below is {drop_below}, but labels are probabilities", fix="give a number in [0, 1]")

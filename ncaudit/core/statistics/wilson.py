"""How sure a share is that was counted: Wilson's interval (1927). Knows numbers; nothing of what was counted."""

import math

Z = 1.6448536269514722  # 90 % of a normal distribution lie within this many standard deviations


def wilson_interval(share: float, trials: float) -> tuple[float, float]:
    """The 90 % interval of a share in [0, 1] that was seen in `trials` > 0 trials; it holds the share itself.

    trials: need not be whole, as for the effective number of weighted ones; infinite: the share is certain.

    >>> tuple(round(end, 4) for end in wilson_interval(0.5, 10))
    (0.2693, 0.7307)
    """
    if math.isinf(trials):
        return share, share
    pull = Z * Z / trials
    middle = (share + pull / 2) / (1 + pull)
    half = Z * math.sqrt(share * (1 - share) / trials + pull / (4 * trials)) / (1 + pull)
    return min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half))

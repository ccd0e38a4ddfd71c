"""The fit of scorers that compare a pair with its neighbours: a bank of them, and nothing learnt.

Knows pairs and fits; nothing of what is made of the neighbours.
"""

from collections.abc import Mapping
from typing import Any

import torch

from ncaudit.errors import NcauditError
from ncaudit.scoring.fits import Fit
from ncaudit.scoring.pairs import Pairs, bank_of


def neighbours_fit(scorer: str, pairs: Pairs, recorded: Mapping[str, Any]) -> Fit:
    """All pairs of the sample, copies once. Raises NcauditError for a single pair.

    recorded: the options that the fit was made with.
    """
    if len(pairs) < 2:
        raise NcauditError(
            f"{scorer} compares pairs with their neighbours, and there is {len(pairs)} pair",
            fix="use --scorer clip-score",
        )
    bank = bank_of(pairs)
    return Fit(scorer, recorded, bank.tensors(torch.float16), {"bank_pairs": len(bank)})

"""The bank that neighbours are found in: each witness once, and two pairs at least."""

import pytest
import torch

from ncaudit.errors import NcauditError
from ncaudit.scoring.neighbours import neighbours_fit
from ncaudit.scoring.pairs import Pairs, as_bank

ROWS = torch.eye(4)[[0, 1, 1, 2]]
IDS = torch.tensor([0, 1, 1, 2])
PAIRS = Pairs(ROWS, ROWS, IDS, IDS, list("abcd"))


def test_copies_of_a_pair_are_one_witness():
    fit = neighbours_fit("drift", PAIRS, {"seed": 3})
    assert (fit.scorer, fit.options, fit.facts) == ("drift", {"seed": 3}, {"bank_pairs": 3})
    assert fit.tensors["bank_image_id"].tolist() == [0, 1, 2]
    assert fit.tensors["bank_image"].dtype == torch.float16


def test_a_single_pair_has_no_neighbours_and_the_scorer_is_named():
    with pytest.raises(NcauditError, match=r"^drift compares pairs with their neighbours, and there is 1 pair"):
        neighbours_fit("drift", PAIRS.head(1), {})


def test_a_bank_of_all_pairs_keeps_copies_in_their_order():
    bank = as_bank(PAIRS)
    assert bank.image_id.tolist() == [0, 1, 1, 2]
    assert torch.equal(bank.image, PAIRS.image)


@pytest.mark.parametrize("rows", [torch.tensor([3, 0]), torch.tensor([True, False, False, True]), slice(2)])
def test_pairs_of_a_bank_are_taken_with_all_they_have(rows):
    bank = as_bank(PAIRS).take(rows)
    assert torch.equal(bank.image, ROWS[rows])
    assert torch.equal(bank.text, ROWS[rows])
    assert bank.image_id.tolist() == bank.caption_id.tolist() == IDS[rows].tolist()

"""A bank keeps what it was given, counts copies once, and lets only strangers judge."""

import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.neighbours import bank as bank_file
from ncaudit.core.neighbours.bank import Bank, row_blocks, strangers

ROWS = torch.nn.functional.normalize(torch.randn(5, 7, generator=torch.Generator().manual_seed(0)), dim=1)


def ids(*numbers):
    return torch.tensor(numbers)


BANK = Bank(ROWS, ROWS.flip(1), ids(1, 1, 2, 1, 2), ids(1, 2, 1, 1, 1))


def test_a_bank_comes_back_from_its_tensors():
    back = Bank.of(BANK.tensors(), torch.device("cpu"))
    assert all(torch.equal(getattr(back, name), value) for name, value in vars(BANK).items())
    halved = Bank.of(BANK.tensors(torch.float16), torch.device("cpu"))
    assert halved.image.dtype == torch.float32
    assert_close(halved.text, BANK.text, atol=1e-3, rtol=0)


def test_the_same_photo_with_the_same_caption_is_kept_once_and_first():
    # (1,1) (1,2) (2,1) | (1,1) (2,1): another caption of a photo is another pair
    assert torch.equal(BANK.distinct().image, ROWS[:3])


def test_a_small_part_does_not_keep_the_whole_alive():
    kept = BANK.head(2).tensors()
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in kept.values())


def test_who_shares_a_photo_or_a_caption_may_not_judge():
    assert strangers(BANK.groups, BANK.groups)[0].tolist() == [False] * 5
    assert strangers([ids(2), ids(2)], BANK.groups).tolist() == [[True, False, False, True, False]]


@pytest.mark.parametrize("rows", [0, 1, 7, 100_000])
@pytest.mark.parametrize("width", [0, 5, 1_000, 10**9])
def test_blocks_cover_every_row_once_and_stay_small(rows, width):
    blocks = list(row_blocks(rows, width))
    if width < 10**9 or rows < 10:
        assert [row for block in blocks for row in range(rows)[block]] == list(range(rows))
    size = blocks[0].stop - blocks[0].start
    assert 1 <= size <= bank_file.ROWS
    assert size == 1 or size * width <= bank_file.ENTRIES

"""Distributions over few classes, and deals that depend on ids alone."""

import torch
from torch.testing import assert_close

from ncaudit.core.classes.sparse import KEPT, SparseClasses, dealt, drawn

IDS = torch.randint(-(2**62), 2**62, (5000,), generator=torch.Generator().manual_seed(0))


def test_a_kept_distribution_comes_back():
    table = torch.rand(7, KEPT, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    assert_close(SparseClasses.top(table).dense(KEPT), table, atol=1e-3, rtol=0)


def test_what_is_left_out_goes_to_the_classes_that_are_kept():
    table = torch.rand(7, 3 * KEPT, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    found = SparseClasses.top(table).dense(3 * KEPT)
    assert ((found > 0).sum(dim=1) == KEPT).all()
    assert_close(found.sum(dim=1), torch.ones(7), atol=1e-3, rtol=0)


def test_unlabelled_rows_have_no_weight():
    found = SparseClasses.empty(3, 4)
    found.put(torch.tensor([1]), SparseClasses.top(torch.tensor([[0.0, 0.0, 1.0, 0.0]])))
    assert found.labelled.tolist() == [False, True, False]
    assert found.dense(4)[1].tolist() == [0, 0, 1, 0]


def test_deals_are_even_and_follow_the_ids_not_the_rows():
    found = dealt(IDS, 5, seed=3)
    assert ((torch.bincount(found) - 1000).abs() < 150).all()
    assert torch.equal(dealt(IDS.flip(0), 5, seed=3), found.flip(0))
    assert not torch.equal(dealt(IDS, 5, seed=4), found)


def test_equal_ids_are_dealt_together():
    assert torch.equal(dealt(IDS.repeat(2), 7, seed=0), dealt(IDS, 7, seed=0).repeat(2))


def test_a_draw_is_of_the_same_ids_in_any_order_of_rows():
    assert torch.equal(IDS[drawn(IDS, 50, seed=1)], IDS.flip(0)[drawn(IDS.flip(0), 50, seed=1)])

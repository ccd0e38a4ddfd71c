import numpy as np
import torch

from ncaudit.objectives import drop, infonce


def test_pairs_at_the_bound_are_learnt_from_and_those_below_are_not():
    labels = np.array([0.0, 0.2499, 0.25, 1.0])
    assert drop.trains_on(labels, drop_below=0.25).tolist() == [False, False, True, True]


def test_a_float32_label_is_not_below_the_number_that_it_was_rounded_from():
    labels = np.array([0.1, 0.7, 0.9], dtype=np.float32)  # .7 and .9 are rounded down, .1 up
    for i, bound in enumerate([0.1, 0.7, 0.9]):
        assert drop.trains_on(labels, drop_below=bound)[i]
        assert drop.trains_on(labels, drop_below=np.float64(bound))[i]


def test_no_pairs_are_no_pairs():
    assert drop.trains_on(np.empty(0, dtype=np.float32)).tolist() == []


def test_nothing_is_dropped_at_zero_and_only_certain_pairs_stay_at_one():
    labels = np.array([0.0, 0.99, 1.0], dtype=np.float32)
    assert drop.trains_on(labels, drop_below=0).tolist() == [True, True, True]
    assert drop.trains_on(labels, drop_below=1).tolist() == [False, False, True]


def test_within_a_batch_it_is_plain_infonce():
    similarity = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([1.0, 0.9, 0.8, 0.6])
    assert drop.batch_loss(similarity, label, scale=5.0) == infonce.batch_loss(similarity, label, scale=5.0)

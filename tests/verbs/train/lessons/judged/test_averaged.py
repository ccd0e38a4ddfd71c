"""The mean of weights: by hand, in its place for a while only, and of nothing."""

import pytest
import torch
from torch import nn

from ncaudit.verbs.train.lessons.judged.averaged import Averaged


def one_weight(value: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    put(module, value)
    return module


def put(module: nn.Linear, value: float) -> None:
    with torch.no_grad():
        module.weight.fill_(value)


def test_the_mean_of_all_that_was_taken_is_in_place_and_then_what_was_there_before():
    module = one_weight(1.0)
    averaged = Averaged(module)
    for value in (1.0, 2.0, 6.0):
        put(module, value)
        averaged.take()
    put(module, 7.0)
    with averaged.in_place():
        assert module.weight.item() == pytest.approx(3.0)
        assert module.weight.requires_grad
    assert module.weight.item() == 7.0
    with averaged.in_place():  # the mean is not what it was written over
        assert module.weight.item() == pytest.approx(3.0)


def test_what_was_there_comes_back_where_the_look_fails():
    module = one_weight(1.0)
    averaged = Averaged(module)
    averaged.take()
    put(module, 5.0)
    with pytest.raises(ZeroDivisionError), averaged.in_place():
        _ = 1 / 0
    assert module.weight.item() == 5.0


def test_without_anything_taken_the_weights_stay():
    module = one_weight(4.0)
    with Averaged(module).in_place():
        assert module.weight.item() == 4.0

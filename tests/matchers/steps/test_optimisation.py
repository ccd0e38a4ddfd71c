"""What every training step shares: the schedule, and the throttle on it."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ncaudit.matchers.steps.optimisation import Optimiser, Recipe, Throttle, schedule


def test_the_learning_rate_warms_up_then_falls_to_zero():
    rates = [schedule(number, 100, 0.1) for number in range(100)]
    assert_close(torch.tensor(rates[:10]), torch.arange(1, 11) / 10)
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert 0 < rates[-1] < 0.001


def test_whoever_holds_the_throttle_changes_the_rate_of_the_steps_to_come():
    throttle, model = Throttle(), nn.Linear(2, 2)
    model.logit_scale = nn.Parameter(torch.tensor(1.0))
    pace = {"learning_rate": 0.1, "weight_decay": 0.0, "warmup_share": 0.0, "clip_norm": 1.0, "total_steps": 4}
    optimiser = Optimiser(model, Recipe(**pace, throttle=throttle))
    before = optimiser.learning_rate(1)
    throttle.factor = 0.5
    assert optimiser.learning_rate(1) == pytest.approx(before / 2)

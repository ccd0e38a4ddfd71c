"""What every training step shares: the schedule."""

import pytest
import torch
from torch.testing import assert_close

from ncaudit.matchers.steps.optimisation import schedule


def test_the_learning_rate_warms_up_then_falls_to_zero():
    rates = [schedule(number, 100, 0.1) for number in range(100)]
    assert_close(torch.tensor(rates[:10]), torch.arange(1, 11) / 10)
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert sorted(rates[10:], reverse=True) == rates[10:]
    assert 0 < rates[-1] < 0.001

from math import exp, log

import pytest
import torch

from ncaudit.objectives import infonce


def test_infonce_is_the_mean_of_the_pairs_worked_by_hand():
    similarity = torch.tensor([[1.0, 0.0], [2.0, 3.0]], dtype=torch.float64)
    # image -> caption, then caption -> image; of pair 0: log(1 + e^(0-1)), log(1 + e^(2-1))
    pair_0 = (log(1 + exp(-1)) + log(1 + exp(1))) / 2
    pair_1 = (log(1 + exp(-1)) + log(1 + exp(-3))) / 2  # log(1 + e^(2-3)), log(1 + e^(0-3))
    loss = infonce.batch_loss(similarity, torch.tensor([1.0, 0.0]), scale=1.0)
    assert float(loss) == pytest.approx((pair_0 + pair_1) / 2)


def test_the_label_is_not_looked_at():
    similarity = torch.tensor([[0.5, 0.2], [0.1, 0.3]])
    trusted, doubted = torch.ones(2), torch.zeros(2)
    assert infonce.batch_loss(similarity, trusted, scale=9.0) == infonce.batch_loss(similarity, doubted, scale=9.0)

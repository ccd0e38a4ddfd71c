from math import exp, log

import pytest
import torch
from torch.testing import assert_close

from ncaudit.objectives import infonce, soft_infonce

BOTH = pytest.mark.parametrize("spread", ["uniform", "similarity"])
# Rows of the softmax at scale 1, both ways, are 1/4, 1/4, 1/2.
SIMILARITY = torch.tensor([[0.0, 0.0, log(2)], [0.0, log(2), 0.0], [log(2), 0.0, 0.0]], dtype=torch.float64)


def label(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_uniform_spread_worked_by_hand():
    # -log p: 2 log 2 at 1/4, log 2 at 1/2. Times the targets; both directions are the same, s being symmetric.
    pair_0 = 0.5 * 2 + 0.25 * 2 + 0.25 * 1  # label .5 on p_00 = 1/4; .25 on 1/4, .25 on 1/2
    pair_1 = 0.8 * 1 + 0.1 * 2 + 0.1 * 2  # label .8 on p_11 = 1/2
    pair_2 = 0.0 * 2 + 0.5 * 1 + 0.5 * 2  # label 0 on p_22 = 1/4; .5 on 1/2, .5 on 1/4
    loss = soft_infonce.batch_loss(SIMILARITY, label(0.5, 0.8, 0), scale=1.0)
    assert float(loss) == pytest.approx(log(2) * (pair_0 + pair_1 + pair_2) / 3)


def test_the_spread_by_similarity_worked_by_hand():
    # among the negatives of pairs 0 and 2, p is 1/4 to 1/2: a third and two thirds of 1 - label
    pair_0 = 0.4 * 2 + 0.2 * 2 + 0.4 * 1
    pair_1 = 0.8 * 1 + 0.1 * 2 + 0.1 * 2
    pair_2 = 0.0 * 2 + 2 / 3 * 1 + 1 / 3 * 2
    loss = soft_infonce.batch_loss(SIMILARITY, label(0.4, 0.8, 0), scale=1.0, spread="similarity")
    assert float(loss) == pytest.approx(log(2) * (pair_0 + pair_1 + pair_2) / 3)


def test_the_rest_of_the_target_goes_to_true_negatives_only():
    allowed = torch.tensor([[True, False, True], [True, True, True], [False, True, True]])
    # image 0: p = 1/3, 2/3 of columns 0 and 2; caption 0: p = 1/2, 1/2 of images 0 and 1
    # image 2: p = 1/2, 1/2 of columns 1 and 2; caption 2: images 0 (2/4), 1 (1/4), 2 (1/4)
    # image 1: 1/4, 1/2, 1/4; caption 1: images 1 (2/3), 2 (1/3)
    pair_0 = 0.5 * log(3) + 0.5 * log(3 / 2) + log(2)
    pair_1 = 0.5 * log(2) + 0.5 * log(4) + 0.5 * log(3 / 2) + 0.5 * log(3)
    pair_2 = log(2) + 0.5 * log(4) + 0.25 * log(2) + 0.25 * log(4)
    loss = soft_infonce.batch_loss(SIMILARITY, label(0.5, 0.5, 0.5), scale=1.0, allowed=allowed)
    assert float(loss) == pytest.approx((pair_0 + pair_1 + pair_2) / 2 / 3)


@BOTH
def test_labels_of_one_give_plain_infonce(spread):
    ones = label(1, 1, 1)
    assert_close(
        soft_infonce.batch_loss(SIMILARITY, ones, scale=7.0, spread=spread),
        infonce.batch_loss(SIMILARITY, ones, scale=7.0),
    )


@BOTH
def test_the_scale_multiplies_the_similarities(spread):
    soft = label(0.2, 0.5, 0.9)
    assert_close(
        soft_infonce.batch_loss(SIMILARITY, soft, scale=4.0, spread=spread),
        soft_infonce.batch_loss(4 * SIMILARITY, soft, scale=1.0, spread=spread),
    )


@BOTH
def test_the_gradient_is_the_probability_minus_the_target(spread):
    """By hand: the target takes no part in the gradient, though the spread by similarity is made from s."""
    generator = torch.Generator().manual_seed(0)
    similarity = torch.randn(4, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    trust, scale = torch.rand(4, dtype=torch.float64, generator=generator), 3.0
    soft_infonce.batch_loss(similarity, trust, scale=scale, spread=spread).backward()

    def pull(matrix: torch.Tensor) -> torch.Tensor:
        probability = (scale * matrix).softmax(dim=1)
        rest = torch.ones_like(matrix) if spread == "uniform" else probability.clone()
        rest = rest.fill_diagonal_(0)
        target = (1 - trust)[:, None] * rest / rest.sum(dim=1, keepdim=True) + trust.diag()
        return scale * (probability - target)

    s = similarity.detach()
    assert_close(similarity.grad, (pull(s) + pull(s.T).T) / 2 / 4)


@BOTH
def test_a_pair_is_pulled_below_its_label_and_pushed_above_it(spread):
    similarity = SIMILARITY.clone().requires_grad_()
    # the pairs' probabilities are 1/4, 1/2, 1/4
    soft_infonce.batch_loss(similarity, label(0.26, 0.5, 0.24), scale=1.0, spread=spread).backward()
    pulled, settled, pushed = similarity.grad.diagonal().tolist()
    assert pulled < 0 < pushed
    assert settled == pytest.approx(0, abs=1e-12)


def test_by_similarity_a_batch_whose_probabilities_are_its_labels_is_at_rest():
    similarity = SIMILARITY.clone().requires_grad_()
    soft_infonce.batch_loss(similarity, label(0.25, 0.5, 0.25), scale=1.0, spread="similarity").backward()
    assert_close(similarity.grad, torch.zeros(3, 3, dtype=torch.float64))


@BOTH
@pytest.mark.parametrize("trust", [0.0, 0.5, 1.0])
def test_a_row_without_any_allowed_negative_adds_nothing(spread, trust):
    allowed = torch.tensor([[True, False], [True, True]])  # image 0 and caption 1 have none
    similarity = torch.tensor([[0.1, 0.9], [0.4, 0.3]], dtype=torch.float64, requires_grad=True)
    loss = soft_infonce.batch_loss(similarity, label(trust, trust), scale=1.0, allowed=allowed, spread=spread)
    loss.backward()
    # what is left: caption 0 with images 0, 1 (.1 to .4), and image 1 with captions 1, 0 (.3 to .4)
    rows = [log(1 + exp(lead)) - (1 - trust) * lead for lead in (0.3, 0.1)]
    assert loss.item() == pytest.approx(sum(rows) / 2 / 2)
    assert similarity.grad.isfinite().all()
    assert similarity.grad[0, 1] == 0

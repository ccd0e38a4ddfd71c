"""Class losses: hand-worked values, gradients, and what must not change them."""

from math import exp, log, sqrt

import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.losses import class_losses
from ncaudit.core.losses.class_losses import ClassTargets

# image: classes 0, 1, 2 at .5, .25, .25; text: at .2, .6, .2
IMAGE_LOG_P = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()
TEXT_LOG_P = torch.tensor([[0.2, 0.6, 0.2]], dtype=torch.float64).log()


def carried(*rows: list[int]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.bool)


def test_a_barycentre_is_the_direction_of_all_image_and_text_rows_of_a_class():
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    text = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.6, 0.8]])
    found = class_losses.barycentres(image, text, carried([1, 0, 0], [1, 1, 0], [0, 1, 0]))
    # class 0: (1, 0) + (0, 1) + (0, 1) + (0, 1); class 1: (0, 1) + (0, 1) + (1, 0) + (.6, .8); nobody has class 2
    expected = [[1 / sqrt(10), 3 / sqrt(10)], [1.6 / sqrt(1.6**2 + 2.8**2), 2.8 / sqrt(1.6**2 + 2.8**2)], [0, 0]]
    assert_close(found, torch.tensor(expected))


def test_the_barycentres_of_many_rows_are_those_of_one_block(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    image, text = (torch.nn.functional.normalize(torch.randn(50, 4, generator=generator), dim=1) for _ in range(2))
    classes = torch.rand(50, 3, generator=generator) > 0.5
    whole = class_losses.barycentres(image, text, classes)
    monkeypatch.setattr(class_losses, "BLOCK_ROWS", 7)
    assert_close(class_losses.barycentres(image, text, classes), whole)


def test_a_wrong_share_of_labels_does_not_shorten_a_barycentre():
    rows = torch.eye(2)[[0, 0, 0, 1, 1, 1]]
    noisy = torch.eye(2, dtype=torch.bool)[[0, 0, 1, 1, 1, 0]]
    assert_close(class_losses.barycentres(rows, rows, noisy).norm(dim=1), torch.ones(2))


def test_class_probabilities_are_the_softmax_of_cosines_over_the_temperature():
    rows = torch.tensor([[0.6, 0.8]], dtype=torch.float64)
    found = class_losses.class_log_probabilities(rows, torch.eye(2, dtype=torch.float64), temperature=0.5).exp()
    assert_close(found[0, 0], torch.tensor(1 / (1 + exp((0.8 - 0.6) / 0.5)), dtype=torch.float64))
    assert_close(found.sum(), torch.tensor(1.0, dtype=torch.float64))


def test_a_class_that_no_pair_has_gets_no_probability_and_no_nan():
    rows = torch.tensor([[-1.0, 0.0]], requires_grad=True)
    log_p = class_losses.class_log_probabilities(rows, torch.tensor([[1.0, 0.0], [0.0, 0.0]]), temperature=0.1)
    class_losses.pure_loss(log_p, log_p, carried([1, 0])).sum().backward()
    assert log_p.exp().tolist() == [[1, 0]]
    assert rows.grad.isfinite().all()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 0, 0], -log(0.5) - log(0.2)),
        ([0, 1, 0], -log(0.25) - log(0.6)),
        ([1, 1, 0], -(log(0.5) + log(0.2) + log(0.25) + log(0.6)) / 2),  # both at equal weight
        ([0, 0, 0], 0.0),
    ],
)
def test_the_pure_loss_is_the_cross_entropy_of_both_rows(given, expected):
    assert float(class_losses.pure_loss(IMAGE_LOG_P, TEXT_LOG_P, carried(given))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "weight"), [([1, 0, 0], 1 - 0.5 * 0.8), ([1, 1, 0], 1 - 0.25 * 0.2), ([1, 1, 1], 1.0)]
)
def test_the_hard_loss_is_the_pure_one_as_far_as_either_row_believes_the_classes(given, weight):
    pure = class_losses.pure_loss(IMAGE_LOG_P, TEXT_LOG_P, carried(given))
    assert float(class_losses.hard_loss(IMAGE_LOG_P, TEXT_LOG_P, carried(given))) == pytest.approx(weight * float(pure))


def test_no_gradient_flows_through_the_belief_of_the_hard_loss():
    rows = torch.tensor([[0.6, 0.8]], dtype=torch.float64, requires_grad=True)
    centres = torch.eye(2, dtype=torch.float64)

    def gradient(loss) -> torch.Tensor:
        log_p = class_losses.class_log_probabilities(rows, centres, temperature=0.5)
        return torch.autograd.grad(loss(log_p, log_p, carried([1, 0])).sum(), rows)[0]

    p = 1 / (1 + exp(0.4))
    assert_close(gradient(class_losses.hard_loss), (1 - (1 - p) ** 2) * gradient(class_losses.pure_loss))


def test_the_noisy_loss_is_the_absolute_error_against_the_pseudo_class_alone():
    found = class_losses.noisy_loss(IMAGE_LOG_P, TEXT_LOG_P, torch.tensor([1]))
    image = abs(0.5) + abs(1 - 0.25) + abs(0.25)
    text = abs(0.2) + abs(1 - 0.6) + abs(0.2)
    assert float(found) == pytest.approx(image + text)


def test_the_joint_class_is_the_one_that_either_row_most_likely_has():
    # 1 - .5 * .8 = .6, 1 - .75 * .4 = .7, 1 - .75 * .8 = .4
    assert class_losses.joint_class(IMAGE_LOG_P, TEXT_LOG_P).tolist() == [1]


def random_world() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image, text, centres = (torch.randn(n, 3, dtype=torch.float64, generator=generator) for n in (5, 5, 4))
    return image.requires_grad_(), text.requires_grad_(), centres, torch.rand(5, 4, generator=generator) > 0.4


@pytest.mark.parametrize("loss", ["pure", "noisy"])
def test_gradients_are_right(loss):
    image, text, centres, classes = random_world()

    def value(*rows: torch.Tensor) -> torch.Tensor:
        log_p = [class_losses.class_log_probabilities(side, centres, temperature=0.7) for side in rows]
        if loss == "noisy":
            return class_losses.noisy_loss(*log_p, torch.tensor([0, 1, 2, 3, 0])).sum()
        return class_losses.pure_loss(*log_p, classes).sum()

    assert torch.autograd.gradcheck(value, (image, text))


def test_the_gradient_of_the_hard_loss_is_that_of_the_pure_one_with_fixed_weights():
    image, text, centres, classes = random_world()
    log_p = [class_losses.class_log_probabilities(side, centres, temperature=0.7) for side in (image, text)]
    weight = class_losses.joint_probabilities(*((classes * side.exp()).sum(dim=1) for side in log_p)).detach()
    hard, pure = class_losses.hard_loss(*log_p, classes).sum(), (weight * class_losses.pure_loss(*log_p, classes)).sum()
    assert_close(*(torch.autograd.grad(loss, (image, text), retain_graph=True) for loss in (hard, pure)))


def test_float32_is_finite_at_the_smallest_temperature():
    rows = torch.eye(3, requires_grad=True)
    log_p = class_losses.class_log_probabilities(rows, -torch.eye(3), temperature=0.001)
    every = torch.eye(3, dtype=torch.bool)
    total = class_losses.pure_loss(log_p, log_p, every) + class_losses.hard_loss(log_p, log_p, every)
    (total + class_losses.noisy_loss(log_p, log_p, torch.arange(3))).sum().backward()
    assert total.isfinite().all()
    assert rows.grad.isfinite().all()


def test_taken_targets_keep_what_belongs_to_them_and_all_barycentres():
    targets = ClassTargets(torch.eye(3, dtype=torch.bool), *3 * [torch.arange(3)], torch.ones(3, 2))
    taken = targets.take(torch.tensor([2, 0]))
    assert taken.carried.int().argmax(dim=1).tolist() == taken.part.tolist() == taken.trust.tolist() == [2, 0]
    assert taken.voted.tolist() == [2, 0]
    assert taken.barycentres.shape == (3, 2)

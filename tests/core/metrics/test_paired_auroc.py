import numpy as np
import pytest
import torch

from ncaudit.core.metrics.detection import auroc
from ncaudit.core.metrics.paired_auroc import paired_auroc


def test_error_is_what_a_hand_counts():
    positive = np.array([True, True, False, False])
    first, second = np.array([3.0, 1.0, 2.0, 0.0]), np.array([3.0, 2.0, 1.0, 0.0])
    found = paired_auroc(first, second, positive)
    # positives are above 1 and .5 of the negatives by the first, above all by the second: differences 0 and -.5;
    # negatives are below .5 and 1 of the positives, below all by the second: the same
    assert (found.first, found.second) == (0.75, 1.0)
    assert found.standard_error == pytest.approx(np.sqrt(0.125 / 2 + 0.125 / 2))


def test_both_are_the_auroc_that_detection_knows():
    draw = np.random.default_rng(0)
    positive = draw.random(300) < 0.4
    scores = [(positive + draw.normal(size=300)).round(1) for _ in range(2)]
    found = paired_auroc(*scores, positive)
    for score, told in zip(scores, (found.first, found.second), strict=True):
        assert told == pytest.approx(auroc(torch.from_numpy(score), torch.from_numpy(positive)))


def test_the_error_is_the_spread_that_repeated_draws_have():
    draw = np.random.default_rng(1)

    def drawn():
        positive = np.arange(200) < 100
        shared = positive + draw.normal(size=200)
        return paired_auroc(shared + 0.5 * draw.normal(size=200), shared + 0.5 * draw.normal(size=200), positive)

    found = [drawn() for _ in range(300)]
    spread = np.std([each.first - each.second for each in found])
    assert np.mean([each.standard_error for each in found]) == pytest.approx(spread, rel=0.15)
    assert np.mean([each.better != 0 for each in found]) < 0.1  # neither is better


def test_which_is_better():
    draw = np.random.default_rng(2)
    positive = np.arange(400) < 200
    good, weak = positive + 0.5 * draw.normal(size=400), positive + 3 * draw.normal(size=400)
    assert paired_auroc(good, weak, positive).better == 1
    assert paired_auroc(weak, good, positive).better == 2
    assert paired_auroc(good, good, positive).better == 0


def test_one_row_of_a_class_is_too_few():
    assert paired_auroc(np.arange(3.0), np.arange(3.0), np.array([True, False, False])) is None

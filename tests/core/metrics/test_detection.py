import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch.testing import assert_close

from ncaudit.core.metrics import detection
from ncaudit.errors import NcauditError

# few distinct values, so that ties are common
rows = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=1, max_size=60)


def columns(pairs):
    return torch.tensor([p[0] for p in pairs]), torch.tensor([p[1] for p in pairs])


@settings(deadline=None)
@given(pairs=rows)
def test_auroc_and_average_precision_agree_with_scikit_learn(pairs):
    score, positive = columns(pairs)
    if positive.any() and not positive.all():
        assert detection.auroc(score, positive) == pytest.approx(metrics.roc_auc_score(positive, score))
    if positive.any():
        expected = metrics.average_precision_score(positive, score)
        assert detection.average_precision(score, positive) == pytest.approx(expected)


@settings(deadline=None)
@given(pairs=rows, data=st.data())
def test_the_order_of_rows_changes_nothing(pairs, data):
    score, flag = columns(pairs)
    order = torch.tensor(data.draw(st.permutations(range(len(pairs)))))
    for metric in (
        detection.auroc,
        detection.average_precision,
        lambda s, f: detection.precision_at(s, f, 5),
        lambda s, f: detection.calibration_error(s, f, bins=3),
    ):
        assert metric(score, flag) == pytest.approx(metric(score[order], flag[order]), nan_ok=True)


def test_infinite_scores_are_ranked_like_any_other():
    score = torch.tensor([-torch.inf, -torch.inf, 0.0, torch.inf])
    assert detection.auroc(score, torch.tensor([False, True, False, True])) == pytest.approx((0.5 + 0 + 2) / 4)


def test_one_class_has_no_auroc():
    assert math.isnan(detection.auroc(torch.rand(4), torch.ones(4, dtype=torch.bool)))
    assert math.isnan(detection.average_precision(torch.rand(4), torch.zeros(4, dtype=torch.bool)))


@pytest.mark.parametrize("metric", [detection.auroc, detection.average_precision, detection.calibration_error])
def test_a_score_that_is_no_number_is_refused(metric):
    with pytest.raises(NcauditError, match="1 of 3 scores are nan"):
        metric(torch.tensor([0.1, torch.nan, 0.2]), torch.tensor([True, False, True]))


def test_precision_reads_from_the_lowest_score_up():
    score = torch.tensor([0.1, 0.9, 0.2, 0.8])
    mismatched = torch.tensor([True, False, True, True])
    assert detection.precision_at(score, mismatched, 2) == 1
    assert detection.precision_at(score, mismatched, 4) == 0.75
    assert detection.precision_at(score, mismatched, 99) == 0.75
    assert detection.precision_at_true_count(score, mismatched) == 1


def test_rows_tied_at_the_cut_count_with_their_expected_share():
    score, mismatched = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0]), torch.tensor([True, True, False, False, False])
    assert detection.precision_at(score, mismatched, 3) == pytest.approx((1 + 2 * 0.25) / 3)


def test_nothing_read_has_no_precision():
    assert math.isnan(detection.precision_at_true_count(torch.rand(3), torch.zeros(3, dtype=torch.bool)))


def test_bins_hold_about_equal_mass():
    probability = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    table = detection.reliability(probability, probability > 0.5, bins=10)
    assert [row.count for row in table] == [100] * 10
    assert all(first.high < second.low for first, second in pairwise(table))


@settings(deadline=None)
@given(pairs=rows, bins=st.integers(1, 12))
def test_every_row_is_in_one_bin_and_equal_probabilities_share_it(pairs, bins):
    probability, outcome = columns(pairs)
    table = detection.reliability(probability, outcome, bins)
    assert sum(row.count for row in table) == len(pairs)
    assert len(table) <= bins
    assert all(first.high < second.low for first, second in pairwise(table))
    for row in table:
        inside = (probability >= row.low) & (probability <= row.high)
        assert row.count == inside.sum()
        assert row.observed == pytest.approx(outcome[inside].double().mean().item())


def test_calibration_error_by_hand():
    # .2 promised, 1 of 2 seen: gap .3; .8 promised, 2 of 2: gap .2
    error = detection.calibration_error(torch.tensor([0.2, 0.2, 0.8, 0.8]), torch.tensor([0, 1, 1, 1]).bool(), bins=2)
    assert error == pytest.approx(0.25)


def test_an_honest_probability_has_almost_no_error():
    draw = torch.Generator().manual_seed(0)
    probability = torch.rand(20_000, generator=draw)
    outcome = torch.rand(20_000, generator=draw) < probability
    assert detection.calibration_error(probability, outcome) < 0.02
    assert_close(
        torch.tensor(detection.calibration_error(1 - probability, outcome)), torch.tensor(0.5), atol=0.02, rtol=0
    )


def test_no_rows_have_no_error():
    assert math.isnan(detection.calibration_error(torch.empty(0), torch.empty(0, dtype=torch.bool)))

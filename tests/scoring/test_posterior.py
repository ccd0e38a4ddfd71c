"""P(clean) from observed and random scores, worked out by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from ncaudit.scoring.posterior import clean_posterior, density_ratio

TEN = torch.arange(10.0)


def test_the_density_ratio_of_a_small_sample() -> None:
    # at 0: 1/4 of the top sample and 3/4 of the bottom one; at 1 the reverse
    top, bottom = torch.tensor([0.0, 1.0, 1.0, 1.0]), torch.tensor([0.0, 0.0, 0.0, 1.0])
    found = density_ratio(top, bottom, torch.tensor([0.0, 1.0, -5.0, 5.0]), increasing=True)
    assert_close(found, torch.tensor([1 / 3, 3.0, 1 / 3, 3.0], dtype=torch.float64))


def test_both_samples_count_alike_whatever_their_size() -> None:
    top, bottom = torch.tensor([0.0, 1.0, 1.0, 1.0]), torch.tensor([0.0, 0.0, 0.0, 1.0])
    at = torch.tensor([0.0, 1.0])
    assert_close(
        density_ratio(top.repeat(5), bottom, at, increasing=True), density_ratio(top, bottom, at, increasing=True)
    )


def test_what_the_samples_do_not_show_is_bounded() -> None:
    found = density_ratio(TEN + 100, TEN, torch.tensor([0.0, 105.0]), increasing=True)
    assert_close(found, torch.tensor([1 / 999, 999.0], dtype=torch.float64))


def test_half_the_mismatches_of_the_nulls_lowest_fifth() -> None:
    # the null's 20 % quantile is 1.8; a tenth of the observed pairs lies below: rate .1 / .2 = .5
    observed = torch.tensor([0.0, *range(20, 29)])
    clean, rate = clean_posterior(observed, TEN)
    assert abs(rate - 0.5) < 1e-6
    # up to 9 there is a tenth of the observed pairs and all of the null: ratio 10, so surely a mismatch;
    # above there is none of the null: .5 · 1/999 is left
    assert_close(clean, torch.tensor([0.0] + [1 - 0.5 / 999] * 9))


def test_scores_like_those_of_random_pairs_are_all_mismatches() -> None:
    draw = torch.Generator().manual_seed(0)
    observed, null = torch.randn(5000, generator=draw), torch.randn(5000, generator=draw)
    clean, rate = clean_posterior(observed, null)
    assert rate > 0.9
    assert clean.mean() < 0.1


def test_scores_far_above_those_of_random_pairs_are_all_clean() -> None:
    clean, rate = clean_posterior(TEN + 100, TEN)
    assert rate == 0
    assert clean.tolist() == [1.0] * 10


def test_without_random_pairs_all_count_as_clean() -> None:
    clean, rate = clean_posterior(TEN, torch.empty(0))
    assert (clean.tolist(), rate) == ([1.0] * 10, 0)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=40), st.lists(st.integers(-20, 20), min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_a_higher_score_is_never_less_clean(observed: list[int], null: list[int]) -> None:
    scores: Tensor = torch.tensor(sorted(observed)).float()
    clean, rate = clean_posterior(scores, torch.tensor(null).float())
    assert (clean.diff() >= -1e-6).all()
    assert ((clean >= 0) & (clean <= 1)).all()
    assert 0 <= rate <= 1

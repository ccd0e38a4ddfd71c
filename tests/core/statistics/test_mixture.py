import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ncaudit.core.statistics.mixture import Mixture, _low_loss_first, clean_probability, fit_mixture
from ncaudit.errors import NcauditError

KINDS = pytest.mark.parametrize("kind", ["beta", "gaussian"])
GRID = torch.linspace(0, 1, 501)


def beta_draws(a, b, count, seed):
    torch.manual_seed(seed)
    return torch.distributions.Beta(a, b).sample((count,))


def two_groups(noise=0.3, count=5000):
    noisy = int(count * noise)
    return torch.cat([beta_draws(2.0, 8.0, count - noisy, 0), beta_draws(8.0, 3.0, noisy, 1)])


def test_known_beta_components_are_found_again():
    mixture = fit_mixture(two_groups())
    assert mixture.converged
    assert mixture.weights[0] == pytest.approx(0.7, abs=0.03)
    assert mixture.parameters[0] == pytest.approx((2, 8), rel=0.15)
    assert mixture.parameters[1] == pytest.approx((8, 3), rel=0.15)


def test_known_gaussian_components_are_found_again():
    draw = torch.Generator().manual_seed(0)
    loss = torch.cat([0.2 + 0.1 * torch.randn(7000, generator=draw), 0.8 + 0.05 * torch.randn(3000, generator=draw)])
    mixture = fit_mixture(loss, "gaussian")
    span = mixture.loss_max - mixture.loss_min
    assert mixture.weights[0] == pytest.approx(0.7, abs=0.01)
    assert mixture.loss_min + span * mixture.parameters[1][0] == pytest.approx(0.8, abs=0.005)
    assert span * math.sqrt(mixture.parameters[1][1]) == pytest.approx(0.05, rel=0.1)


def test_the_posterior_is_the_weighted_share_of_the_low_density():
    mixture = Mixture("beta", (0.6, 0.4), ((2.0, 6.0), (6.0, 2.0)), 0.0, 1.0, True)
    # Beta(2,6) at .4: 42 * .4 * .6^5; Beta(6,2): 42 * .4^5 * .6
    low, high = 0.6 * 42 * 0.4 * 0.6**5, 0.4 * 42 * 0.4**5 * 0.6
    assert_close(clean_probability(mixture, torch.tensor([0.4])), torch.tensor([low / (low + high)]))


@KINDS
def test_low_losses_are_the_clean_ones(kind):
    probability = clean_probability(fit_mixture(two_groups(), kind), torch.tensor([0.1, 0.9]))
    assert probability[0] > 0.95
    assert probability[1] < 0.05


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(["beta", "gaussian"]),
    low=st.tuples(st.floats(0.05, 20), st.floats(0.05, 20)), high=st.tuples(st.floats(0.05, 20), st.floats(0.05, 20)),
    share=st.floats(0.01, 0.99),
)  # fmt: skip
def test_more_loss_never_means_more_probably_clean(kind, low, high, share):
    mean = (lambda p: p[0] / (p[0] + p[1])) if kind == "beta" else (lambda p: p[0])
    first, second = sorted((low, high), key=mean)
    mixture = Mixture(kind, (share, 1 - share), (first, second), 0.0, 1.0, True)
    probability = clean_probability(mixture, GRID)
    assert ((probability >= 0) & (probability <= 1)).all()
    assert (probability.diff() <= 1e-6).all()


def test_a_wide_noisy_component_does_not_take_the_best_losses():
    mixture = Mixture("gaussian", (0.5, 0.5), ((0.3, 0.0025), (0.5, 0.09)), 0.0, 1.0, True)  # at 0 the wide one wins
    assert clean_probability(mixture, torch.tensor([0.0])) > 0.8


@KINDS
@pytest.mark.parametrize("loss", [[], [0.3], [0.3] * 9, [0.0] * 5, [1e30] * 3])
def test_losses_that_tell_nothing_give_one_half(kind, loss):
    mixture = fit_mixture(torch.tensor(loss), kind)
    assert not mixture.converged
    assert_close(clean_probability(mixture, torch.tensor([0.0, 0.3, 1.0])), torch.full((3,), 0.5))


@KINDS
@settings(deadline=None, max_examples=60)
@given(loss=st.lists(st.sampled_from([0.0, 1e-9, 0.1, 0.5, 0.999999, 1.0, 7.0, -3.0]), min_size=2, max_size=30))
def test_no_fit_ever_gives_a_nan(kind, loss):
    mixture = fit_mixture(torch.tensor(loss), kind)
    probability = clean_probability(mixture, torch.tensor([*loss, -100.0, 100.0]))
    assert ((probability >= 0) & (probability <= 1)).all()


@KINDS
def test_losses_beyond_the_fits_count_as_its_extremes(kind):
    mixture = fit_mixture(3 + 2 * two_groups(), kind)
    outside, extremes = torch.tensor([-9.0, 99.0]), torch.tensor([mixture.loss_min, mixture.loss_max])
    assert_close(clean_probability(mixture, outside), clean_probability(mixture, extremes))


@KINDS
def test_shift_scale_and_order_of_the_losses_change_nothing(kind):
    loss = two_groups(count=2000).double()
    moved = fit_mixture(5 * loss.flip(0) - 2, kind)
    assert_close(
        clean_probability(moved, 5 * loss - 2), clean_probability(fit_mixture(loss, kind), loss), atol=1e-4, rtol=0
    )


def test_the_same_losses_give_the_same_fit():
    assert fit_mixture(two_groups()) == fit_mixture(two_groups())


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(NcauditError, match="1 losses are not finite"):
        fit_mixture(torch.tensor([0.1, torch.nan, 0.3]))


def test_too_few_iterations_are_told():
    assert not fit_mixture(two_groups(), iterations=1).converged


@pytest.mark.parametrize("seed", range(3))
def test_a_start_that_ends_with_one_component_on_the_other_is_not_taken(seed: int) -> None:
    # 690 hinge losses of matches, many exactly 0, and 460 of mismatches: from the median split alone EM calls all clean
    draw = torch.Generator().manual_seed(seed)
    clean, wrong = torch.randn(690, generator=draw) * 0.08 - 0.02, torch.randn(460, generator=draw) * 0.25 + 0.45
    loss = torch.cat([clean, wrong]).clamp(min=0)
    share = (clean_probability(fit_mixture(loss), loss) > 0.5).float().mean()
    assert 0.55 < share < 0.85


def test_the_low_loss_component_is_named_first_wherever_the_fit_ended():
    swapped = Mixture("beta", (0.2, 0.8), ((6.0, 2.0), (2.0, 6.0)), 0.0, 1.0, True)
    assert _low_loss_first(swapped) == Mixture("beta", (0.8, 0.2), ((2.0, 6.0), (6.0, 2.0)), 0.0, 1.0, True)

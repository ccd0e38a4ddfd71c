import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ncaudit.core.correspondence.consistency import centre, distance_consistency, similarity_consistency

BOTH = pytest.mark.parametrize("consistency", [distance_consistency, similarity_consistency])
cosines = st.lists(st.floats(-1, 1, width=32), min_size=6, max_size=6).map(torch.tensor)


def one(consistency, own, other):
    return consistency(torch.tensor([own]), torch.tensor([other])).item()


def test_the_papers_ratio_is_own_distance_over_the_other_sides():
    # image .8 from the anchor's, caption .6 from its caption: D = .2 against .4
    assert one(distance_consistency, 0.8, 0.6) == pytest.approx(0.5)


def test_the_papers_ratio_is_clamped_where_it_would_exceed_one():
    assert one(distance_consistency, 0.2, 0.6) == 1  # .8 / .4 = 2
    assert one(distance_consistency, 0.2, 1.0) == 1  # .8 / 0


def test_an_anchor_of_the_same_photo_would_call_the_pair_a_mismatch():
    assert one(distance_consistency, 1.0, 0.6) == 0  # why callers exclude siblings


def test_the_released_ratio_is_turned_under_one():
    assert one(similarity_consistency, 0.8, 0.4) == pytest.approx(0.5)
    assert one(similarity_consistency, 0.4, 0.8) == pytest.approx(0.5)


@pytest.mark.parametrize(("own", "other"), [(0.8, -0.4), (-0.4, 0.8), (0.8, 0.0), (0.0, 0.8)])
def test_a_released_ratio_at_or_under_zero_is_no_consistency(own, other):
    assert one(similarity_consistency, own, other) == 0


@BOTH
@pytest.mark.parametrize("same", [1.0, 0.5, 0.0, -0.5])
def test_equal_sides_are_fully_consistent(consistency, same):
    assert one(consistency, same, same) == 1


@BOTH
@settings(deadline=None)
@given(own=cosines, other=cosines)
def test_consistency_is_a_share(consistency, own, other):
    value = consistency(own, other)
    assert ((value >= 0) & (value <= 1)).all()


@BOTH
def test_several_anchors_are_averaged_before_the_ratio(consistency):
    own, other = torch.tensor([[0.9, 0.5]]), torch.tensor([[0.5, 0.1]])
    assert_close(consistency(own, other), consistency(own.mean(1), other.mean(1)))


@BOTH
def test_a_missing_anchor_is_left_out_and_none_at_all_is_nan(consistency):
    own, other = torch.tensor([[0.9, -torch.inf]] * 2), torch.tensor([[0.6, -torch.inf]] * 2)
    own[1, 0] = -torch.inf
    value = consistency(own, other)
    assert value[0] == one(consistency, 0.9, 0.6)
    assert value[1].isnan()


def test_centring_spreads_a_narrow_cone_and_keeps_unit_rows():
    cone = torch.nn.functional.normalize(torch.randn(50, 8, generator=torch.Generator().manual_seed(0)) + 5, dim=1)
    centred = centre(cone, cone.mean(dim=0))
    assert_close(centred.norm(dim=1), torch.ones(50))
    assert (cone @ cone.T).mean() > 0.9
    assert (centred @ centred.T).mean() < 0.1


def test_a_row_at_the_mean_stays_zero():
    assert_close(centre(torch.ones(1, 4), torch.ones(4)), torch.zeros(1, 4))

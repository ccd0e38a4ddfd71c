import torch
from torch.testing import assert_close

from ncaudit.core.correspondence.drift import drift_agreement, drift_score

GRID = torch.linspace(-1, 1, 81)


def test_agreement_is_the_cosine_of_the_two_drifts():
    found = drift_agreement(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 2.0], [-3.0, 0.0]]))
    assert_close(found, torch.tensor([0.0, -1.0]))


def test_without_a_drift_there_is_nothing_to_disagree():
    assert drift_agreement(torch.zeros(1, 3), torch.ones(1, 3)).tolist() == [1.0]
    assert drift_agreement(torch.ones(1, 3), torch.zeros(1, 3)).tolist() == [1.0]


def test_where_both_are_positive_the_score_is_the_published_product():
    similarity, agreement = torch.tensor([0.3, 0.9, 0.0]), torch.tensor([0.9, 0.5, 0.7])
    assert_close(drift_score(similarity, agreement), similarity * agreement)


def test_two_negatives_do_not_make_a_high_score():
    bad = drift_score(torch.tensor([-0.5]), torch.tensor([-0.9]))
    assert bad < drift_score(torch.tensor([-0.5]), torch.tensor([0.9])) < 0
    assert bad < drift_score(torch.tensor([0.5]), torch.tensor([-0.9])) < 0


def test_the_score_never_falls_when_either_part_rises_and_nowhere_jumps():
    score = drift_score(GRID[:, None].expand(81, 81), GRID[None, :].expand(81, 81))
    for steps in (score.diff(dim=0), score.diff(dim=1)):
        assert (steps >= -1e-6).all()
        assert (steps <= 4 * 0.025 + 1e-6).all()

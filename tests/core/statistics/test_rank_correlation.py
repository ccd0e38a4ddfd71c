import numpy as np
import pytest
from scipy.stats import spearmanr

from ncaudit.core.statistics.rank_correlation import mean_ranks, rank_shares, spearman


def test_ties_share_their_mean_rank():
    assert mean_ranks(np.array([7.0, 2.0, 7.0, 7.0, 1.0])).tolist() == [4, 2, 4, 4, 1]
    assert rank_shares(np.array([7.0, 2.0, 7.0])).tolist() == [0.75, 0.0, 0.75]


def test_spearman_is_what_a_hand_counts():
    # ranks 1 2 3 4 5 against 2 1 3 5 4: differences squared add up to 4, so 1 - 6 * 4 / (5 * 24)
    assert spearman(np.arange(5.0), np.array([0.2, 0.1, 0.3, 9.0, 0.4])) == pytest.approx(0.8)
    # ranks 1 2.5 2.5 4 against 1 2 3 4: 4.5 / sqrt(4.5 * 5)
    assert spearman(np.array([0.0, 1, 1, 2]), np.arange(4.0)) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_it_agrees_with_scipy_on_ties():
    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 9, 500).astype(float), draw.integers(0, 40, 500).astype(float)
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [2.0], []])
def test_what_has_no_order_has_no_correlation(values):
    assert spearman(np.array(values), np.arange(float(len(values)))) is None

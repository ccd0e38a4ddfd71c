import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from ncaudit.core.statistics.correlation import row_correlation, row_ranks

DRAW = torch.Generator().manual_seed(0)
X, Y = torch.randn(9, 40, generator=DRAW), torch.randn(9, 40, generator=DRAW)
ALLOWED = torch.rand(9, 40, generator=DRAW) < 0.7
ALL = torch.ones(9, 40, dtype=torch.bool)


def test_each_row_has_the_correlation_of_its_allowed_entries():
    expected = [stats.pearsonr(x[a], y[a])[0] for x, y, a in zip(X.numpy(), Y.numpy(), ALLOWED.numpy(), strict=True)]
    assert_close(row_correlation(X, Y, ALLOWED), torch.tensor(expected, dtype=torch.float32))


def test_correlated_ranks_are_spearmans_ties_included():
    x, y = (X * 3).round(), (Y * 3).round()
    expected = [stats.spearmanr(a[m], b[m])[0] for a, b, m in zip(x.numpy(), y.numpy(), ALLOWED.numpy(), strict=True)]
    found = row_correlation(row_ranks(x, ALLOWED), row_ranks(y, ALLOWED), ALLOWED)
    assert_close(found, torch.tensor(expected, dtype=torch.float32))


def test_scale_and_shift_do_not_matter_and_a_mirror_is_minus_one():
    assert_close(row_correlation(X, 3 * X + 5, ALL), torch.ones(9))
    assert_close(row_correlation(X, -X, ALL), -torch.ones(9))


def test_what_is_not_allowed_does_not_count():
    loud = X.masked_fill(~ALLOWED, 1e3)
    assert_close(row_correlation(loud, Y, ALLOWED), row_correlation(X, Y, ALLOWED))
    assert_close(row_ranks(loud, ALLOWED), row_ranks(X, ALLOWED))


@pytest.mark.parametrize("allowed", [ALL, ~ALL])
def test_a_constant_row_or_none_at_all_is_no_evidence(allowed):
    flat = torch.full_like(X, 0.3) + 1e-8 * X
    assert row_correlation(flat, Y, allowed).tolist() == [0.0] * 9

"""NCR's self-label post hoc: loss by hand, posterior, and a fit that survives a file."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scorers import ncr
from ncaudit.scoring.fits import Fit
from ncaudit.scoring.pairs import Pairs

CPU = torch.device("cpu")
N, WRONG = 120, 40


def world() -> Pairs:
    draw = torch.Generator().manual_seed(0)
    image = torch.nn.functional.normalize(torch.randn(N, 24, generator=draw), dim=1)
    text = torch.nn.functional.normalize(image + 0.15 * torch.randn(N, 24, generator=draw), dim=1)
    text[:WRONG] = text[:WRONG].roll(1, dims=0)
    return Pairs(image, text, torch.arange(N), torch.arange(N), [str(i) for i in range(N)])


PAIRS = world()


def fit(given: Pairs = PAIRS, **options: object) -> Fit:
    return ncr.fit(given, ScorerOptions(scorer="ncr", **options))  # type: ignore[arg-type]


def test_the_score_is_the_log_of_the_mean_probability() -> None:
    axes = torch.eye(24)
    numbers = torch.arange(24)
    given = Pairs(axes, axes, numbers, numbers, ())
    # p = q = e^2 / (e^2 + 23) at T = .5
    found = ncr.applier(fit(given, temperature=0.5), CPU)(given)
    assert_close(found.score, torch.full((24,), 2 - math.log(math.exp(2) + 23)))


@pytest.mark.parametrize("mixture", ["beta", "gaussian"])
def test_the_posterior_tells_right_from_wrong(mixture: str) -> None:
    made = fit(mixture=mixture)
    assert made.facts["mixture"]["kind"] == mixture
    found = ncr.applier(made, CPU)(PAIRS)
    assert found.clean_probability[:WRONG].mean() < 0.1
    assert found.clean_probability[WRONG:].mean() > 0.9
    assert found.soft_label is None


def test_the_score_goes_on_ranking_where_the_posterior_is_saturated() -> None:
    found = ncr.applier(fit(), CPU)(PAIRS)
    best = found.clean_probability > 0.999
    assert best.sum() > 20
    assert len(found.score[best].unique()) == best.sum()


def test_more_loss_never_means_likelier_clean() -> None:
    found = ncr.applier(fit(), CPU)(PAIRS)
    assert (found.clean_probability[found.score.argsort()].diff() >= 0).all()


def test_a_fit_read_from_a_file_scores_alike() -> None:
    made = fit()
    read = replace(made, facts=json.loads(json.dumps(made.facts)), options=json.loads(json.dumps(made.options)))
    for name in ("score", "clean_probability"):
        assert_close(getattr(ncr.applier(read, CPU)(PAIRS), name), getattr(ncr.applier(made, CPU)(PAIRS), name))


def test_too_few_pairs_for_a_mixture_are_refused() -> None:
    with pytest.raises(NcauditError, match="at least 20 pairs, not 19"):
        fit(PAIRS.head(19))

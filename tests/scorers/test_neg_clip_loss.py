"""negCLIPLoss against a fixed bank: the paper's formula, the temperature, what is refused."""

import math

import pytest
import torch
from torch.testing import assert_close

from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scorers import neg_clip_loss
from ncaudit.scoring.fits import Fit
from ncaudit.scoring.pairs import Pairs

CPU = torch.device("cpu")
AXES = torch.eye(24)


def pairs(image: torch.Tensor, text: torch.Tensor, start: int = 0) -> Pairs:
    ids = torch.arange(start, start + len(image))
    return Pairs(image, text, ids, ids, [str(i) for i in ids.tolist()])


def fit(given: Pairs, **options: object) -> Fit:
    return neg_clip_loss.fit(given, ScorerOptions(scorer="neg-clip-loss", **options))  # type: ignore[arg-type]


def test_a_pair_among_orthogonal_ones_scores_by_hand() -> None:
    # s_ii = 1, 23 rivals at 0, T = .5: 1 - .25 log(e^2 + 23) * 2
    found = neg_clip_loss.applier(fit(pairs(AXES, AXES), temperature=0.5), CPU)(pairs(AXES, AXES))
    expected = 1 - 0.5 * math.log(math.exp(2) + 23)
    assert_close(found.score, torch.full((24,), expected))
    assert found.soft_label is None


def test_of_two_captions_as_near_the_one_that_suits_other_photos_too_scores_lower() -> None:
    bank = pairs(AXES[1:23], AXES[1:23])
    hub = AXES[1:23].sum(dim=0) / math.sqrt(22)
    captions = 0.6 * AXES[0] + 0.8 * torch.stack([hub, AXES[23]])
    asked = pairs(AXES[:1].expand(2, 24), captions, start=100)
    assert_close(asked.similarity(), torch.tensor([0.6, 0.6]))
    hub_score, other_score = neg_clip_loss.applier(fit(bank, temperature=0.1), CPU)(asked).score.tolist()
    assert hub_score < other_score - 0.01


def test_the_temperature_is_the_one_asked_for_or_the_likeliest() -> None:
    assert fit(pairs(AXES, AXES), temperature=0.07).facts["temperature"] == 0.07
    assert fit(pairs(AXES, AXES)).facts["temperature"] == 0.01  # every pair is right: the sharpest there is
    assert fit(pairs(AXES, AXES.roll(1, dims=0))).facts["temperature"] == 0.2  # every pair is wrong: the loosest


def test_the_bank_is_the_first_different_pairs_of_the_sample() -> None:
    twice = pairs(AXES, AXES).take(torch.arange(24).repeat_interleave(2))
    made = fit(twice, bank_pairs=5)
    assert made.tensors["bank_image_id"].tolist() == [0, 1, 2, 3, 4]
    assert made.facts["bank_pairs"] == 5


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e-9, 11.0, math.inf, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(NcauditError, match="--temperature is"):
        ScorerOptions(temperature=temperature)


def test_too_few_pairs_for_a_bank_are_refused() -> None:
    with pytest.raises(NcauditError, match="at least 20, and there are 19"):
        fit(pairs(AXES[:19], AXES[:19]))

"""Labels only where something tells observed from random pairs; few pairs are another thing than an ignorant model."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ncaudit.judging import calibrated
from ncaudit.judging.evidence import NOTHING, TOO_FEW, UNKNOWN
from ncaudit.options import ScorerOptions
from ncaudit.scoring.pairs import Pairs
from tests.worlds.embeddings import random_unit

CPU = torch.device("cpu")


def world(n: int, noise: float, *, seed: int = 0, dims: int = 16) -> Pairs:
    """n pairs by a model that knows them, a share with the next such pair's caption."""
    draw = np.random.default_rng(seed)
    seen = draw.normal(size=(n, dims)) / dims**0.5
    said, caption, wrong = seen + 0.15 * draw.normal(size=(n, dims)), np.arange(n), draw.permutation(n)
    wrong = wrong[: round(noise * n)]
    caption[wrong] = np.roll(caption[wrong], 1)
    image, text = (torch.nn.functional.normalize(torch.tensor(side, dtype=torch.float32)) for side in (seen, said))
    return Pairs(image, text[caption], torch.arange(n), torch.from_numpy(caption), [str(i) for i in range(n)])


def ignorant(n: int, seed: int = 0) -> Pairs:
    """n right pairs by a model that knows nothing of them: both sides in all directions."""
    ids = torch.arange(n)
    return Pairs(random_unit(n, seed=seed), random_unit(n, seed=seed + 1), ids, ids, [str(i) for i in range(n)])


def learnt(pairs: Pairs, scorer: str = "bicro", **more: object) -> calibrated.Fit:
    return calibrated.learn(pairs, ScorerOptions(scorer=scorer, device="cpu", **more))


@pytest.mark.parametrize("scorer", ["bicro", "clip-score", "csls", "lemon", "structure"])
@pytest.mark.parametrize("pairs", [ignorant(600), world(600, 1.0)], ids=["ignorant model", "all captions wrong"])
def test_where_nothing_tells_there_is_no_rate_no_label_and_no_verdict(scorer, pairs):
    fit = learnt(pairs, scorer)
    assert "noise_rate" not in fit.facts
    assert fit.facts[NOTHING]["kind"] == UNKNOWN
    for said in ("no soft label", "does not know these data", "captions are wrong"):
        assert said in fit.facts["label_means"]
    scores = calibrated.applier(fit, CPU)(pairs)
    assert (scores.soft_label, scores.verdict) == (None, None)
    assert scores.score.isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_ninety_percent_of_noise_are_told_where_the_model_knows_the_data(seed):
    fit = learnt(world(600, 0.9, seed=seed))
    assert fit.facts["noise_rate"]["rate"] == pytest.approx(0.9, abs=0.08)


@pytest.mark.parametrize("n", [50, 100])
def test_half_right_captions_of_few_pairs_get_labels_and_no_doubt(n):
    fit = learnt(world(n, 0.5))
    assert "noise_rate" in fit.facts
    assert "warning" not in fit.facts


def test_too_few_pairs_say_so_and_blame_nobody():
    fit = learnt(world(60, 1.0))
    assert fit.facts[NOTHING]["kind"] == TOO_FEW
    assert "60 pairs are too few to tell" in fit.facts["label_means"]
    assert "does not know" not in fit.facts["label_means"]


def test_captions_moved_photo_by_photo_do_not_vouch_for_each_other():
    one = ignorant(300)
    five = one.take(torch.arange(300).repeat_interleave(5))
    draw = torch.Generator().manual_seed(5)
    text = torch.nn.functional.normalize(five.text + 0.05 * torch.randn(five.text.shape, generator=draw))
    pairs = replace(five, text=text, caption_id=torch.arange(1500), pair_id=[str(i) for i in range(1500)])
    assert learnt(pairs.take(torch.randperm(1500, generator=draw))).facts[NOTHING]["kind"] == UNKNOWN


def test_an_old_fit_gives_no_labels_to_new_rows_whose_captions_are_all_wrong():
    fit = learnt(world(600, 0.1))
    told = calibrated.rerated(fit, world(600, 1.0, seed=3), ScorerOptions(device="cpu"))
    assert "noise_rate" not in told.facts
    assert told.facts["rate_of_fit"] == fit.facts["noise_rate"]
    assert calibrated.applier(told, CPU)(world(600, 1.0, seed=3)).verdict is None


def test_an_old_fit_tells_the_rate_of_few_new_rows_without_learning_anything_of_them():
    fit = learnt(world(600, 0.1))
    told = calibrated.rerated(fit, world(80, 0.5, seed=3), ScorerOptions(device="cpu"))
    assert told.facts["noise_rate"]["rate"] == pytest.approx(0.5, abs=0.15)

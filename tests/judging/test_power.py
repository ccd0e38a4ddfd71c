"""What an audit says of itself without labels: near the truth where that is known, and plain about what it misses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import ncaudit
from ncaudit import ScoreOptions, scorers
from ncaudit.core.metrics.detection import auroc
from ncaudit.judging import calibrated, mismatches, power
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import Fit
from ncaudit.scoring.pairs import Pairs

CPU = torch.device("cpu")


def world(n: int, *, noise: float = 0.0, blur: float = 0.5, clusters: int = 0, seed: int = 0) -> tuple[Pairs, Any]:
    """n pairs in random order, a share with another pair's caption; and which belong together. clusters: of topics."""
    draw = np.random.default_rng(seed)
    seen = draw.normal(size=(n, 16))
    if clusters:
        seen = 3 * draw.normal(size=(clusters, 16))[draw.integers(clusters, size=n)] + seen
    said = seen + blur * draw.normal(size=(n, 16))
    caption, wrong = np.arange(n), draw.permutation(n)[: round(noise * n)]
    caption[wrong] = np.roll(caption[wrong], 1)
    image, text = (torch.nn.functional.normalize(torch.tensor(side, dtype=torch.float32)) for side in (seen, said))
    pairs = Pairs(image, text[caption], torch.arange(n), torch.from_numpy(caption), [str(i) for i in range(n)])
    return pairs, torch.from_numpy(caption == np.arange(n))


def checked(pairs: Pairs, scorer: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The power of this scorer alone."""
    options = ScorerOptions(scorer=scorer, device="cpu")
    fit = calibrated.learn(pairs, options)
    monkeypatch.setattr(power, "fitted", lambda *_: None)  # the others take their time
    return power.check(fit, pairs, options)[0]


@pytest.mark.parametrize("scorer", ["bicro", "csls"])
def test_the_estimated_auroc_is_that_of_a_corrupted_copy(scorer, monkeypatch):
    told = checked(world(800)[0], scorer, monkeypatch)
    corrupted, match = world(800, noise=0.3)
    options = ScorerOptions(scorer=scorer, device="cpu")
    score = calibrated.applier(calibrated.learn(corrupted, options), CPU)(corrupted).score
    assert told["scorer"] == scorer
    assert told["estimated_auroc_random"] == pytest.approx(auroc(score, match), abs=0.05)
    assert told["auroc"]["random"] == pytest.approx(auroc(score, match), abs=0.05)
    assert 0 < told["standard_error"] < 0.05


def test_noise_already_there_does_not_hide_the_power(monkeypatch):
    clean, noisy = (checked(world(800, noise=noise)[0], "csls", monkeypatch) for noise in (0.0, 0.4))
    for kind in ("random", "near"):
        assert noisy["auroc"][kind] == pytest.approx(clean["auroc"][kind], abs=0.08)


def test_nearer_mismatches_are_harder(monkeypatch):
    told = checked(world(800, blur=2.0, clusters=8)[0], "csls", monkeypatch)
    assert told["auroc"]["random"] > told["auroc"]["topic"] + 0.02
    assert told["auroc"]["random"] > told["auroc"]["near"] + 0.05
    assert told["caught"]["random"] > told["caught"]["near"]


def test_injected_pairs_join_neither_a_photo_nor_a_caption_to_itself():
    pairs, _ = world(300, clusters=5)
    pairs = replace(pairs, image_id=pairs.image_id // 3, caption_id=pairs.caption_id // 2)
    made = mismatches.injected(pairs, seed=0)
    assert list(made) == list(power.KINDS)
    for images, captions in made.values():
        assert len(images) > 200
        assert (pairs.image_id[images] != pairs.image_id[captions]).all()
        assert (pairs.caption_id[images] != pairs.caption_id[captions]).all()


def test_no_check_leaves_the_table_of_power_empty(write_embeddings, tmp_path):
    for check in (True, False):
        out = str(tmp_path / str(check))
        options = ScoreOptions(embeddings=[str(write_embeddings())], out=out, scorer="csls", check=check)
        result = ncaudit.score(options)
        assert bool(result.power) is check
        if check:
            assert result.power[0]["scorer"] == "csls"
            assert "clip-score" in {one["scorer"] for one in result.power}


def test_every_other_scorer_is_judged_on_the_same_bounded_sample_and_draw(monkeypatch):
    asked = []

    def seen(fit, pairs, wrong, rate, seed):
        asked.append((fit.scorer, pairs.pair_id, wrong, rate, seed))
        return power.Power(fit.scorer, None, None, {}, {})

    monkeypatch.setattr(power, "PAIRS", 120)
    monkeypatch.setattr(power, "_power", seen)
    monkeypatch.setattr(power, "fitted", lambda name, pairs, options, looked: Fit(name, {}, {}, {}, []))
    pairs, options = world(200)[0], ScorerOptions(scorer="csls", device="cpu", seed=7)
    power.check(calibrated.learn(pairs, options), pairs, options)
    own, *others = asked
    assert (own[0], len(own[1]), own[4]) == ("csls", 120, 7)
    assert sorted(other[0] for other in others) == [name for name in scorers.names() if name != "csls"]
    assert all(other[1:] == own[1:] for other in others)


def test_another_scorer_is_fitted_with_the_same_options_but_for_sources():
    options = ScorerOptions(scorer="csls", seed=7, k=3, stratify="shard")
    assert power.replace_scorer(options, "lemon") == replace(options, scorer="lemon", stratify="none")


def test_another_draw_of_mismatches_comes_with_another_seed():
    pairs, _ = world(300, clusters=5)
    first, again, other = (mismatches.injected(pairs, seed=seed, made=100) for seed in (0, 0, 1))
    for kind in power.KINDS:
        assert torch.equal(first[kind][0], again[kind][0])
        assert torch.equal(first[kind][1], again[kind][1])
        assert not torch.equal(first[kind][0], other[kind][0])

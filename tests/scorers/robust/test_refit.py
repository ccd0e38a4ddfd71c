"""The refitted space learns from the dataset itself, and must not repeat what it was told."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit.core.cca import project
from ncaudit.core.metrics.detection import auroc
from ncaudit.scorers.robust import refit
from ncaudit.scorers.robust.refit import Refit
from ncaudit.scoring.pairs import Pairs, joined, random_partners


def told_apart(high: Tensor, low: Tensor) -> tuple[float, float]:
    """AUROC of two samples of scores, and three of its standard errors at chance."""
    found = auroc(torch.cat([high, low]), torch.arange(len(high) + len(low)) < len(high))
    return found, 3 * math.sqrt((len(high) + len(low) + 1) / (12 * len(high) * len(low)))


def scored(pairs: Pairs, seed: int = 0) -> tuple[Refit, Tensor, Tensor]:
    """A fit, its scores of the pairs it was fitted on, and of random pairs inside the folds."""
    model = refit.fit(pairs, csls_k=10, seed=seed)
    fold = model.folds.of(pairs)
    random = joined(pairs, *random_partners(pairs, fold, draws=2, seed=seed))
    return model, model.score(pairs, fold), model.score(random, model.folds.of(random))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pairs_of_pure_noise_score_as_random_pairs_do(latent_world, seed: int) -> None:
    # a model that had seen its own pairs would tell them from random ones at .75 here
    noise, _ = latent_world(600, wrong=1.0, noise=5.0, seed=seed)
    _, observed, random = scored(noise, seed)
    found, error = told_apart(observed, random)
    assert abs(found - 0.5) < error


@pytest.mark.parametrize("seed", [0, 1])
def test_the_wrong_pairs_of_a_good_dataset_score_as_random_pairs_do(latent_world, seed: int) -> None:
    pairs, clean = latent_world(900, wrong=0.4, noise=1.0, seed=seed)
    _, observed, random = scored(pairs, seed)
    found, error = told_apart(observed[~clean], random)
    assert abs(found - 0.5) < error
    assert told_apart(observed[clean], random)[0] > 0.9


def test_copies_of_a_wrong_pair_do_not_vouch_for_it(latent_world) -> None:
    pairs, clean = latent_world(600, wrong=0.3)
    wrong = (~clean).nonzero()[:20, 0]
    copied = pairs.take(torch.cat([torch.arange(600), wrong.repeat(8)]))
    once, often = refit.fit(pairs, 10, seed=0), refit.fit(copied, 10, seed=0)
    asked = pairs.take(wrong)
    found = [model.score(asked, model.folds.of(asked)) for model in (once, often)]
    assert found[1].mean() < found[0].mean() + found[0].std()


def test_the_trust_in_a_folds_own_pairs_is_zero_and_in_wrong_ones_low(latent_world) -> None:
    pairs, clean = latent_world(800, wrong=0.4)
    model = refit.fit(pairs, csls_k=10, seed=0)
    own = model.folds.of(pairs)[None, :] == torch.arange(model.folds.count)[:, None]
    assert (model.trust[own] == 0).all()
    assert (model.trust[~own] >= refit.LEAST_TRUST).all()
    assert model.trust[0][clean & ~own[0]].mean() > 3 * model.trust[0][~clean & ~own[0]].mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_pairs_of_pure_noise_are_not_trusted(latent_world, seed: int) -> None:
    # models that had seen these pairs would trust three quarters of them
    noise, _ = latent_world(600, wrong=1.0, noise=5.0, seed=seed)
    trust = refit.fit(noise, csls_k=10, seed=0).trust
    assert trust.mean() < 0.35


def test_the_score_is_csls_among_the_bank_without_the_pairs_own_photo_and_caption(latent_world) -> None:
    pairs, _ = latent_world(250, captions=2, wrong=0.3)
    model = refit.fit(pairs, csls_k=5, seed=0)
    maps, (image, text) = model.maps[0], model.coordinates(pairs)
    x, y = project(image, maps.image), project(text, maps.text)
    same = (pairs.image_id[:, None] == pairs.image_id) | (pairs.caption_id[:, None] == pairs.caption_id)
    crowds = [(a @ b.T).masked_fill(same, -1).topk(5, dim=1).values.mean(dim=1) for a, b in ((x, y), (y, x))]
    by_hand = 2 * (x * y).sum(dim=1) - crowds[0] - crowds[1]
    own = model.folds.of(pairs) == 0
    assert_close(model.score(pairs, model.folds.of(pairs))[own], by_hand[own], atol=1e-4, rtol=0)


def test_the_same_seed_gives_the_same_fit(latent_world) -> None:
    pairs, _ = latent_world(500, wrong=0.3)
    one, other = (refit.fit(pairs, csls_k=10, seed=3) for _ in range(2))
    assert one.ridges == other.ridges
    assert all(torch.equal(one.tensors()[name], other.tensors()[name]) for name in one.tensors())


def test_noisier_data_take_a_larger_ridge(latent_world) -> None:
    good, bad = (latent_world(600, noise=noise, wrong=wrong)[0] for noise, wrong in ((0.1, 0.0), (4.0, 0.5)))
    chosen = [refit.STEPS.index(refit.fit(pairs, csls_k=10, seed=0).ridges) for pairs in (good, bad)]
    assert chosen[0] < chosen[1]


def test_ridges_that_are_not_clearly_better_are_not_taken(latent_world) -> None:
    pairs, _ = latent_world(600, noise=1000.0)  # nothing to learn: every ridge tells as little as the others
    assert refit.fit(pairs, csls_k=10, seed=0).ridges == refit.usual_ridges(600, 600, pairs.image.shape[1])


def test_more_pairs_and_fewer_features_take_a_smaller_usual_ridge() -> None:
    def step(pairs: int, photos: int, features: int) -> int:
        return refit.STEPS.index(refit.usual_ridges(pairs, photos, features))

    assert [step(pairs, pairs, 384) for pairs in (500, 2_300, 5_000, 50_000)] == [3, 2, 1, 0]
    assert [step(2_300, 2_300, features) for features in (16, 128, 384)] == [0, 1, 2]
    assert step(11_500, 11_500, 384) < step(11_500, 2_300, 384) < step(2_300, 2_300, 384)


def test_the_folds_are_many_where_the_pairs_are_few_and_time_allows() -> None:
    assert [refit.fold_count(pairs) for pairs in (500, 2_000, 2_001, 5_000, 5_001)] == [16, 16, 32, 32, 8]


def test_a_saved_fit_scores_as_the_fit(latent_world) -> None:
    pairs, _ = latent_world(600, wrong=0.3)
    model = refit.fit(pairs, csls_k=10, seed=0)
    again = Refit.saved(model.tensors(), model.facts(), pairs)
    fold = model.folds.of(pairs)
    assert again.folds.of(pairs).tolist() == fold.tolist()
    # the maps are kept in half precision
    assert_close(again.score(pairs, fold), model.score(pairs, fold), atol=2e-2, rtol=0)
    assert_close(again.text_space(pairs.text, fold), model.text_space(pairs.text, fold), atol=5e-3, rtol=0)


def test_a_pair_scores_alone_as_among_others(latent_world) -> None:
    pairs, _ = latent_world(600, wrong=0.3)
    model = refit.fit(pairs, csls_k=10, seed=0)
    alone = pairs.rows(slice(7, 8))
    expected = model.score(pairs, model.folds.of(pairs))[7:8]
    assert_close(model.score(alone, model.folds.of(alone)), expected, atol=1e-5, rtol=0)


def test_captions_lie_in_their_folds_space_as_unit_rows(latent_world) -> None:
    pairs, _ = latent_world(500)
    model = refit.fit(pairs, csls_k=10, seed=0)
    rows = model.text_space(pairs.text, model.folds.of(pairs))
    assert_close(rows.norm(dim=1), torch.ones(500))
    elsewhere = model.text_space(pairs.text, (model.folds.of(pairs) + 1) % model.folds.count)
    assert (rows - elsewhere).norm(dim=1).min() > 1e-4

"""The robust bicro on small worlds with known truth."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit import scorers
from ncaudit.core.metrics.detection import auroc
from ncaudit.errors import NcauditError
from ncaudit.judging.saved_fits import SavedFit, load_fit, save_fit
from ncaudit.options import ScorerOptions
from ncaudit.scorers import bicro
from ncaudit.scorers.robust import bicro_robust, refit
from ncaudit.scoring.fits import Fit, PairScores
from ncaudit.scoring.pairs import Pairs, joined, random_partners

CPU = torch.device("cpu")
WIDE = (24, 16)


def fit(pairs: Pairs, **options: Any) -> Fit:
    return bicro_robust.fit(pairs, ScorerOptions(**options))


def score(fitted: Fit, pairs: Pairs) -> PairScores:
    return bicro_robust.applier(fitted, CPU)(pairs)


def fields(scores: PairScores) -> dict[str, Tensor]:
    return {name: value for name, value in vars(scores).items() if value is not None}


@pytest.fixture(scope="module")
def unlike(latent_world) -> tuple[Pairs, Tensor, Fit]:
    """800 pairs of two encoders with different widths, 30 % mismatched."""
    pairs, clean = latent_world(800, wrong=0.3, dims=WIDE, noise=1.0)
    return pairs, clean, fit(pairs)


@pytest.fixture(scope="module")
def several(latent_world) -> tuple[Pairs, Tensor, Fit]:
    """200 photos with four captions each, in one space, 30 % of them swapped."""
    pairs, clean = latent_world(200, captions=4, wrong=0.3, dims=(24, 24), noise=3.0, shared=True)
    return pairs, clean, fit(pairs)


@pytest.fixture(params=["unlike", "several"])
def world(request: pytest.FixtureRequest) -> tuple[Pairs, Tensor, Fit]:
    return request.getfixturevalue(request.param)


def test_mismatches_are_found_between_encoders_of_different_widths(unlike) -> None:
    pairs, clean, fitted = unlike
    assert auroc(score(fitted, pairs).score, clean) > 0.9
    assert fitted.facts["space"].startswith("learned")
    assert score(fitted, pairs).similarity.isnan().all()
    assert abs(fitted.facts["rate_without_siblings"] - 0.3) < 0.1


def test_pairs_that_the_fit_never_saw_are_judged_alike(unlike, latent_world) -> None:
    everybody, clean = latent_world(1200, wrong=0.3, dims=WIDE, noise=1.0)
    known, new = everybody.rows(slice(0, 800)), everybody.rows(slice(800, None))
    fitted = fit(known)
    seen, unseen = (
        auroc(score(fitted, part).score, clean[rows])
        for part, rows in ((known, slice(0, 800)), (new, slice(800, None)))
    )
    assert abs(seen - unseen) < 0.03


def test_one_width_but_two_spaces_means_a_learned_space(latent_world) -> None:
    pairs, clean = latent_world(600, wrong=0.2, dims=(20, 20))
    fitted = fit(pairs)
    assert fitted.facts["space"].startswith("learned")
    assert auroc(score(fitted, pairs).score, clean) > 0.9


def test_a_shared_space_is_used(latent_world) -> None:
    pairs, clean = latent_world(200, wrong=0.3, dims=(20, 20), shared=True)
    fitted = fit(pairs)
    assert (fitted.facts["space"], fitted.facts["refit"]) == ("shared", None)  # too few pairs for fold models
    assert auroc(score(fitted, pairs).score, clean) > 0.9
    assert_close(score(fitted, pairs).similarity, (pairs.image * pairs.text).sum(dim=1))


def test_the_space_is_learned_on_demand(latent_world) -> None:
    pairs, clean = latent_world(600, wrong=0.3, dims=(20, 20), shared=True)
    fitted = fit(pairs, align="cca")
    assert fitted.facts["space"].startswith("learned")
    assert auroc(score(fitted, pairs).score, clean) > 0.9


def test_too_few_pairs_to_learn_a_space_from_are_told_how_many_it_takes(latent_world) -> None:
    with pytest.raises(
        NcauditError, match=r"499 different pairs of 499 photos are too few .* \(at least 500 of 128\)"
    ) as told:
        fit(latent_world(499)[0])
    assert "structure" in told.value.fix


def test_copies_do_not_count_as_different_pairs(latent_world) -> None:
    pairs = latent_world(300)[0]
    with pytest.raises(NcauditError, match="300 different pairs of 300 photos"):
        fit(pairs.take(torch.arange(900) % 300))


def test_fewer_than_twenty_pairs_are_refused(latent_world) -> None:
    pairs = latent_world(20, dims=(20, 20), shared=True, noise=0.1)[0]
    assert score(fit(pairs, align="none"), pairs).score.isfinite().all()
    with pytest.raises(NcauditError, match="at least 20 different ones, not 19"):
        fit(pairs.head(19), align="none")


def test_widths_that_differ_cannot_be_compared_as_they_are(latent_world) -> None:
    with pytest.raises(NcauditError, match="24 dimensions and text_embedding 16"):
        fit(latent_world(600)[0], align="none")


def test_a_pair_scores_alone_as_among_others(world) -> None:
    pairs, _, fitted = world
    together = fields(score(fitted, pairs))
    for row in (0, 17, 401):
        alone = replace(pairs.rows(slice(row, row + 1)), beside=pairs)
        for name, value in fields(score(fitted, alone)).items():
            assert_close(value, together[name][row : row + 1], equal_nan=True, rtol=1e-4, atol=1e-4)


def test_a_random_pair_of_one_cell_is_judged_by_one_model(world) -> None:
    pairs, _, fitted = world
    cell = bicro_robust.cells(fitted, pairs)
    random = joined(pairs, *random_partners(pairs, cell, draws=1, seed=0))
    model = bicro_robust._Model.saved(fitted, CPU)
    assert cell.tolist() == model.fold(pairs).tolist() == bicro.cells(fitted, pairs).tolist()
    assert cell.tolist() == scorers.cells(fitted, pairs).tolist()
    images, captions = random_partners(pairs, cell, draws=1, seed=0)
    assert model.fold(random).tolist() == cell[images].tolist() == cell[captions].tolist()
    assert len(cell.unique()) == fitted.facts["refit"]["folds"]


def test_without_fold_models_all_pairs_are_of_one_cell(latent_world) -> None:
    pairs = latent_world(60, dims=(20, 20), shared=True)[0]
    assert bicro_robust.cells(fit(pairs), pairs).tolist() == [0] * 60


def test_a_saved_fit_gives_the_same_bits(world, tmp_path: Path) -> None:
    pairs, _, fitted = world
    save_fit(SavedFit(fitted, None, {}), str(tmp_path))
    loaded = load_fit(str(tmp_path)).fit
    before, after = fields(score(fitted, pairs)), fields(score(loaded, pairs))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value.nan_to_num(), after[name].nan_to_num()), name
    assert bicro_robust.cells(loaded, pairs).tolist() == bicro_robust.cells(fitted, pairs).tolist()


def test_the_same_sample_gives_the_same_fit(latent_world) -> None:
    pairs = latent_world(500, wrong=0.3)[0]
    one, other = fit(pairs, seed=4), fit(pairs, seed=4)
    assert one.facts == other.facts
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_consistencies_are_shares_of_random_pairs(world) -> None:
    pairs, clean, fitted = world
    found = score(fitted, pairs)
    random = joined(pairs, *random_partners(pairs, bicro_robust.cells(fitted, pairs), draws=1, seed=9))
    null = score(fitted, random)
    for name in ("image_consistency", "text_consistency"):
        share = getattr(found, name)
        assert ((share >= 0) & (share <= 1)).all()
        assert share[clean].mean() > share[~clean].mean() + 0.1
        assert abs(float(getattr(null, name).mean()) - 0.5) < 0.05


def test_anchors_never_share_photo_caption_or_fold_with_the_pair(world) -> None:
    pairs, _, fitted = world
    found, cell = score(fitted, pairs), bicro_robust.cells(fitted, pairs)
    row_of = {name: row for row, name in enumerate(pairs.pair_id)}
    bank = torch.tensor([row_of[name] for name in fitted.pair_ids])
    for anchor in (found.image_anchor, found.text_anchor):
        assert (anchor >= 0).all()
        for ids in (pairs.image_id, pairs.caption_id, cell):
            assert (ids[bank[anchor]] != ids).all()


def test_without_fold_models_too_no_anchor_shares_photo_or_caption(latent_world) -> None:
    pairs = latent_world(40, captions=5, dims=(20, 20), shared=True)[0]
    pairs = replace(pairs, caption_id=pairs.caption_id % 50)  # captions that several photos have
    found = score(fit(pairs), pairs)
    for anchor in (found.image_anchor, found.text_anchor):
        assert (pairs.image_id[anchor] != pairs.image_id).all()  # no pair comes twice: the bank is the sample
        assert (pairs.caption_id[anchor] != pairs.caption_id).all()


def test_the_random_pairs_of_the_fit_have_both_halves_in_one_fold(
    latent_world, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Pairs, Tensor]] = []

    def spy(pairs: Pairs, cell: Tensor, **more: Any) -> tuple[Tensor, Tensor]:
        asked.append((pairs, cell))
        return random_partners(pairs, cell, **more)

    monkeypatch.setattr(bicro_robust, "random_partners", spy)
    fitted = fit(latent_world(500, wrong=0.3)[0])
    assert len(asked) == 2  # random ones, and those of the same topic
    for pairs, cell in asked:
        assert cell.tolist() == bicro_robust.cells(fitted, pairs).tolist()


def test_the_named_anchors_are_mostly_clean(unlike) -> None:
    pairs, clean, fitted = unlike
    found = score(fitted, pairs)
    assert clean[found.is_anchor].double().mean() > 0.9
    assert clean[found.image_anchor].double().mean() > 0.85  # the bank is the sample, in its order


def test_captions_of_one_photo_vouch_for_each_other(several) -> None:
    pairs, clean, fitted = several
    assert fitted.facts["regime"] == "siblings"
    alone = fit(pairs, siblings="ignore")
    assert alone.facts["regime"] == "no siblings"
    assert auroc(score(fitted, pairs).score, clean) > auroc(score(alone, pairs).score, clean) + 0.01


def test_captions_beside_a_new_photo_are_heard(several, latent_world) -> None:
    _, _, fitted = several
    new = latent_world(50, captions=4, dims=(24, 24), noise=3.0, shared=True)[0]
    new = replace(new, image_id=new.image_id + 5000, caption_id=new.caption_id + 5000)
    together = score(fitted, new).score
    assert_close(score(fitted, replace(new.rows(slice(3, 4)), beside=new)).score, together[3:4], rtol=1e-4, atol=1e-4)
    assert (score(fitted, new.rows(slice(3, 4))).score - together[3:4]).abs() > 1e-3  # alone, nobody vouches


def test_copies_of_a_wrong_pair_do_not_vouch_for_it(several) -> None:
    pairs, clean, _ = several
    wrong = (~clean).nonzero()[:30, 0]
    copied = pairs.take(torch.cat([torch.arange(800), wrong.repeat(5)]))
    found = auroc(score(fit(copied), pairs).score, clean)
    assert found > auroc(score(fit(pairs), pairs).score, clean) - 0.01


def test_siblings_that_are_not_there_cannot_be_asked_for(latent_world) -> None:
    pairs = latent_world(100, dims=(20, 20), shared=True)[0]
    assert fit(pairs).facts["regime"] == "no siblings"
    with pytest.raises(NcauditError, match="hardly any photo has several captions"):
        fit(pairs, siblings="use")


def test_a_random_pair_is_not_betrayed_by_the_caption_it_replaced(several) -> None:
    """Random pairs must score as wrong pairs do: the null is what labels are made of."""
    pairs, clean, fitted = several
    random = joined(pairs, *random_partners(pairs, bicro_robust.cells(fitted, pairs), draws=2, seed=5))
    wrong, null = score(fitted, pairs).score[~clean], score(fitted, random).score
    found = auroc(torch.cat([wrong, null]), torch.arange(len(wrong) + len(null)) < len(wrong))
    assert abs(found - 0.5) < 0.06


@pytest.mark.parametrize("n", [60, 520])
def test_images_and_captions_that_are_all_equal_give_finite_scores(n: int) -> None:
    row = torch.nn.functional.normalize(torch.ones(n, 8), dim=1)
    pairs = Pairs(row, row, torch.arange(n), torch.arange(n), [str(i) for i in range(n)])
    found = score(fit(pairs, align="none"), pairs)
    assert found.score.isfinite().all()


@pytest.mark.parametrize("n", [60, 520])
@pytest.mark.parametrize("shared", ["image_id", "caption_id"])
def test_pairs_of_one_photo_or_one_caption_are_refused(latent_world, shared: str, n: int) -> None:
    pairs = latent_world(n, dims=(20, 20), shared=True)[0]
    with pytest.raises(NcauditError, match="one photo or one caption in common"):
        fit(replace(pairs, **{shared: torch.zeros_like(pairs.image_id)}), align="none")


def test_few_photos_have_no_fold_models(latent_world) -> None:
    # of one photo per fold, no random pair could be made inside it
    pairs, clean = latent_world(refit.FEWEST_PHOTOS - 1, captions=20, wrong=0.3, dims=(20, 20), shared=True)
    fitted = fit(pairs)
    assert fitted.facts["refit"] is None
    assert auroc(score(fitted, pairs).score, clean) > 0.9
    with pytest.raises(NcauditError, match="2,540 different pairs of 127 photos are too few"):
        fit(pairs, align="cca")


def test_ten_captions_for_all_photos_are_judged(latent_world) -> None:
    pairs, _ = latent_world(10, captions=60)
    labels = Pairs(pairs.text, pairs.image, torch.arange(600), pairs.image_id, pairs.pair_id)
    wrong = torch.arange(600) < 180
    swapped = torch.where(wrong, (labels.caption_id + 1 + torch.arange(600) % 9) % 10, labels.caption_id)
    one_of_each = torch.tensor([int((labels.caption_id == name).nonzero()[0]) for name in range(10)])
    labels = replace(labels, text=labels.text[one_of_each][swapped], caption_id=swapped)
    assert auroc(score(fit(labels), labels).score, ~wrong) > 0.9


def test_nothing_to_score_gives_no_scores(unlike) -> None:
    pairs, _, fitted = unlike
    assert len(score(fitted, pairs.head(0)).score) == 0


def test_k_is_the_number_of_anchors(unlike) -> None:
    pairs, clean, fitted = unlike
    assert fitted.facts["anchor_counts"] == list(bicro_robust.ANCHORS_BY_DEFAULT)
    one = fit(pairs, k=3)
    assert one.facts["anchor_counts"] == [3]
    assert auroc(score(one, pairs).score, clean) > 0.9


def test_the_bank_is_no_larger_than_asked_for(latent_world) -> None:
    pairs, clean = latent_world(700, wrong=0.3)
    fitted = fit(pairs, max_anchors=refit.FEWEST_PAIRS)
    assert len(fitted.pair_ids) == fitted.facts["anchors"] == refit.FEWEST_PAIRS
    assert auroc(score(fitted, pairs).score, clean) > 0.8

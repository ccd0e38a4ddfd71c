"""Who teaches whom what, with networks that are given instead of learnt."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.correspondence.co_teaching import Anchors
from ncaudit.core.neighbours.bank import Bank
from ncaudit.matchers.heads.projection import Heads
from ncaudit.matchers.heads.starts import identity_start
from ncaudit.objectives import every_pair, get
from ncaudit.options import Loss
from ncaudit.scorers.bicro import pair_loss
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch, record_type
from ncaudit.verbs.train.lessons import co_teaching
from ncaudit.verbs.train.lessons.co_teaching import CoTeaching, Stages
from ncaudit.verbs.train.lessons.view import seen_by

PAIRS, DIMS, BATCH = 200, 16, 40
STAGES = Stages(
    split_loss=Loss.infonce, warmup_epochs=1, warmup_keep=0.3, split_threshold=0.5, noisy_after=2, anchor_k=5
)


@pytest.fixture
def pairs(tmp_path):
    """Pair i < 100 is one thing seen twice; the others' captions are of something else. Pair i has photo i."""
    generator = np.random.default_rng(0)
    records = np.zeros(PAIRS, record_type(DIMS, DIMS))
    records["image"] = generator.standard_normal((PAIRS, DIMS))
    records["text"] = records["image"] + 0.3 * generator.standard_normal((PAIRS, DIMS))
    records["text"][100:] = generator.standard_normal((100, DIMS))
    records["photo"], records["caption"], records["label"] = np.arange(PAIRS), np.arange(PAIRS), 1
    with EmbeddedPairs(DIMS, DIMS, at_most=PAIRS, folder=str(tmp_path)) as held:
        held.add(records)
        yield held


def knowing() -> Heads:
    return identity_start(DIMS)


def ignorant() -> Heads:
    """Captions are rolled: nothing fits."""
    heads = identity_start(DIMS)
    with torch.no_grad():
        heads.text_side.linear.weight.copy_(heads.text_side.linear.weight.roll(1, dims=0))
    return heads


def lessons(heads, pairs, trains_on=every_pair, stages=STAGES) -> CoTeaching:
    return CoTeaching(heads, pairs, stages, trains_on, seed=0)


def taught(recipe: CoTeaching, epoch: int) -> list[list]:
    """The batches for the first and for the second network."""
    batches = list(recipe.batches(epoch, batch_pairs=BATCH, seed=0))
    assert len(batches) == 2 * (PAIRS // BATCH)
    return [batches[0::2], batches[1::2]]


def test_the_warm_up_keeps_the_share_of_each_batch_that_fits_the_network_best(pairs):
    first, second = taught(lessons([knowing(), ignorant()], pairs), 1)
    assert {len(batch) for batch in first + second} == {12}
    matches = [torch.cat([batch.photo for batch in own]) < 100 for own in (first, second)]
    assert matches[0].all()
    assert 0.2 < float(matches[1].float().mean()) < 0.8


def test_each_network_is_taught_what_the_other_trusts(pairs):
    recipe = lessons([knowing(), ignorant()], pairs)
    first, second = taught(recipe, 2)
    assert (torch.cat([batch.photo for batch in second]) < 100).float().mean() > 0.9
    assert (torch.cat([batch.photo for batch in first]) < 100).float().mean() < 0.8
    assert all(len(batch) == BATCH and (batch.label == 1).all() for batch in first + second)
    told = recipe.told([1.0, 2.0, 3.0, 4.0])
    assert told["losses"] == [2.0, 3.0]
    assert 85 <= told["clean_pairs"][0] <= 110
    assert [clean + noisy for clean, noisy in zip(told["clean_pairs"], told["noisy_pairs"], strict=True)] == [PAIRS] * 2
    assert (told["mean_label"], told["noisy_label"]) == (1.0, None)


def test_noisy_pairs_join_later_with_low_labels_and_clean_ones_keep_1(pairs):
    recipe = lessons([knowing(), knowing()], pairs)
    first, _ = taught(recipe, 3)
    photo, label = (torch.cat([getattr(batch, name) for batch in first]) for name in ("photo", "label"))
    assert sorted(photo.tolist()) == list(range(PAIRS))
    assert float(label[photo >= 100].mean()) < 0.4
    assert float((label[photo < 100] == 1).float().mean()) > 0.85
    told = recipe.told([1.0, 1.0])
    assert told["mean_label"] == pytest.approx(float(label.mean()))
    assert told["without_anchor"] == [0, 0]


@pytest.mark.parametrize("kind", list(Loss))
def test_warm_up_and_split_select_by_the_loss_asked_for(pairs, kind, monkeypatch):
    asked = []

    def seen(own, bank, kind, scale):
        asked.append(kind)
        return pair_loss(own, bank, kind, scale)

    monkeypatch.setattr(co_teaching, "pair_loss", seen)
    recipe = lessons([knowing(), ignorant()], pairs, stages=replace(STAGES, split_loss=kind))
    taught(recipe, 1)
    warming = len(asked)
    taught(recipe, 2)
    assert len(asked) > warming > 0
    assert set(asked) == {kind}


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.99])
def test_a_pair_is_trusted_above_the_threshold_asked_for(pairs, threshold):
    recipe = lessons([knowing(), knowing()], pairs, stages=replace(STAGES, split_threshold=threshold))
    found = recipe._judge(knowing(), BATCH, False).split
    assert torch.equal(found.clean, found.probability > threshold)
    bounds = [int((found.probability > bound).sum()) for bound in (0.1, 0.5, 0.99)]
    assert bounds == sorted(set(bounds), reverse=True)


def test_fewer_trusted_pairs_than_a_batch_are_too_few(pairs):
    recipe = lessons([knowing(), knowing()], pairs)
    trusted = int(recipe._judge(knowing(), BATCH, False).split.clean.sum())
    assert not recipe._judge(knowing(), trusted, False).split.fell_back
    assert recipe._judge(knowing(), trusted + 1, False).split.fell_back


def test_the_bank_of_negatives_is_bounded_and_drawn_by_the_seed(pairs, monkeypatch):
    def probability(seed: int) -> torch.Tensor:
        recipe = CoTeaching([knowing(), knowing()], pairs, STAGES, every_pair, seed)
        return recipe._judge(knowing(), BATCH, False).split.probability

    everyone = probability(0)
    assert_close(probability(1), everyone, atol=1e-3, rtol=0)  # all pairs are in it, in another order
    monkeypatch.setattr(co_teaching, "BANK_PAIRS", 20)
    few = probability(0)
    assert torch.equal(probability(0), few)
    assert float((few - everyone).abs().max()) > 0.01
    assert float((probability(1) - few).abs().max()) > 0.01


def test_no_more_anchors_judge_than_are_held_at_once(pairs, monkeypatch):
    monkeypatch.setattr(co_teaching, "MOST_ANCHORS", 3)
    held = []
    monkeypatch.setattr(Anchors, "of", lambda bank, of=Anchors.of: held.append(len(bank)) or of(bank))
    lessons([knowing(), knowing()], pairs)._judge(knowing(), BATCH, True)
    assert held == [3]


def as_bank(pairs: EmbeddedPairs, places: np.ndarray) -> Bank:
    seen = seen_by(knowing(), as_batch(pairs.take(places)))
    return Bank(seen.image, seen.text, seen.image_id, seen.caption_id)


@pytest.mark.parametrize("k", [1, 5])
def test_a_noisy_pairs_label_rests_on_as_many_anchors_as_asked_for(pairs, k):
    recipe = lessons([knowing(), knowing()], pairs, stages=replace(STAGES, anchor_k=k))
    judged = recipe._judge(knowing(), BATCH, True)
    clean = judged.split.clean.numpy()
    trusted, noisy = np.flatnonzero(clean), np.flatnonzero(~clean)
    assert 60 < len(noisy) < 140
    expected = Anchors.of(as_bank(pairs, trusted)).label(as_bank(pairs, noisy), k)
    assert_close(judged.label[noisy], expected)


def test_an_objective_that_refuses_labels_refuses_the_noisy_pairs(pairs):
    first, _ = taught(lessons([knowing(), knowing()], pairs, get("drop").trains_on), 3)
    assert min(float(batch.label.min()) for batch in first) >= 0.5


def test_a_pair_of_the_same_photo_as_every_anchor_is_labelled_by_its_probability_and_counted(tmp_path):
    """Every anchor is of photo 0, and so are the noisy ones."""
    generator = np.random.default_rng(0)
    records = np.zeros(80, record_type(DIMS, DIMS))
    records["image"] = records["text"] = generator.standard_normal((80, DIMS))
    records["text"][60:] = -records["image"][60:]
    records["photo"], records["caption"], records["label"] = 0, np.arange(80), 1
    with EmbeddedPairs(DIMS, DIMS, at_most=80, folder=str(tmp_path)) as held:
        held.add(records)
        recipe = lessons([knowing(), knowing()], held)
        judged = recipe._judge(knowing(), 1, True)
    noisy = ~judged.split.clean
    assert judged.without_anchor == int(noisy.sum()) > 0
    assert torch.equal(judged.label[noisy], judged.split.probability[noisy])


def test_networks_that_know_nothing_fall_back_to_the_lowest_losses(pairs):
    recipe = lessons([knowing(), knowing()], pairs, stages=STAGES)
    with torch.no_grad():
        for heads in recipe._heads:
            heads.image_side.linear.weight.zero_()
            heads.image_side.linear.bias.fill_(1.0)
            heads.text_side.linear.weight.zero_()
            heads.text_side.linear.bias.fill_(1.0)
    list(recipe.batches(3, batch_pairs=BATCH, seed=0))
    told = recipe.told([1.0, 1.0])
    assert told["split_fell_back"] == [True, True]
    assert told["clean_pairs"] == [60, 60]


def test_an_epoch_is_a_pure_function_of_seed_and_weights_and_the_networks_have_orders_of_their_own(pairs):
    def photos(seed: int) -> list[list[int]]:
        recipe = lessons([knowing(), knowing()], pairs)
        return [batch.photo.tolist() for batch in islice(recipe.batches(3, batch_pairs=BATCH, seed=seed), 2)]

    assert photos(0) == photos(0) != photos(1)
    assert photos(0)[0] != photos(0)[1]

"""The softmax against a bank, worked out by hand, and where float32 would run out of digits."""

import math

import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.correspondence.contrast import likeliest_scale, log_odds, neg_clip_loss, self_label_loss
from ncaudit.core.losses.pair_losses import infonce_loss
from ncaudit.core.neighbours import bank as bank_file
from ncaudit.core.neighbours.bank import Bank
from tests.worlds.embeddings import random_unit

E = torch.eye(4)


def ids(*numbers):
    return torch.tensor(numbers)


def test_log_odds_by_hand():
    # bank: a photo-caption pair on axis 1 and one on axis 2; asked: photo on axis 0, caption on axis 1; s_ii = 0
    bank = Bank(E[1:3], E[1:3], ids(1, 2), ids(1, 2))
    to_caption, to_image = log_odds(E[:1], E[1:2], [ids(7), ids(7)], bank, scale=2.0)
    assert_close(to_caption, torch.tensor([-math.log(1 + 1)]))  # both bank captions at 0 from the photo
    assert_close(to_image, torch.tensor([-math.log(math.exp(2) + 1)]))  # the caption is the bank's first photo


@pytest.mark.parametrize(("photo", "caption"), [(1, 7), (7, 1)])
def test_an_own_photo_or_caption_is_no_rival(photo, caption):
    bank = Bank(E[1:3], E[1:3], ids(1, 2), ids(1, 2))
    to_caption, to_image = log_odds(E[:1], E[1:2], [ids(photo), ids(caption)], bank, scale=2.0)
    assert_close((to_caption, to_image), (torch.zeros(1), torch.zeros(1)))


def test_without_rivals_the_odds_are_infinite_and_the_scores_zero():
    bank = Bank(E[1:2], E[1:2], ids(1), ids(1))
    odds = log_odds(E[1:2], E[1:2], bank.groups, bank, scale=2.0)
    assert odds[0].tolist() == [math.inf]
    assert neg_clip_loss(*odds, scale=2.0).tolist() == [0.0]
    assert self_label_loss(*odds).tolist() == [0.0]


def test_blocks_do_not_change_the_odds(monkeypatch):
    image, text, numbers = random_unit(50), random_unit(50, seed=1), torch.arange(50)
    bank = Bank(image, text, numbers, numbers)
    whole = log_odds(image, text, bank.groups, bank, scale=20.0)
    monkeypatch.setattr(bank_file, "ENTRIES", 350)
    assert_close(log_odds(image, text, bank.groups, bank, scale=20.0), whole)


def test_neg_clip_loss_is_the_formula_of_the_paper():
    similarity = random_unit(6) @ random_unit(6, seed=1).T
    temperature = 0.1
    sums = [torch.logsumexp(rows / temperature, dim=1) for rows in (similarity, similarity.T)]
    expected = similarity.diagonal() - temperature / 2 * sums[0] - temperature / 2 * sums[1]
    bank = Bank(random_unit(6), random_unit(6, seed=1), torch.arange(6), torch.arange(6))
    odds = log_odds(bank.image, bank.text, bank.groups, bank, scale=1 / temperature)
    assert_close(neg_clip_loss(*odds, scale=1 / temperature), expected)


def test_neg_clip_loss_is_the_training_loss_times_minus_the_temperature():
    image, text, numbers = random_unit(8), random_unit(8, seed=1), torch.arange(8)
    similarity, others = image @ text.T, ~torch.eye(8, dtype=torch.bool)
    loss = infonce_loss(similarity.diagonal(), similarity, similarity.T, scale=20.0, allowed=others)
    odds = log_odds(image, text, [numbers, numbers], Bank(image, text, numbers, numbers), scale=20.0)
    assert_close(neg_clip_loss(*odds, scale=20.0), -loss / 20)


def test_self_label_loss_by_hand():
    # p = 3/4 (odds 3), q = 1/4: the mean is 1/2
    found = self_label_loss(torch.tensor([math.log(3.0)]), torch.tensor([-math.log(3.0)]))
    assert_close(found, torch.tensor([math.log(2.0)]))


def test_self_label_loss_has_no_jump_where_its_two_forms_meet():
    odds = torch.linspace(-2e-3, 2e-3, 41)
    found = self_label_loss(odds, odds)
    assert_close(found, torch.nn.functional.softplus(-odds))  # p = q: -log p
    assert (found.diff() < 0).all()


def test_neither_good_nor_bad_pairs_saturate():
    odds = torch.linspace(-80, 80, 33)
    for score in (neg_clip_loss(odds, odds, scale=100.0), -self_label_loss(odds, odds)):
        assert score.isfinite().all()
        assert (score.diff() > 0).all()


@pytest.mark.parametrize("true", [10.0, 20.0, 30.0])
def test_the_scale_that_the_pairs_were_drawn_with_is_found(true):
    # each photo's caption is drawn by the softmax at the true scale, so that no other scale makes the draw likelier
    image, captions = random_unit(600), random_unit(600, seed=1)
    chosen = (true * image @ captions.T).softmax(dim=1).multinomial(1, generator=torch.Generator().manual_seed(2))[:, 0]
    text = captions[chosen]
    found = likeliest_scale(Bank(image, text, torch.arange(600), chosen), scales=(true / 4, true, true * 4))
    assert found == true


def test_the_scale_is_found_on_a_bounded_number_of_pairs(monkeypatch):
    monkeypatch.setattr("ncaudit.core.correspondence.contrast.SCALE_PAIRS", 20)
    good, bad = random_unit(20), random_unit(60, seed=3)
    numbers = torch.arange(80)
    bank = Bank(torch.cat([good, bad]), torch.cat([good, -bad]), numbers, numbers)
    assert likeliest_scale(bank) == 100.0

import numpy as np
import torch
from torch.nn.functional import normalize

from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.lessons.judged.agreeing import clean_pairs, consensus

FIRST, SECOND = np.array([0.9, 0.9, 0.2, 0.1]) > 0.5, np.array([0.8, 0.2, 0.9, 0.2]) > 0.5


def test_both_make_a_clean_pair_neither_a_noisy_one_and_one_a_coin():
    found = consensus(FIRST, SECOND, np.random.default_rng(0))
    assert (found.clean, found.doubted, found.noisy) == (1, 2, 1)
    assert found.label[0] == 1
    assert found.label[3] == 0
    assert set(found.label.tolist()) <= {0.0, 1.0}


def test_the_coin_is_fair_falls_anew_in_every_epoch_and_is_the_seeds():
    generators = [np.random.default_rng([0, epoch]) for epoch in range(400)]
    labels = np.array([consensus(FIRST, SECOND, generator).label for generator in generators])
    assert 0.4 < labels[:, 1].mean() < 0.6
    assert 0.4 < labels[:, 2].mean() < 0.6
    again = consensus(FIRST, SECOND, np.random.default_rng([0, 7])).label
    assert (labels[7] == again).all()


def test_a_view_calls_the_pairs_clean_that_fit():
    generator = torch.Generator().manual_seed(0)
    image = normalize(torch.randn(200, 16, generator=generator), dim=1)
    text = normalize(image + 0.1 * torch.randn(200, 16, generator=generator), dim=1)
    text[:60] = text[(torch.arange(60) + 1) % 60]
    ids = torch.arange(200)
    clean = clean_pairs(Pairs(image, text, ids, ids + 500, [""] * 200), 20, seed=0)
    assert clean[60:].mean() > 0.95
    assert clean[:60].mean() < 0.1


def test_where_all_pairs_fit_alike_enough_are_trusted_for_a_batch():
    rows = torch.eye(20)
    ids = torch.arange(20)
    assert clean_pairs(Pairs(rows, rows, ids, ids + 50, [""] * 20), 5, seed=0).sum() >= 5

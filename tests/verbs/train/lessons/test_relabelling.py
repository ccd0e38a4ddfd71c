"""Labels from what was learnt: a network must not vouch for what it has memorised."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ncaudit.errors import NcauditError
from ncaudit.judging import calibrated
from ncaudit.matchers.heads.starts import cca_start
from ncaudit.matchers.heads.tuning import head_tuner
from ncaudit.matchers.steps.optimisation import Recipe
from ncaudit.objectives import get
from ncaudit.options import ScorerOptions
from ncaudit.scoring.folds import assign
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, as_batch, record_type
from ncaudit.verbs.train.lessons import relabelling
from ncaudit.verbs.train.lessons.relabelling import Relabelling, soft_labels
from ncaudit.verbs.train.lessons.view import identities

PAIRS, NOISE, SEEN, WIDTH, STEPS = 300, 0.3, 8, 384, 30  # wide: every pair can be learnt by heart


@dataclass
class World:
    pairs: EmbeddedPairs
    matches: np.ndarray
    recipe: Relabelling
    main: object


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three networks that learnt all labels of their pairs by heart, 30 % of which are wrong."""
    generator, before = np.random.default_rng(0), torch.get_num_threads()
    torch.set_num_threads(1)
    seen = generator.standard_normal((PAIRS, SEEN))
    matches = np.arange(PAIRS) >= NOISE * PAIRS
    told = np.where(matches[:, None], seen, generator.standard_normal((PAIRS, SEEN)))
    records = np.zeros(PAIRS, record_type(WIDTH, WIDTH))
    for side, things in (("image", seen), ("text", told)):
        records[side] = things @ generator.standard_normal((SEEN, WIDTH)) + generator.standard_normal((PAIRS, WIDTH))
    records["photo"], records["caption"], records["label"] = np.arange(PAIRS), np.arange(PAIRS), 1
    with EmbeddedPairs(WIDTH, WIDTH, at_most=PAIRS, folder=str(tmp_path_factory.mktemp("pairs"))) as held:
        held.add(records)
        folds = assign(identities(held), 2, 0)
        half = folds.of(identities(held)).numpy()
        networks = [memorised(held, rows) for rows in (half >= 0, half == 0, half == 1)]
        recipe = Relabelling(networks, held, folds, get("drop"), every=2, seed=0)
        yield World(held, matches, recipe, networks[0])
    torch.set_num_threads(before)


def memorised(pairs: EmbeddedPairs, rows: np.ndarray):
    batch = as_batch(pairs.take(np.flatnonzero(rows)))
    torch.manual_seed(0)
    heads = cca_start(batch.image.float(), batch.text.float(), batch.label, dims=32)
    recipe = Recipe(learning_rate=2e-2, weight_decay=0.0, warmup_share=0.1, clip_norm=100.0, total_steps=STEPS)
    tuner = head_tuner(heads, get("infonce").batch_loss, recipe, torch.device("cpu"), torch.float32)
    for number in range(STEPS):
        step = tuner.step(batch, number)
    assert step.loss < 0.1
    return heads


@pytest.mark.slow
def test_what_a_network_memorised_it_calls_clean_and_the_other_half_does_not(world):
    in_sample = soft_labels(world.main, world.pairs, np.arange(PAIRS), 0)
    out_of_fold = world.recipe.new_labels()
    wrong = ~world.matches
    assert float((in_sample[wrong] > 0.5).mean()) > 0.9
    assert float((out_of_fold[wrong] > 0.5).mean()) < 0.3
    assert float((out_of_fold[world.matches] > 0.5).mean()) > 0.7


def test_labels_change_when_it_is_time_and_decide_who_is_taught_what(world):
    recipe = world.recipe
    state = recipe.state_dict()
    early = list(recipe.batches(2, batch_pairs=100, seed=0))
    assert len(early) == 3 * 3
    assert recipe.told([1.0, 2.0, 3.0] * 3) == {"losses": [1.0, 2.0, 3.0], "mean_label": 1.0}
    late = list(recipe.batches(3, batch_pairs=100, seed=0))
    assert all((batch.label >= 0.5).all() for batch in late)  # as the objective asks
    assert 0.5 < recipe.told([1.0] * 9)["mean_label"] < 1
    half = [Counter(recipe._half[torch.cat([b.photo for b in late[own::3]]).numpy()].tolist()) for own in range(3)]
    assert (set(half[0]), set(half[1]), set(half[2])) == ({0, 1}, {0}, {1})
    again = recipe.state_dict()
    recipe.load_state_dict(state)
    assert (recipe.state_dict()["label"] == 1).all()
    recipe.load_state_dict(again)
    following = [batch.label for batch in recipe.batches(4, batch_pairs=100, seed=0)]  # the labels of epoch 3 hold
    assert len(torch.cat(following).unique()) == len(torch.cat([batch.label for batch in late]).unique())
    recipe.load_state_dict(state)


def test_labels_that_leave_nobody_to_learn_from_are_an_error(world):
    before = world.recipe.state_dict()
    world.recipe.load_state_dict({"label": torch.zeros(PAIRS)})
    with pytest.raises(NcauditError, match="--objective drop refuses all of the new labels"):
        next(iter(world.recipe.batches(2, batch_pairs=100, seed=0)))
    world.recipe.load_state_dict(before)


def test_too_few_pairs_to_calibrate_on_are_an_error(world):
    with pytest.raises(NcauditError, match="40 pairs in one half of the photos, and new labels need 50"):
        soft_labels(world.main, world.pairs, np.arange(40), 0)


@pytest.fixture
def asked(monkeypatch):
    """What new labels are asked of: judge, places and seed; every label is then 1 / 4, and 3 / 4 in half 1."""
    calls = []

    def told(heads, pairs, places, seed):
        calls.append((heads, places, seed))
        return np.full(len(places), 0.25 if len(calls) % 2 else 0.75, dtype=np.float32)

    monkeypatch.setattr(relabelling, "soft_labels", told)
    return calls


@pytest.fixture
def captioned(tmp_path):
    """Two captions for each of 20 photos, which stand 20 rows apart, and a recipe whose networks are only names."""
    records = np.zeros(40, record_type(4, 4))
    records["photo"], records["caption"], records["label"] = np.arange(40) % 20, np.arange(40), 1
    with EmbeddedPairs(4, 4, at_most=40, folder=str(tmp_path)) as held:
        held.add(records)
        folds = assign(identities(held), 2, 0)
        yield Relabelling(["main", "of half 0", "of half 1"], held, folds, get("infonce"), every=2, seed=7)


def test_each_half_is_judged_by_the_network_of_the_other_photo_by_photo(captioned, asked):
    label = captioned.new_labels()
    (first, zeros, seed), (second, ones, _) = asked
    assert (first, second, seed) == ("of half 1", "of half 0", 7)
    assert sorted([*zeros, *ones]) == list(range(40))
    for half, places in enumerate((zeros, ones)):
        assert (captioned._half[places] == half).all()
        assert (label[places] == (0.25, 0.75)[half]).all()
        assert (places[0::2] % 20 == places[1::2] % 20).all()  # captions of one photo are seen together


def test_new_labels_come_after_every_so_many_epochs_and_not_before_the_first(captioned, asked):
    made = []
    for epoch in range(1, 7):
        list(captioned.batches(epoch, batch_pairs=10, seed=0))
        made.append(len(asked) // 2)
    assert made == [0, 0, 1, 1, 2, 2]


def test_the_scorer_is_fitted_on_a_bounded_part_of_a_half(world, monkeypatch):
    fitted = []

    def learn(pairs, options):
        fitted.append(len(pairs))
        return calibrated.learn(pairs, options)

    monkeypatch.setattr(relabelling, "calibrated", SimpleNamespace(**{**vars(calibrated), "learn": learn}))
    monkeypatch.setattr(relabelling, "ScorerOptions", partial(ScorerOptions, fit_pairs=80))
    assert len(soft_labels(world.main, world.pairs, np.arange(PAIRS), 0)) == PAIRS
    assert fitted == [80]

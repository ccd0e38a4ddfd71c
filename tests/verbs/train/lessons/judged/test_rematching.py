"""`--recipe rematch` on pairs that are numbers: who is taught with what, when, and that it goes on where it was."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import normalize

from ncaudit.matchers.steps.batch import Batch
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.judged_pairs import Taught
from ncaudit.verbs.train.lessons.judged.rematches import FEWEST, Rematches
from ncaudit.verbs.train.lessons.judged.rematching import Rematching, drawn

PAIRS, NOISY = 600, 200


class Numbers:
    """Pairs whose captions changed places in the first NOISY; remembers what they were taught with."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        things = torch.randn(PAIRS, 16, generator=generator)
        self._image, text = (
            normalize(things + 0.3 * torch.randn(PAIRS, 16, generator=generator), dim=1) for _ in range(2)
        )
        rows = torch.arange(PAIRS)
        self._text = text[torch.where(rows < NOISY, (rows + 1) % NOISY, rows)]
        self.label = np.where(rows.numpy() < NOISY, 0.1, 1.0).astype(np.float32)
        self.taught: list[Taught] = []
        self.looked = 0
        self.network = torch.nn.Linear(1, 1)

    def seen(self) -> Pairs:
        self.looked += 1
        ids = torch.arange(PAIRS)
        return Pairs(self._image, self._text, ids, ids + PAIRS, [""] * PAIRS)

    def batches(
        self, epoch: int, taught: Taught, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW
    ) -> Iterator[Batch]:
        self.taught.append(taught)
        return iter(())


def epochs(lessons: Rematching, *which: int) -> None:
    for epoch in which:
        list(lessons.batches(epoch, batch_pairs=32, seed=0))


def lessons_of(pairs: Numbers, **given) -> Rematching:
    return Rematching(pairs, **{"epochs": 4, "begin_after": 2, "every": None, "labelled": True, "seed": 0, **given})


def test_until_noisy_pairs_join_they_and_a_tenth_of_the_clean_are_in_no_batch():
    pairs = Numbers()
    lessons = lessons_of(pairs)
    epochs(lessons, 1)
    assert pairs.looked == 0
    epochs(lessons, 2)
    assert pairs.looked == 1  # as soon as the second is over
    for taught in pairs.taught:
        assert (taught.caption == np.arange(PAIRS)).all()
        assert not taught.learnt[:NOISY].any()
        assert taught.learnt[NOISY:].sum() == 400 - FEWEST  # a tenth would be too few to tell chances
        assert taught.mean_label == 1
    assert "rematched" not in lessons.told([])
    epochs(lessons, 3)
    assert pairs.looked == 1
    assert pairs.taught[2].learnt is None
    assert "rematched" in lessons.told([])


def test_those_that_tell_chances_are_clean_pairs_that_nothing_was_learnt_from():
    noisy = Numbers().label < 0.5
    plan = lessons_of(Numbers())._plan(Numbers().label, 32)
    assert set(plan.waiting) == set(np.flatnonzero(~plan.learnt(2, noisy))) - set(np.flatnonzero(noisy))
    assert len(plan.clean) == PAIRS - NOISY


def test_with_too_few_clean_pairs_for_a_batch_the_search_comes_first():
    pairs = Numbers()
    lessons = lessons_of(pairs)
    list(lessons.batches(1, batch_pairs=400, seed=0))  # 352 are clean and need not wait
    assert pairs.looked == 1
    assert pairs.taught[0].learnt is None
    assert "rematched" in lessons.told([])


def test_noisy_pictures_that_joined_have_other_captions_mostly_their_own():
    pairs = Numbers()
    lessons = lessons_of(pairs)
    epochs(lessons, 1, 2, 3)
    taught, true = pairs.taught[2], (np.arange(NOISY) - 1) % NOISY
    assert pairs.looked == 1
    assert (taught.caption[NOISY:] == np.arange(NOISY, PAIRS)).all()
    assert (taught.label[NOISY:] == 1).all()
    assert (taught.caption[:NOISY] == true).mean() > 0.7
    told = lessons.told([])
    assert told["noisy_pairs"] == NOISY
    assert told["rematched"] > 0.9 * NOISY
    assert 0 < told["rematch_chance"] <= 1
    assert told["mean_label"] > pairs.label.mean()


def test_every_so_many_epochs_there_is_another_search_and_a_tenth_of_the_clean_pairs_waits_for_the_last():
    pairs = Numbers()
    lessons = lessons_of(pairs, epochs=6, begin_after=1, every=2)
    looked = []
    for epoch in range(1, 7):
        epochs(lessons, epoch)
        looked.append(pairs.looked)
    assert looked == [1, 1, 2, 2, 3, 3]
    left_out = [0 if taught.learnt is None else (~taught.learnt).sum() for taught in pairs.taught]
    assert left_out == [NOISY + FEWEST, *[FEWEST] * 4, 0]


def test_pairs_that_never_join_are_not_searched_for_and_never_learnt():
    pairs = Numbers()
    epochs(lessons_of(pairs, begin_after=4), 1, 4)
    assert pairs.looked == 0
    assert all((taught.learnt == (np.arange(PAIRS) >= NOISY)).all() for taught in pairs.taught)


def test_where_noisy_pairs_join_at_once_the_start_searches_and_nobody_waits():
    pairs = Numbers()
    lessons = lessons_of(pairs, begin_after=0)
    epochs(lessons, 1, 2)
    assert pairs.looked == 1
    assert all(taught.learnt is None for taught in pairs.taught)
    assert (pairs.taught[0].caption[:NOISY] == (np.arange(NOISY) - 1) % NOISY).mean() > 0.7


def test_a_run_that_goes_on_teaches_what_an_undisturbed_one_does():
    whole, first, second = Numbers(), Numbers(), Numbers()
    epochs(lessons_of(whole), 1, 2, 3, 4)
    before, after = lessons_of(first), lessons_of(second)
    epochs(before, 1, 2, 3)
    after.load_state_dict(before.state_dict())
    epochs(after, 4)
    assert second.looked == 0
    assert (second.taught[0].caption == whole.taught[3].caption).all()
    assert (second.taught[0].label == whole.taught[3].label).all()


def test_each_find_is_drawn_by_its_chance_and_taught_with_the_sum_of_all():
    found = Rematches(
        places=np.array([1]), other=np.array([[5, 7, -1]]), chance=np.array([[0.5, 0.25, 0]], np.float32), there=1.0
    )
    given = Taught.as_they_are(np.array([1, 0.25, 1], dtype=np.float32))
    generator, captions = np.random.default_rng(0), []
    for _ in range(2_000):
        taught = drawn(found, given, generator)
        captions.append(taught.caption[1])
        assert taught.label.tolist() == [1, 1, 1]
        assert taught.caption[[0, 2]].tolist() == [0, 2]
    shares = [captions.count(place) / 2_000 for place in (1, 5, 7)]
    assert np.allclose(shares, [0.25, 0.5, 0.25], atol=0.04)


def test_a_pair_without_any_chance_stays_with_its_own_caption_and_label_nought():
    found = Rematches(np.array([0]), np.array([[-1, -1]]), np.zeros((1, 2), np.float32), 0.0)
    taught = drawn(found, Taught.as_they_are(np.zeros(2, np.float32)), np.random.default_rng(0))
    assert taught.caption.tolist() == [0, 1]
    assert taught.label.tolist() == [0, 0]

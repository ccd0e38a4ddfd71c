"""Short trainings: what a judged pair is told by, worked out by hand, and who is judged by what."""

import pytest
import torch

from ncaudit import objectives
from ncaudit.engines.ranks import Ranks
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Step
from ncaudit.verbs.train.auto import trials
from ncaudit.verbs.train.auto.trials import Course, Fold, Sampled

ONE = Course(epochs=2, batch_pairs=4, seed=0, ranks=Ranks())


def batch(pairs: int, photo: list[int] | None = None, caption: list[int] | None = None) -> Batch:
    rows = torch.arange(pairs)
    photos, captions = (rows if told is None else torch.tensor(told) for told in (photo, caption))
    return Batch(rows[:, None].float(), rows[:, None].float(), torch.ones(pairs), photos, captions)


def standing(similarity: list[list[float]], pairs: Batch) -> trials.Standing:
    """Of a matrix of similarities: images are its rows, captions are one-hot."""
    return trials.standing_of(torch.tensor(similarity), torch.eye(len(similarity)), pairs)


def test_a_pair_is_told_by_the_wrong_captions_and_images_that_it_is_above():
    found = standing([[0.5, 0.4, 0.6], [0.1, 0.3, 0.2], [0.2, 0.9, 0.7]], batch(3))
    # image 0 is above one of two captions, caption 0 above both images; image 1 above both, caption 1 above none
    assert found.above.tolist() == [0.75, 0.5, 0.75]
    assert found.log_rank.exp().tolist() == pytest.approx([2**0.5, 3**0.5, 2**0.5])  # places 2 and 1, 1 and 3, 2 and 1


def test_a_tie_counts_half_and_stands_before_the_pair():
    found = standing([[0.5, 0.5], [0.5, 0.5]], batch(2))
    assert found.above.tolist() == [0.5, 0.5]
    assert found.log_rank.exp().tolist() == pytest.approx([2, 2])


def test_another_caption_of_the_same_photo_is_no_wrong_one():
    found = standing([[0.1, 0.9, 0.0], [0.1, 0.9, 0.0], [0.3, 0.0, 0.5]], batch(3, photo=[0, 0, 1]))
    assert found.above[0] == 0.5  # above caption 2, below image 2: the caption of its own photo, however near, is none


def test_a_pair_without_any_wrong_one_is_told_nothing():
    assert standing([[0.9]], batch(1)).above.tolist() == [0.5]


def test_the_error_of_a_gain_takes_the_pairs_of_one_photo_as_one_draw():
    one, other = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.zeros(4)
    assert trials.gain(one, other, torch.arange(4)) == pytest.approx((0.5, 0.25))
    assert trials.gain(one, other, torch.tensor([0, 0, 1, 1])) == pytest.approx((0.5, 0.5 * 2**0.5 / 2))


def test_no_photo_and_no_caption_is_learnt_and_judged_at_once():
    shared = [1_000 + i // 4 if i % 4 in (1, 2) else i for i in range(60)]  # one caption for every two photos
    pairs = batch(60, photo=[i // 2 for i in range(60)], caption=shared)
    for fold in trials.folds(Sampled(pairs, None, folds=3, judged=2), seed=0):
        assert len(fold.learnt) + len(fold.judged) == 60
        assert not set(fold.learnt.photo.tolist()) & set(fold.judged.photo.tolist())
        assert not set(fold.learnt.caption.tolist()) & set(fold.judged.caption.tolist())


@pytest.mark.parametrize(("asked", "pairs", "ranks", "size"), [(64, 400, 1, 64), (64, 100, 1, 25), (64, 101, 2, 24)])
def test_a_batch_is_as_asked_for_but_an_epoch_has_some_steps(asked, pairs, ranks, size):
    assert Course(epochs=1, batch_pairs=asked, seed=0, ranks=Ranks(0, ranks)).batch(pairs) == size


class Watched:
    """A learner that looks at what it is taught, and sees every pair as itself."""

    def __init__(self, diverges: bool = False) -> None:
        self.seen: list[list[int]] = []
        self._diverges = diverges

    def step(self, given: Batch, number: int) -> Step:
        assert number == len(self.seen)
        self.seen.append(given.photo.tolist())
        return Step(1.0, not self._diverges)

    def encode_images(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.cat([rows, rows.square() + 1], dim=1), dim=1)

    encode_captions = encode_images


def test_a_trial_learns_every_epoch_from_what_the_objective_takes_in_whole_batches():
    learner, asked = Watched(), []
    pairs = batch(40)
    pairs.label[:8] = 0

    def begun(learnt, objective, steps):
        asked.append((len(learnt), objective.name, steps))
        return learner

    rows = torch.arange(40)
    fold = Fold(pairs.take(rows[:22]), pairs.take(rows[22:]))
    told = trials.standing(Sampled(pairs, begun, 2, 1), fold, objectives.get("drop"), ONE)
    assert asked == [(14, "drop", 2 * 4)]  # of 22 pairs 8 are dropped; batches of 3, so that there are four
    assert [len(each) for each in learner.seen] == [3] * 8
    assert all(8 <= photo < 22 for each in learner.seen for photo in each)
    assert told.above.tolist() == [1.0] * 18


def test_a_trial_that_diverges_tells_nothing():
    pairs = batch(40)
    fold = Fold(pairs, pairs)
    sampled = Sampled(pairs, lambda *_: Watched(diverges=True), 2, 1)
    assert trials.standing(sampled, fold, objectives.get("infonce"), ONE) is None


def seen_by(ranks: Ranks) -> list[list[int]]:
    pairs, learner = batch(40), Watched()
    course = Course(epochs=1, batch_pairs=8, seed=0, ranks=ranks)
    trials.standing(Sampled(pairs, lambda *_: learner, 2, 1), Fold(pairs, pairs), objectives.get("infonce"), course)
    return learner.seen


def test_ranks_share_each_batch_and_together_see_all_of_it():
    both = zip(seen_by(Ranks(0, 2)), seen_by(Ranks(1, 2)), strict=True)
    assert [one + other for one, other in both] == seen_by(Ranks())

"""Who is held out with whom."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ncaudit.scoring.folds import Folds, assign
from ncaudit.scoring.pairs import Pairs


def pairs(photo: Tensor, caption: Tensor | None = None, host: Tensor | None = None) -> Pairs:
    n = len(photo)
    caption = torch.arange(n) + 10_000 if caption is None else caption
    return Pairs(torch.zeros(n, 1), torch.zeros(n, 1), photo, caption, [""] * n, host_id=host)


def splits(ids: Tensor, fold: Tensor) -> int:
    """How many of the distinct ids are in more than one fold."""
    places = {tuple(place) for place in torch.stack([ids, fold], dim=1).tolist()}
    return sum(count > 1 for count in Counter(number for number, _ in places).values())


def sizes(fold: Tensor, count: int) -> Tensor:
    return torch.bincount(fold, minlength=count)


@given(
    st.lists(st.tuples(st.integers(-9, 30), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(2, 8),
)
@settings(deadline=None, max_examples=60)
def test_the_pairs_of_a_photo_are_always_in_one_fold(rows: list[tuple[int, int, int]], count: int) -> None:
    photo, caption, host = torch.tensor(rows).unbind(1)
    asked = pairs(photo, caption, host)
    fold = assign(asked, count, seed=0).of(asked)
    assert splits(photo, fold) == 0
    assert ((fold >= 0) & (fold < count)).all()


def test_small_families_of_one_caption_or_host_stay_together() -> None:
    photo = torch.arange(800)
    caption, host = photo // 2, photo // 20
    asked = pairs(photo, caption, host)
    fold = assign(asked, 4, seed=0).of(asked)
    assert (splits(caption, fold), splits(host, fold)) == (0, 0)
    assert sizes(fold, 4).tolist() == [200] * 4


def test_a_caption_that_everybody_uses_does_not_make_one_giant_fold() -> None:
    photo = torch.arange(1000) // 2
    caption = torch.arange(1000).where(torch.arange(1000) % 3 > 0, -1)  # a third of all captions
    asked = pairs(photo, caption)
    fold = assign(asked, 8, seed=0).of(asked)
    assert sizes(fold, 8).max() <= 1.5 * sizes(fold, 8).min()
    assert splits(photo, fold) == 0


def test_a_host_that_everybody_is_from_does_not_break_the_families_by_caption() -> None:
    photo = torch.arange(800)
    asked = pairs(photo, photo // 2, torch.zeros(800, dtype=torch.int64))
    fold = assign(asked, 8, seed=0).of(asked)
    assert splits(asked.caption_id, fold) == 0
    assert sizes(fold, 8).max() <= 1.5 * sizes(fold, 8).min()


def test_an_unknown_photo_gets_a_fold_that_depends_on_its_id_alone() -> None:
    strange = pairs(torch.arange(10**6, 10**6 + 4000), torch.arange(10**6, 10**6 + 4000))
    here = assign(pairs(torch.arange(100)), 8, seed=0).of(strange)
    there = assign(pairs(torch.arange(500, 900)), 8, seed=5).of(strange)
    assert here.tolist() == there.tolist()
    assert here[7:8].tolist() == assign(pairs(torch.arange(100)), 8, seed=0).of(strange.rows(slice(7, 8))).tolist()
    # consecutive ids are spread over all folds
    assert sizes(here, 8).min() > 0.8 * 500


def test_an_unknown_photo_with_a_known_caption_goes_to_the_captions_fold() -> None:
    known = pairs(torch.arange(100), torch.arange(100))
    folds = assign(known, 4, seed=0)
    strange = pairs(torch.arange(5000, 5100), torch.arange(100))
    assert folds.of(strange).tolist() == folds.of(known).tolist()


def test_a_known_photo_with_a_strange_caption_stays_in_its_fold() -> None:
    known = pairs(torch.arange(100), torch.arange(100))
    folds = assign(known, 4, seed=0)
    assert folds.of(pairs(torch.arange(100), torch.arange(7000, 7100))).tolist() == folds.of(known).tolist()


def test_saved_folds_are_the_same() -> None:
    known = pairs(torch.arange(100) // 2, torch.arange(100) // 3)
    folds = assign(known, 4, seed=0)
    again = Folds.saved(folds.tensors(), 4)
    asked = pairs(torch.arange(300), torch.arange(300) // 3)
    assert again.of(asked).tolist() == folds.of(asked).tolist()


@pytest.mark.parametrize(("seed", "same"), [(0, True), (1, False)])
def test_the_seed_decides(seed: int, same: bool) -> None:
    asked = pairs(torch.arange(200))
    assert (assign(asked, 4, seed=0).of(asked).tolist() == assign(asked, 4, seed=seed).of(asked).tolist()) == same

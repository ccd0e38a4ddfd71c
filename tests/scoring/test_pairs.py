"""Random pairs, and what goes along when pairs are taken apart."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.scoring.pairs import Pairs, joined, random_partners


def pairs(photo: list[int], caption: list[int] | None = None) -> Pairs:
    n = len(photo)
    ids = torch.tensor(photo), torch.tensor(list(range(n)) if caption is None else caption)
    rows = torch.arange(2.0 * n).view(n, 2)
    return Pairs(rows, -rows, *ids, [f"p{i}" for i in range(n)], host_id=ids[0] * 10, stratum_id=ids[0] * 100)


ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=40)


@given(ROWS, st.integers(1, 6), st.integers(0, 3))
@settings(deadline=None, max_examples=80)
def test_random_pairs_join_strangers_of_one_cell_and_none_twice(
    rows: list[tuple[int, int, int]], draws: int, seed: int
) -> None:
    photo, caption, cell = (list(column) for column in zip(*rows, strict=True))
    asked = pairs(photo, caption)
    images, captions = random_partners(asked, torch.tensor(cell), draws=draws, seed=seed)
    assert (asked.image_id[images] != asked.image_id[captions]).all()
    assert (asked.caption_id[images] != asked.caption_id[captions]).all()
    assert (torch.tensor(cell)[images] == torch.tensor(cell)[captions]).all()
    made = list(zip(images.tolist(), captions.tolist(), strict=True))
    assert len(set(made)) == len(made)
    assert max(images.bincount().tolist(), default=0) <= draws


@pytest.mark.parametrize("draws", [1, 3])
def test_every_image_gets_as_many_partners_as_were_asked_for(draws: int) -> None:
    images, captions = random_partners(pairs(list(range(50))), torch.arange(50) % 2, draws=draws, seed=0)
    assert images.bincount(minlength=50).tolist() == [draws] * 50
    assert captions.bincount(minlength=50).tolist() == [draws] * 50


def test_a_small_cell_gives_each_image_every_other_caption_once() -> None:
    images, captions = random_partners(pairs([0, 1, 2]), torch.zeros(3, dtype=torch.int64), draws=9, seed=0)
    found = sorted(zip(images.tolist(), captions.tolist(), strict=True))
    assert found == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def test_the_same_seed_gives_the_same_pairs_and_another_gives_others() -> None:
    asked, cell = pairs(list(range(50))), torch.zeros(50, dtype=torch.int64)
    drawn = [torch.stack(random_partners(asked, cell, draws=2, seed=seed)).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_pairs_alone_in_their_cell_have_no_partner() -> None:
    images, captions = random_partners(pairs([0, 1, 2]), torch.arange(3), draws=4, seed=0)
    assert (len(images), len(captions)) == (0, 0)


def test_a_joined_pair_has_the_image_of_one_and_the_caption_of_the_other() -> None:
    asked = pairs([5, 6, 7])
    made = joined(asked, torch.tensor([0, 2]), torch.tensor([1, 0]))
    assert made.image.tolist() == asked.image[[0, 2]].tolist()
    assert made.text.tolist() == asked.text[[1, 0]].tolist()
    assert (made.image_id.tolist(), made.caption_id.tolist()) == ([5, 7], [1, 0])
    assert made.stratum_id is not None
    assert made.stratum_id.tolist() == [500, 700]


def test_a_joined_pair_knows_the_caption_it_replaced_and_the_real_pairs_beside_it() -> None:
    asked = pairs([5, 6, 7])
    made = joined(asked, torch.tensor([0, 2]), torch.tensor([1, 0]))
    assert made.replaced_caption_id is not None
    assert made.replaced_caption_id.tolist() == [0, 2]
    assert made.beside is asked
    everybody = pairs([5, 6, 7, 8])
    assert joined(replace(asked, beside=everybody), torch.tensor([0]), torch.tensor([1])).beside is everybody


def test_taking_some_pairs_takes_every_field_along() -> None:
    asked = replace(pairs([5, 6, 7, 8]), replaced_caption_id=torch.tensor([50, 60, 70, 80]), beside=pairs([1]))
    for part in (asked.take(torch.tensor([1, 2])), asked.rows(slice(1, 3)), asked.head(3).take(torch.tensor([1, 2]))):
        assert part.pair_id == ["p1", "p2"]
        assert part.image.tolist() == asked.image[1:3].tolist()
        ids = (part.image_id, part.caption_id, part.host_id, part.stratum_id, part.replaced_caption_id)
        assert [one.tolist() for one in ids if one is not None] == [[6, 7], [1, 2], [60, 70], [600, 700], [60, 70]]
        assert part.beside is asked.beside


def test_pairs_of_two_widths_have_no_cosine() -> None:
    wide = replace(pairs([0, 1]), text=torch.ones(2, 3))
    assert wide.similarity().isnan().all()

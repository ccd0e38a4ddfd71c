"""Which captions noisy pictures find: in a world whose captions changed places, and in one whose captions are gone."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.lessons.judged.rematches import FEWEST, _told_by, find

PAIRS, NOISY, WIDTH = 600, 200, 24
FIRST = torch.arange(PAIRS) < NOISY  # the noisy ones


def world(seed: int, *, gone: bool, spread: float = 0.6) -> tuple[Pairs, torch.Tensor]:
    """Pairs of one space, and where the noisy ones' captions truly are: their own half is the next noisy pair's."""
    generator = torch.Generator().manual_seed(seed)
    things = torch.randn(PAIRS, WIDTH, generator=generator)
    image, text = (
        normalize(things + spread * torch.randn(PAIRS, WIDTH, generator=generator), dim=1) for _ in range(2)
    )
    source = torch.where(FIRST, (torch.arange(PAIRS) + 1) % NOISY, torch.arange(PAIRS))
    text = text[source]
    if gone:
        text[FIRST] = normalize(torch.randn(NOISY, WIDTH, generator=generator), dim=1)
    ids = torch.arange(PAIRS)
    return Pairs(image, text, ids, ids + 10_000, [""] * PAIRS), (torch.arange(NOISY) - 1) % NOISY


def labels(noisy: float = 0.0) -> torch.Tensor:
    return torch.where(FIRST, noisy, 1.0)


WITNESSES = torch.arange(NOISY, NOISY + 60)


def test_captions_that_changed_places_are_found_again():
    pairs, true = world(0, gone=False)
    found = find(pairs, labels(), WITNESSES)
    assert found is not None
    assert found.places.tolist() == list(range(NOISY))
    assert (found.other[:, 0] == true.numpy()).mean() > 0.85
    assert found.there > 0.7


def test_chances_are_no_boast_and_rise_with_the_share_that_is_true():
    said, were = [], []
    for seed in range(3):
        pairs, true = world(seed, gone=False, spread=1.0)
        found = find(pairs, labels(), WITNESSES)
        right = found.other == true.numpy()[:, None]
        said.append(found.chance[found.chance > 0])
        were.append(right[found.chance > 0])
    said, were = np.concatenate(said), np.concatenate(were)
    parts = [(said >= low) & (said < high) for low, high in ((0.05, 0.3), (0.3, 0.7), (0.7, 1.01))]
    true = [were[those].mean() for those in parts]
    assert true == sorted(true)
    assert all(said[those].mean() - share < 0.1 for those, share in zip(parts, true, strict=True))
    assert abs(said.mean() - were.mean()) < 0.1


def test_where_the_captions_are_gone_almost_nothing_is_found():
    pairs, _ = world(0, gone=True)
    found = find(pairs, labels(), WITNESSES)
    assert found.there < 0.2
    assert found.chance.sum(axis=1).mean() < 0.1


def test_a_label_and_the_chances_beside_it_are_at_most_one_together():
    pairs, _ = world(0, gone=False)
    found = find(pairs, labels(0.4), WITNESSES)
    assert (found.chance.sum(axis=1) <= 0.6 + 1e-6).all()
    assert (found.chance >= 0).all()


def test_no_pair_finds_its_own_caption_or_one_that_is_known_to_be_of_its_photo():
    pairs, true = world(0, gone=False)
    found = find(pairs, labels(), WITNESSES)
    rows = np.arange(NOISY)[:, None]
    assert not ((found.other == rows) & (found.chance > 0)).any()
    image_id = pairs.image_id.clone()
    image_id[true] = image_id[:NOISY].clone()  # now the true caption stands beside the same photo already
    shared = Pairs(pairs.image, pairs.text, image_id, pairs.caption_id, pairs.pair_id)
    again = find(shared, labels(), WITNESSES)
    mine = image_id[:NOISY].numpy()[:, None]
    of_found = image_id.numpy()[again.other]
    assert not ((of_found == mine) & (again.chance > 0)).any()


def test_a_caption_that_many_noisy_pairs_carry_is_found_by_few():
    pairs, _ = world(0, gone=False)
    caption_id, text = pairs.caption_id.clone(), pairs.text.clone()
    caption_id[:100], text[:100] = caption_id[0].clone(), normalize(pairs.image[:NOISY].mean(dim=0), dim=0)
    found = find(Pairs(pairs.image, text, pairs.image_id, caption_id, pairs.pair_id), labels(), WITNESSES)
    hub = np.isin(found.other, np.arange(100)) & (found.chance > 0)
    assert found.chance[hub].sum() < 5


@pytest.mark.parametrize("witnesses", [torch.arange(0), torch.arange(NOISY, NOISY + FEWEST - 1)])
def test_too_few_witnesses_find_nothing(witnesses):
    assert find(world(0, gone=False)[0], labels(), witnesses) is None


def test_without_noisy_pairs_there_is_nothing_to_find():
    assert find(world(0, gone=False)[0], torch.ones(PAIRS), WITNESSES) is None


def test_the_same_pairs_give_the_same_finds():
    first, second = (find(world(0, gone=False)[0], labels(), WITNESSES) for _ in range(2))
    assert (first.other == second.other).all()
    assert (first.chance == second.chance).all()


def test_what_halves_are_given_tells_how_often_their_others_are_there():
    noisy, whole, alone = np.array([1.5, 1.5]), np.array([2.0, 2.0]), np.array([1.0, 1.0])
    assert _told_by(noisy, whole, alone, 1) == (0.5, 1e-12)
    found, variance = _told_by(noisy, whole, np.array([0.5, 1.5]), 1)  # variance .25 of two: a half of it, over 1
    assert (found, variance) == (0.5, 0.125)
    assert _told_by(noisy, alone, whole, 1) == (0.5, np.inf)  # nothing is told where whole pairs are given less


@pytest.mark.parametrize("seed", range(3))
def test_halves_that_are_there_are_seen_to_be_there_even_by_a_poor_matcher(seed):
    pairs, _ = world(seed, gone=False, spread=1.0)
    assert find(pairs, labels(), WITNESSES).there > 0.6
    pairs, _ = world(seed, gone=True, spread=1.0)
    assert find(pairs, labels(), WITNESSES).there < 0.4

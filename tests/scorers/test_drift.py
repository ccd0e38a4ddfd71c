"""Drift worked out by hand, who is no neighbour, and what happens without one."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit.core.neighbours import bank as bank_file
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scorers import drift
from ncaudit.scoring.pairs import Pairs
from tests.worlds.embeddings import at
from tests.worlds.pairs import pairs_of

CPU = torch.device("cpu")


def score(asked: Pairs, bank: Pairs) -> Tensor:
    found = drift.applier(drift.fit(bank, ScorerOptions(scorer="drift")), CPU)(asked)
    assert found.soft_label is None
    return found.score


ASKED = pairs_of(at(60.0), at(0.0), [9], [9])  # cosine .5, the way points to 120°
BANK = pairs_of(at(80.0, 100.0), at(20.0, 40.0))  # the ways point to 140° and 160°, both of length 1: the mean to 150°


def test_the_score_is_the_cosine_times_the_agreement_of_the_ways() -> None:
    assert_close(score(ASKED, BANK), torch.tensor([0.5 * math.cos(math.radians(30))]), atol=1e-3, rtol=0)


def test_only_the_five_nearest_images_count() -> None:
    near = pairs_of(at(60, 61, 62, 63, 64), at(0, 1, 2, 3, 4))
    far = pairs_of(at(60, 61, 62, 63, 64, 200), at(0, 1, 2, 3, 4, 300))
    assert_close(score(ASKED, far), score(ASKED, near))


@pytest.mark.parametrize("shared", ["photo", "caption"])
def test_a_sibling_is_no_neighbour(shared: str) -> None:
    sibling = (9, 5) if shared == "photo" else (5, 9)
    bank = pairs_of(
        torch.cat([BANK.image, at(60.0)]), torch.cat([BANK.text, at(120.0)]), [0, 1, sibling[0]], [0, 1, sibling[1]]
    )
    assert_close(score(ASKED, bank), score(ASKED, BANK))


def test_without_any_neighbour_the_score_is_the_cosine() -> None:
    only_siblings = pairs_of(at(60.0, 70.0), at(40.0, 100.0), [9, 9], [1, 2])
    assert_close(score(ASKED, only_siblings), torch.tensor([0.5]))


def test_a_caption_off_another_way_scores_lower_at_the_same_cosine() -> None:
    other_way = pairs_of(at(60.0), at(120.0), [9], [9])
    assert score(other_way, BANK) < 0 < score(ASKED, BANK)


def test_an_opposite_caption_never_ranks_above_a_similar_one() -> None:
    # image at 60°: captions from the same place to the opposite one and back
    angles = torch.arange(0.0, 360.0, 10.0)
    asked = pairs_of(at(60.0).expand(36, 2), at(*angles.tolist()), list(range(100, 136)), list(range(100, 136)))
    found, cosine = score(asked, BANK), asked.similarity()
    assert (found <= cosine.clamp(min=0) + 1e-6).all()
    assert found[cosine < 0].max() < 0


def test_blocks_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    image = torch.nn.functional.normalize(torch.randn(80, 16, generator=draw), dim=1)
    everyone = pairs_of(image, image.roll(1, dims=1))
    whole = score(everyone, everyone)
    monkeypatch.setattr(bank_file, "ENTRIES", 200)
    assert_close(score(everyone, everyone), whole)


def test_a_single_pair_is_refused() -> None:
    with pytest.raises(NcauditError, match="there is 1 pair"):
        score(ASKED, ASKED)

"""LEMoN's distance worked out by hand, and who is no neighbour."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit.core.neighbours import bank as bank_file
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scorers import lemon
from ncaudit.scoring.pairs import Pairs
from tests.worlds.embeddings import at
from tests.worlds.pairs import pairs_of

CPU = torch.device("cpu")


def score(asked: Pairs, bank: Pairs) -> Tensor:
    found = lemon.applier(lemon.fit(bank, ScorerOptions(scorer="lemon")), CPU)(asked)
    assert found.soft_label is None
    return found.score


def d(degrees: float) -> float:
    return 1 - math.cos(math.radians(degrees))


ASKED = pairs_of(at(0.0), at(40.0), [9], [9])
BANK = pairs_of(at(10.0, 90.0), at(30.0, 20.0))  # caption 10° and 20° from the asked one, own distances 20° and 70°


def by_hand(*neighbours: tuple[float, float, float]) -> float:
    """Minus the distance, from (image angle, caption angle, own angle) of each neighbour."""
    by_image = [d(text) * math.exp(-0.1 * d(image) - 5 * d(own)) for image, text, own in neighbours]
    by_text = [d(image) * math.exp(-0.1 * d(text) - 5 * d(own)) for image, text, own in neighbours]
    return -(d(40) + 5 * sum(by_image) / len(by_image) + 5 * sum(by_text) / len(by_text))


def test_the_score_is_minus_the_papers_distance() -> None:
    assert_close(score(ASKED, BANK), torch.tensor([by_hand((10, 10, 20), (90, 20, 70))]), atol=5e-3, rtol=0)


@pytest.mark.parametrize("shared", ["photo", "caption"])
def test_a_sibling_is_no_neighbour(shared: str) -> None:
    sibling = (9, 5) if shared == "photo" else (5, 9)
    bank = pairs_of(
        torch.cat([BANK.image, at(0.0)]), torch.cat([BANK.text, at(200.0)]), [0, 1, sibling[0]], [0, 1, sibling[1]]
    )
    assert_close(score(ASKED, bank), score(ASKED, BANK))


def test_only_the_thirty_nearest_count() -> None:
    near = [float(i) / 10 for i in range(30)]
    bank = pairs_of(at(*near), at(*near))
    more = pairs_of(at(*near, 170.0, 190.0), at(*near, 170.0, 190.0))
    asked = pairs_of(at(0.0), at(0.0), [99], [99])
    assert_close(score(asked, more), score(asked, bank))


def test_without_any_neighbour_the_score_is_minus_the_own_distance() -> None:
    only_siblings = pairs_of(at(0.0, 5.0), at(40.0, 60.0), [9, 9], [1, 2])
    assert_close(score(ASKED, only_siblings), torch.tensor([-d(40)]))


def test_a_neighbour_that_is_wrong_itself_does_little_harm() -> None:
    mismatched, matching = pairs_of(at(0.0, 1.0), at(90.0, 91.0)), pairs_of(at(0.0, 1.0), at(10.0, 11.0))
    # both banks' captions lie off the asked one by the same angle; those of `mismatched` also lie off their own images
    asked = pairs_of(at(0.0), at(50.0), [9], [9])
    assert score(asked, mismatched) > score(asked, matching)


def test_blocks_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    image = torch.nn.functional.normalize(torch.randn(80, 16, generator=draw), dim=1)
    everyone = pairs_of(image, image.roll(1, dims=1))
    whole = score(everyone, everyone)
    monkeypatch.setattr(bank_file, "ENTRIES", 1_000)
    assert_close(score(everyone, everyone), whole)


def test_a_single_pair_is_refused() -> None:
    with pytest.raises(NcauditError, match="there is 1 pair"):
        score(ASKED, ASKED)

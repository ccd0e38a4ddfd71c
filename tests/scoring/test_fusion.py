"""Weights chosen by how well observed pairs are told from random ones."""

import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit.scoring.fusion import choose_weights, clearly_best, placements

FIRST, SECOND = (1.0, 0.0), (0.0, 1.0)


def scores(*shifts: float, n: int = 1000, seed: int = 0) -> Tensor:
    """Column c: standard normal around shifts[c]."""
    return torch.randn(n, len(shifts), generator=torch.Generator().manual_seed(seed)) + torch.tensor(shifts)


def chosen(observed: Tensor, nulls: list[Tensor], candidates: list[tuple[float, ...]]) -> tuple[float, ...]:
    """With every pair's photo its own."""
    return choose_weights(observed, nulls, candidates, torch.arange(len(observed)))


def test_the_placement_is_the_share_of_random_pairs_below_and_half_of_the_equal_ones() -> None:
    found = placements(torch.tensor([1.0, -1.0, 9.0]), torch.tensor([3.0, 0.0, 1.0, 2.0]))
    assert_close(found, torch.tensor([0.375, 0.0, 1.0], dtype=torch.float64))


def test_the_first_is_kept_where_no_other_is_better() -> None:
    null = scores(0.0, 0.0, seed=1)
    assert chosen(scores(2.0, 1.0), [null], [FIRST, SECOND]) == FIRST


def test_another_is_taken_where_it_is_clearly_better() -> None:
    null = scores(0.0, 0.0, seed=1)
    assert chosen(scores(1.0, 2.0), [null], [FIRST, SECOND]) == SECOND


def test_what_is_better_by_chance_alone_is_not_taken() -> None:
    for seed in range(5):
        null = scores(0.0, 0.0, n=100, seed=seed + 100)
        assert chosen(scores(1.0, 1.05, n=100, seed=seed), [null], [FIRST, SECOND]) == FIRST


def test_the_best_of_several_is_taken() -> None:
    null = scores(0.0, 0.0, seed=1)
    both = (0.5, 0.5)  # two independent columns tell more than either
    assert chosen(scores(1.0, 1.0), [null], [FIRST, SECOND, both]) == both


def test_what_is_better_against_one_null_and_worse_against_the_other_is_not_taken() -> None:
    # the second column sees the topic and little else: random pairs of the same topic score as the observed ones
    random, topical = scores(0.0, 0.0, seed=1), scores(0.0, 2.5, seed=2)
    assert chosen(scores(1.5, 2.5), [random], [FIRST, SECOND]) == SECOND
    assert chosen(scores(1.5, 2.5), [random, topical], [FIRST, SECOND]) == FIRST


def test_equal_candidates_give_the_first() -> None:
    assert chosen(scores(1.0, 1.0), [scores(0.0, 0.0, seed=1)], [FIRST, FIRST]) == FIRST


def test_copies_of_one_photo_are_one_draw() -> None:
    gain = torch.tensor([1.1, -0.9]).repeat(200)  # mean .1, standard error 1 / sqrt(400) = .05: two above 0
    placed = [torch.zeros(400), gain]
    several = [torch.zeros(1600), gain.repeat(4)]
    assert clearly_best(placed, torch.arange(400)) == 0
    assert clearly_best(several, torch.arange(1600)) == 1  # four of them if all were draws of their own
    assert clearly_best(several, torch.arange(400).repeat(4)) == 0

"""What every scorer promises, whichever it is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ncaudit import scorers
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scorers.fits import PairScores
from ncaudit.scorers.pairs import Pairs

CPU = torch.device("cpu")
N, DIMS = 96, 24


def world(n: int = N, *, wrong: int = 0, seed: int = 0) -> Pairs:
    """Pairs whose captions are noisy copies of their images; the first `wrong` have each other's captions."""
    draw = torch.Generator().manual_seed(seed)
    image = torch.nn.functional.normalize(torch.randn(n, DIMS, generator=draw), dim=1)
    text = torch.nn.functional.normalize(image + 0.15 * torch.randn(n, DIMS, generator=draw), dim=1)
    text[:wrong] = text[:wrong].roll(1, dims=0)
    return Pairs(image, text, torch.arange(n), torch.arange(n), [f"p{i}" for i in range(n)])


PAIRS = world(wrong=24)


def apply(name: str, pairs: Pairs = PAIRS, fitted_on: Pairs = PAIRS, **options: object) -> PairScores:
    chosen = ScorerOptions(scorer=name, **options)  # type: ignore[arg-type]
    scorer = scorers.get(name)
    return scorer.applier(scorer.fit(fitted_on, chosen), CPU)(pairs)


def fields(scores: PairScores) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(scores).items() if value is not None}


def test_the_folder_is_the_registry() -> None:
    assert scorers.names() == ["bicro", "clip-score", "csls"]


def test_an_unknown_scorer_is_told_the_known_ones() -> None:
    with pytest.raises(NcauditError) as told:
        scorers.get("cosine")
    assert "bicro, clip-score, csls" in told.value.fix


@pytest.mark.parametrize("name", scorers.names())
@given(order=st.permutations(range(N)))
@settings(deadline=None, max_examples=10)
def test_shuffling_pairs_shuffles_scores(name: str, order: list[int]) -> None:
    moved = fields(apply(name, PAIRS.take(torch.tensor(order))))
    for field, values in fields(apply(name)).items():
        assert_close(moved[field], values[order], equal_nan=True, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", scorers.names())
def test_a_pair_scores_alone_as_it_does_among_others(name: str) -> None:
    together = fields(apply(name))
    for field, values in fields(apply(name, PAIRS.take(torch.tensor([7])))).items():
        assert_close(values, together[field][7:8], equal_nan=True, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", scorers.names())
def test_a_swapped_caption_scores_below_the_true_one(name: str) -> None:
    swapped = PAIRS.take(torch.tensor([50, 60]))
    swapped = Pairs(swapped.image, swapped.text.flip(0), swapped.image_id, swapped.caption_id.flip(0), swapped.pair_id)
    true = apply(name, PAIRS.take(torch.tensor([50, 60])))
    assert (apply(name, swapped).score < true.score).all()


@pytest.mark.parametrize("name", scorers.names())
def test_mismatches_score_below_matches(name: str) -> None:
    score = apply(name).score.numpy()
    assert np.median(score[:24]) < np.quantile(score[24:], 0.05)


@pytest.mark.parametrize("name", scorers.names())
def test_a_copy_of_a_pair_scores_as_the_pair(name: str) -> None:
    scores = apply(name, PAIRS.take(torch.tensor([3, 3])))
    for values in fields(scores).values():
        assert_close(values[0], values[1], equal_nan=True)


@pytest.mark.parametrize("name", scorers.names())
def test_similarity_is_the_plain_cosine(name: str) -> None:
    assert_close(apply(name).similarity, (PAIRS.image * PAIRS.text).sum(dim=1))


@pytest.mark.parametrize("name", scorers.names())
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_inputs_are_scored_or_refused_never_constant(name: str, n: int) -> None:
    few = PAIRS.head(n)
    if name == "bicro" or (name == "csls" and n == 1):
        with pytest.raises(NcauditError) as told:
            apply(name, few, few)
        assert "clip-score" in told.value.fix
        return
    scores = apply(name, few, few)
    assert scores.score.isfinite().all()
    assert len(set(scores.score.tolist())) == n

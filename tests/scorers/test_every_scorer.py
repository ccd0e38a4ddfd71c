"""What every scorer promises, whichever it is."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize
from torch.testing import assert_close

import ncaudit
from ncaudit import scorers
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scoring.fits import PairScores
from ncaudit.scoring.pairs import Pairs

CPU = torch.device("cpu")
N, DIMS = 96, 24
OTHER_VARIANTS = {
    "bicro, paper": {"scorer": "bicro", "variant": "paper"},
    "bicro, released": {"scorer": "bicro", "variant": "released"},
}
CASES = [*scorers.names(), *OTHER_VARIANTS]  # by its own name a scorer runs in its default variant
FEWEST = {  # pairs that a fit needs
    **dict.fromkeys(OTHER_VARIANTS, 20),
    "bicro": 20,
    "clip-score": 1,
    "csls": 2,
    "drift": 2,
    "lemon": 2,
    "ncr": 20,
    "neg-clip-loss": 20,
    "structure": 20,
}


def world(n: int = N, *, wrong: int = 0, seed: int = 0) -> Pairs:
    """Pairs whose captions are noisy copies of their images; the first `wrong` have each other's captions.

    As in CLIP's space, all rows lie in a cone (axis 0), and a gap (axis 1) keeps images from captions.
    """
    draw = torch.Generator().manual_seed(seed)
    cone, gap = 0.5 * torch.eye(DIMS)[:2]
    image = normalize(torch.randn(n, DIMS, generator=draw), dim=1)
    text = image + 0.15 * torch.randn(n, DIMS, generator=draw)
    text[:wrong] = text[:wrong].roll(1, dims=0)
    ids = torch.arange(n)
    return Pairs(
        normalize(image + cone + gap, dim=1), normalize(text + cone - gap, dim=1), ids, ids, [str(i) for i in range(n)]
    )


PAIRS = world(wrong=24)


def chosen_by(name: str) -> dict[str, str]:
    return OTHER_VARIANTS.get(name, {"scorer": name})


def apply(name: str, pairs: Pairs = PAIRS, fitted_on: Pairs = PAIRS, **options: object) -> PairScores:
    chosen = ScorerOptions(**{**chosen_by(name), **options})  # type: ignore[arg-type]
    scorer = scorers.get(chosen.scorer)
    return scorer.applier(scorer.fit(fitted_on, chosen), CPU)(pairs)


def fields(scores: PairScores) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(scores).items() if value is not None}


def rank(score: torch.Tensor) -> torch.Tensor:
    return score.argsort().argsort().double()


def rank_correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([rank(a), rank(b)]))[0, 1])


def with_more(pairs: Pairs, index: list[int]) -> Pairs:
    """The pairs, and these again under the same ids."""
    return pairs.take(torch.cat([torch.arange(len(pairs)), torch.tensor(index)]))


def test_a_new_file_in_the_folder_is_a_new_scorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scorers.names()
    (tmp_path / "best_guess.py").write_text("ABOUT = 'guesses'\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/__init__.py").touch()
    monkeypatch.setattr(scorers, "__path__", [*scorers.__path__, str(tmp_path)])
    assert scorers.names() == sorted([*before, "best-guess"])
    assert scorers.get("best-guess").ABOUT == "guesses"
    monkeypatch.delitem(sys.modules, "ncaudit.scorers.best_guess")
    monkeypatch.delattr(scorers, "best_guess")


def test_an_unknown_scorer_is_told_the_known_ones() -> None:
    with pytest.raises(NcauditError) as told:
        scorers.get("cosine")
    assert told.value.fix == f"give one of: {', '.join(scorers.names())}"
    assert "bicro, clip-score, csls" in told.value.fix


@pytest.mark.parametrize("name", scorers.names())
def test_every_scorer_says_what_it_is_in_one_line(name: str) -> None:
    about = import_module(f"ncaudit.scorers.{name.replace('-', '_')}").ABOUT
    assert 20 < len(about) <= 80
    assert "\n" not in about


@pytest.mark.parametrize("name", CASES)
@given(order=st.permutations(range(N)))
@settings(deadline=None, max_examples=10)
def test_shuffling_pairs_shuffles_scores(name: str, order: list[int]) -> None:
    moved = fields(apply(name, PAIRS.take(torch.tensor(order))))
    for field, values in fields(apply(name)).items():
        assert_close(moved[field], values[order], equal_nan=True, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_pair_scores_alone_as_it_does_among_others(name: str) -> None:
    together = fields(apply(name))
    for field, values in fields(apply(name, PAIRS.take(torch.tensor([7])))).items():
        assert_close(values, together[field][7:8], equal_nan=True, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_a_swapped_caption_scores_below_the_true_one(name: str) -> None:
    swapped = PAIRS.take(torch.tensor([50, 60]))
    swapped = Pairs(swapped.image, swapped.text.flip(0), swapped.image_id, swapped.caption_id.flip(0), swapped.pair_id)
    true = apply(name, PAIRS.take(torch.tensor([50, 60])))
    assert (apply(name, swapped).score < true.score).all()


@pytest.mark.parametrize("name", CASES)
def test_mismatches_score_below_matches(name: str) -> None:
    score = apply(name).score.numpy()
    assert np.median(score[:24]) < np.quantile(score[24:], 0.05)


@pytest.mark.parametrize("name", CASES)
def test_a_copy_of_a_pair_scores_as_the_pair(name: str) -> None:
    scores = apply(name, PAIRS.take(torch.tensor([3, 3])))
    for values in fields(scores).values():
        assert_close(values[0], values[1], equal_nan=True)


@pytest.mark.parametrize("name", CASES)
def test_similarity_is_the_plain_cosine(name: str) -> None:
    assert_close(apply(name).similarity, (PAIRS.image * PAIRS.text).sum(dim=1))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_inputs_are_scored_or_refused_never_constant(name: str, n: int) -> None:
    few = PAIRS.head(n)
    try:
        score = apply(name, few, few).score
    except NcauditError as error:
        refused: NcauditError | None = error
    else:
        refused = None
        assert score.isfinite().all()
        assert len(set(score.tolist())) == n
    assert refused is None or "clip-score" in refused.fix


@pytest.mark.parametrize(("name", "fewest"), FEWEST.items())
def test_as_many_pairs_as_a_fit_needs_are_scored_and_fewer_are_refused(name: str, fewest: int) -> None:
    enough = PAIRS.head(fewest)
    assert apply(name, enough, enough).score.isfinite().all()
    for n in {1, 2, 3, fewest - 1} & set(range(1, fewest)):
        with pytest.raises(NcauditError) as told:
            apply(name, PAIRS.head(n), PAIRS.head(n))
        assert "clip-score" in told.value.fix


@pytest.mark.parametrize("name", CASES)
def test_copies_of_a_wrong_pair_do_not_vouch_for_it(name: str) -> None:
    wrong = 7
    score = apply(name, PAIRS, with_more(PAIRS, [wrong] * 8)).score
    assert rank(score)[wrong] < N / 3


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith("bicro")])
@pytest.mark.parametrize("pair", [7, 60])
def test_a_pair_has_no_part_in_its_own_score(name: str, pair: int) -> None:
    """bicro is exempt: the mixture of its fit, and what it calls standard, are of the whole sample."""
    itself = PAIRS.take(torch.tensor([pair]))
    without = PAIRS.take(torch.tensor([i for i in range(N) if i != pair]))
    expected = apply(name, itself).score
    assert_close(apply(name, itself, without).score, expected, rtol=1e-5, atol=1e-6)
    assert_close(apply(name, itself, with_more(PAIRS, [pair] * 3)).score, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shared", ["photo", "caption"])
def test_a_pair_of_the_fit_scores_as_a_new_one_that_shares_its_photo_and_caption(name: str, shared: str) -> None:
    known = PAIRS.take(torch.tensor([60]))
    other = torch.tensor([10_000])
    ids = (known.image_id, other) if shared == "photo" else (other, known.caption_id)
    new = Pairs(known.image, known.text, *ids, ["new"])
    assert_close(apply(name, new).score, apply(name, known).score, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_embeddings_of_any_length_score_alike(name: str) -> None:
    once = ncaudit.soft_labels(PAIRS.image, PAIRS.text, **chosen_by(name))
    thrice = ncaudit.soft_labels(3 * PAIRS.image, 3 * PAIRS.text, **chosen_by(name))
    np.testing.assert_allclose(thrice.score, once.score, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_sample_that_holds_every_pair_twice_ranks_alike(name: str) -> None:
    twice = with_more(PAIRS, list(range(N)))
    assert rank_correlation(apply(name, PAIRS, twice).score, apply(name).score) > 0.95


@pytest.mark.parametrize("name", CASES)
def test_turning_both_spaces_alike_changes_nothing(name: str) -> None:
    turn = torch.linalg.qr(torch.randn(DIMS, DIMS, generator=torch.Generator().manual_seed(1))).Q
    turned = Pairs(PAIRS.image @ turn, PAIRS.text @ turn, PAIRS.image_id, PAIRS.caption_id, PAIRS.pair_id)
    score = apply(name).score
    moved = (apply(name, turned, turned).score - score).abs() / max(1.0, float(score.std()))
    # a bank in half precision rounds otherwise after the turn, and may swap two neighbours at the edge of the k nearest
    assert moved.quantile(0.9) < 2**-11

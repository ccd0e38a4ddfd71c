"""Structure consistency: the correlation by hand, encoders of different widths, what is left out."""

import json
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from ncaudit.core.metrics.detection import auroc
from ncaudit.core.neighbours import bank as bank_file
from ncaudit.errors import NcauditError
from ncaudit.options import ScorerOptions
from ncaudit.scorers import structure
from ncaudit.scoring.fits import Fit
from ncaudit.scoring.pairs import Pairs

CPU = torch.device("cpu")
N, WRONG = 200, 60


def world(text_dims: int = 12) -> Pairs:
    """Two unrelated encoders: captions are what the images show, seen through a random matrix."""
    draw = torch.Generator().manual_seed(0)
    seen = torch.randn(N, 8, generator=draw)
    image = seen @ torch.randn(8, 24, generator=draw)
    text = (seen + 0.2 * torch.randn(N, 8, generator=draw)) @ torch.randn(8, text_dims, generator=draw)
    text[:WRONG] = text[:WRONG].roll(1, dims=0)
    unit = torch.nn.functional.normalize
    return Pairs(unit(image), unit(text), torch.arange(N), torch.arange(N), [str(i) for i in range(N)])


PAIRS = world()


def fit(given: Pairs = PAIRS, **options: object) -> Fit:
    return structure.fit(given, ScorerOptions(scorer="structure", **options))  # type: ignore[arg-type]


def score(asked: Pairs = PAIRS, **options: object) -> torch.Tensor:
    return structure.applier(fit(**options), CPU)(asked).score


@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
@pytest.mark.parametrize("text_dims", [12, 24])
def test_two_unrelated_encoders_tell_right_from_wrong(correlation: str, text_dims: int) -> None:
    given = world(text_dims)
    found = structure.applier(fit(given, correlation=correlation), CPU)(given)
    assert auroc(found.score, torch.arange(N) >= WRONG) > 0.9


def test_there_is_no_cosine_between_different_widths() -> None:
    found = structure.applier(fit(), CPU)(PAIRS)
    assert found.similarity.isnan().all()
    assert found.similarity.shape == (N,)
    assert found.soft_label is None
    assert not structure.NEEDS_SHARED_SPACE


@pytest.mark.parametrize(("correlation", "reference"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_the_score_is_the_correlation_of_the_two_rows(correlation: str, reference: object) -> None:
    others = PAIRS.head(30)
    asked = Pairs(others.image[4:5], others.text[4:5], torch.tensor([4]), torch.tensor([17]), ())
    left = [j for j in range(30) if j not in (4, 17)]  # the own photo's entry and the own caption's are left out
    rows = (asked.image @ others.image[left].T)[0].numpy(), (asked.text @ others.text[left].T)[0].numpy()
    expected = reference(*rows)[0]  # type: ignore[operator]
    assert_close(score(asked, correlation=correlation, bank_pairs=30), torch.tensor([expected]).float())


def test_blocks_do_not_change_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = score()
    monkeypatch.setattr(bank_file, "ENTRIES", 1_000)
    assert_close(score(), whole)


def test_a_fit_read_from_a_file_scores_alike() -> None:
    made = fit(correlation="spearman")
    read = replace(made, options=json.loads(json.dumps(made.options)))
    assert_close(structure.applier(read, CPU)(PAIRS).score, structure.applier(made, CPU)(PAIRS).score)


def test_an_unknown_correlation_is_told_the_known_ones() -> None:
    with pytest.raises(NcauditError, match="--correlation is kendall") as told:
        ScorerOptions(correlation="kendall")  # type: ignore[arg-type]
    assert told.value.fix == "give one of: pearson, spearman"


def test_too_few_pairs_for_a_correlation_are_refused() -> None:
    with pytest.raises(NcauditError, match="at least 20 pairs, and there are 19"):
        fit(PAIRS.head(19))

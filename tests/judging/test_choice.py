"""`--scorer auto`: the first unless another is clearly better, said with all that were compared."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

import ncaudit
from ncaudit import scorers
from ncaudit.errors import NcauditError
from ncaudit.judging import choice, power
from ncaudit.judging.calibrated import Looked
from ncaudit.options import ScorerOptions
from ncaudit.progress import unheard
from ncaudit.scoring.pairs import Pairs

AUTO = ScorerOptions(scorer="auto", device="cpu")


def world(n: int, *, turned: bool = False, noise: float = 0.2) -> Pairs:
    """n pairs of 16 dimensions, a share mismatched; turned: the captions' space is another than the images'."""
    draw = np.random.default_rng(0)
    seen = draw.normal(size=(n, 16))
    said = seen + 1.5 * draw.normal(size=(n, 16))
    said = said @ np.linalg.qr(draw.normal(size=(16, 16)))[0] if turned else said
    caption, wrong = np.arange(n), draw.permutation(n)[: round(noise * n)]
    caption[wrong] = np.roll(caption[wrong], 1)
    image, text = (normalize(torch.tensor(side, dtype=torch.float32)) for side in (seen, said))
    return Pairs(image, text[caption], torch.arange(n), torch.from_numpy(caption), [str(i) for i in range(n)])


@pytest.fixture(autouse=True)
def _few_scorers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mechanism is the same for all of them, and three take a third of the time."""
    monkeypatch.setattr(scorers, "names", lambda: ["bicro", "clip-score", "structure"])


def test_the_first_stays_where_no_other_is_clearly_better() -> None:
    found = choice.compared(world(300), AUTO)
    assert next(iter(found)) == "bicro"
    assert set(found) == {"bicro", "clip-score", "structure"}
    assert all(0.5 < value < 1 for value in found.values())


def test_another_is_taken_where_it_is_clearly_better(monkeypatch: pytest.MonkeyPatch) -> None:
    placed = {"bicro": 0.8 + torch.zeros(100), "clip-score": 0.9 + torch.zeros(100), "structure": torch.zeros(100)}
    monkeypatch.setattr(choice, "_placed", lambda name, *_: placed[name].double())
    assert list(choice.compared(world(100), AUTO).items()) == [
        ("clip-score", pytest.approx(0.9)), ("bicro", pytest.approx(0.8)), ("structure", 0.0),
    ]  # fmt: skip


def test_where_no_space_is_shared_what_needs_none_is_taken() -> None:
    found = choice.compared(world(300, turned=True), AUTO)  # too few pairs for learning a space
    assert next(iter(found)) == "structure"
    assert "clip-score" not in found


def test_half_of_the_question_is_mismatches_of_the_same_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    unbeaten = power.ScoredKind(np.full(5, np.inf), None)
    monkeypatch.setattr(power, "scored_kinds", lambda *_: {"topic": unbeaten})
    pairs = world(300)
    placed = choice._placed("clip-score", pairs, AUTO, Looked.at(pairs), unheard)
    assert placed is not None
    assert float(placed.max()) <= 0.5
    assert float(placed.mean()) > 0.25  # random pairs are told from it all the same


def test_a_scorer_that_cannot_be_fitted_is_left_out() -> None:
    assert "bicro" not in choice.compared(world(8), AUTO)


def test_where_none_can_be_fitted_the_error_is_that_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "names", lambda: ["bicro"])
    with pytest.raises(NcauditError, match="bicro judges pairs by other pairs"):
        choice.learn(world(8), AUTO)


def test_the_fit_tells_what_was_compared_and_that_auto_was_asked_for() -> None:
    fit = choice.learn(world(300), AUTO)
    assert fit.scorer == "bicro"
    assert fit.options["scorer"] == "auto"
    assert fit.options["temperature"] is None  # of another scorer, but it could have changed the choice
    assert set(fit.facts["compared"]) == {"bicro", "clip-score", "structure"}


def test_a_scorer_by_name_is_taken_without_comparing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "compared", None)
    assert choice.learn(world(60), ScorerOptions(scorer="clip-score")).scorer == "clip-score"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(NcauditError, match="no scorer is called 'best'"):
        choice.meant("best")


def test_arrays_in_memory_can_ask_for_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(power, "PAIRS", 200)
    monkeypatch.setattr(choice, "compared", lambda pairs, *_: seen.append(len(pairs)) or {"clip-score": 0.9})
    pairs = world(300)
    found = ncaudit.soft_labels(pairs.image, pairs.text, scorer="auto", device="cpu")
    assert seen == [200]
    np.testing.assert_allclose(found.score, found.similarity, atol=1e-6)

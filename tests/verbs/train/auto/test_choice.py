"""Which objective is taken, by learners whose quality is known: the rule, its fallbacks, and its record."""

import json

import pytest
import torch

from ncaudit import objectives
from ncaudit.engines.ranks import Ranks
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import Step
from ncaudit.verbs.train.auto import choice
from ncaudit.verbs.train.auto.choice import Choice, Reason, candidates, choose, recorded
from ncaudit.verbs.train.auto.trials import Course, Sampled

COURSE = Course(epochs=1, batch_pairs=64, seed=0, ranks=Ranks())
PAIRS, DIMS = 600, 16


def pairs(count: int = PAIRS, label: float = 1.0) -> Batch:
    rows = torch.arange(count)
    unit = torch.nn.functional.normalize(torch.randn(count, DIMS, generator=torch.Generator().manual_seed(0)), dim=1)
    return Batch(unit, unit.clone(), torch.full((count,), label), rows, rows)


class Blurred:
    """A learner that never learns, and sees captions through so much noise."""

    def __init__(self, blur: float, finite: bool = True, draw: int = 1) -> None:
        self._blur, self._finite, self._draw = blur, finite, draw

    def step(self, batch: Batch, number: int) -> Step:
        return Step(0.0, self._finite)

    def encode_images(self, rows: torch.Tensor) -> torch.Tensor:
        return rows

    def encode_captions(self, rows: torch.Tensor) -> torch.Tensor:
        noise = torch.randn(rows.shape, generator=torch.Generator().manual_seed(self._draw))
        return torch.nn.functional.normalize(rows + self._blur * noise, dim=1)


def chosen(
    blur: dict[str, float], batch: Batch | None = None, *, labelled: bool = True, usual: float = 0.6, draw: int = 1
) -> Choice:
    """draw: of the noise of all but plain InfoNCE."""

    def learner(learnt: Batch, objective, steps: int) -> Blurred:
        seen = 1 if objective.name == "infonce" else draw
        return Blurred(blur.get(objective.name, usual), blur.get(objective.name) != -1, seen)

    sampled = Sampled(pairs() if batch is None else batch, learner, folds=2, judged=2)
    return choose(sampled, COURSE, labelled=labelled)


def test_what_tells_held_out_pairs_best_is_taken():
    found = chosen({"drop": 0.3, "weighted-infonce": 0.5})
    assert (found.objective, found.reason) == ("drop", Reason.better)
    assert [one.objective for one in found.compared[:2]] == ["drop", "weighted-infonce"]
    assert {one.objective for one in found.compared} == set(candidates(True))
    best = found.compared[0]
    assert best.gain > 2 * best.standard_error > 0
    assert (found.learnt_pairs, found.judged_pairs, found.labelled) == (300, 600, True)


def test_plain_infonce_stays_where_nothing_is_clearly_better():
    found = chosen({}, draw=2)
    assert (found.objective, found.reason) == ("infonce", Reason.plain)
    assert found.compared[0].objective != "infonce"  # higher, but by chance


def test_where_held_out_pairs_look_random_plain_infonce_is_taken_and_that_is_said():
    found = chosen({}, usual=1e6)
    assert (found.objective, found.reason) == ("infonce", Reason.no_signal)


@pytest.mark.parametrize(("labelled", "taken"), [(True, "weighted-infonce"), (False, "infonce")])
def test_few_pairs_are_not_compared(labelled, taken):
    found = chosen({}, pairs(120), labelled=labelled)
    assert (found.objective, found.reason, found.compared) == (taken, Reason.too_few, ())
    assert found.judged_pairs == 120


def test_without_labels_only_what_asks_for_none_is_compared():
    found = chosen({"weighted-infonce": 0.1, "rcl": 0.3}, labelled=False)
    assert found.objective == "rcl"
    assert not {"weighted-infonce", "drop"} & {one.objective for one in found.compared}


def test_labels_that_leave_nothing_to_learn_from_are_told_and_the_rest_is_compared():
    found = chosen({}, pairs(label=0.0))
    why = {one.objective: one.why_not for one in found.compared if one.rank is None}
    assert why["drop"] == "it leaves 0 of 300 pairs to learn from"
    assert {why[name] for name in ("weighted-infonce", "rince", "sce")} == {"every label is 0"}
    assert found.objective == "infonce"


def test_objectives_are_compared_with_what_was_asked_beside_them():
    asked = []

    def get(name: str):
        asked.append(name)
        return objectives.get(name)

    sampled = Sampled(pairs(), lambda learnt, objective, steps: Blurred(0.6), folds=2, judged=2)
    choose(sampled, COURSE, labelled=True, get=get)
    assert asked == candidates(True)


def test_what_diverges_is_left_out():
    found = chosen({"weighted-infonce": -1, "drop": 0.3})
    assert found.objective == "drop"
    assert {one.objective: one.why_not for one in found.compared}["weighted-infonce"] == "its training diverged"


def test_where_plain_infonce_diverges_the_best_of_the_others_is_taken():
    found = chosen({"infonce": -1, "drop": 0.3})
    assert (found.objective, found.reason) == ("drop", Reason.better)


def test_the_same_pairs_give_the_same_choice_and_its_record_gives_it_back():
    found = chosen({"drop": 0.3})
    assert chosen({"drop": 0.3}) == found
    assert recorded(json.loads(json.dumps(found.as_json()))) == found


def test_a_run_that_took_what_is_compared_no_longer_goes_on_with_it():
    told = {**chosen({"drop": 0.3}).as_json(), "objective": "soft-infonce"}
    assert recorded(told).objective == "soft-infonce"


@pytest.mark.parametrize(
    "change", [{"objective": "nirnl"}, {"reason": "whim"}, {"compared": None}, {"judged_pairs": "x"}]
)
def test_a_record_that_this_version_cannot_have_made_is_none(change):
    assert recorded({**chosen({"drop": 0.3}).as_json(), **change}) is None


def test_every_objective_compared_is_one_that_there_is():
    assert candidates(True)[0] == candidates(False)[0] == choice.PLAIN
    assert set(candidates(True)) == {"infonce", "weighted-infonce", "drop", "rince", "sce"}

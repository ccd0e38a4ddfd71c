"""What is asked beside an objective: what it changes, and what it leaves alone."""

from dataclasses import replace
from math import log

import pytest
import torch
from torch.testing import assert_close

from ncaudit import objectives
from ncaudit.core.losses.additions import structure_loss
from ncaudit.objectives.additions import Additions, StructuredLoss, with_additions

LABEL = torch.tensor([1.0, 1.0, 0.5])


def loss_of(asked: Additions, similarity: torch.Tensor, name: str = "weighted-infonce", **more):
    return with_additions(objectives.get(name), asked).batch_loss(similarity, LABEL, scale=1.0, **more)


def plain(similarity: torch.Tensor, label: torch.Tensor, name: str = "weighted-infonce", **more):
    return objectives.get(name).batch_loss(similarity, label, scale=1.0, **more)


def similarities() -> torch.Tensor:
    return torch.randn(3, 3, generator=torch.Generator().manual_seed(0))


def test_nothing_asked_changes_nothing():
    assert loss_of(Additions(), similarities()) == plain(similarities(), LABEL)


def test_a_pair_that_fits_no_better_than_chance_weighs_nothing_at_pace_1():
    similarity = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, -1.0]])  # pair 2 is worse than chance
    own = -torch.log_softmax(similarity, dim=1).diagonal()
    pace = torch.cos(own / log(3) * torch.pi / 2)
    taught = torch.tensor([float(pace[0]), float(pace[1]), 0.0])
    assert_close(loss_of(Additions(self_paced=1.0), similarity), plain(similarity, LABEL * taught))


def test_a_slower_pace_hears_the_worse_pair_too():
    similarity = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, -1.0]], requires_grad=True)
    loss_of(Additions(self_paced=3.0), similarity).backward()
    assert similarity.grad[2, 2] < 0


def test_labels_stay_as_they_are_where_a_whole_batch_is_at_chance():
    assert_close(loss_of(Additions(self_paced=1.0), torch.zeros(3, 3)), plain(torch.zeros(3, 3), LABEL))


def test_the_pace_has_no_gradient_of_its_own():
    similarity = similarities().double().requires_grad_()
    label = LABEL.double()
    paced = with_additions(objectives.get("weighted-infonce"), Additions(self_paced=2.0))
    (found,) = torch.autograd.grad(paced.batch_loss(similarity, label, scale=1.0), similarity)
    assert found.sum(dim=1).abs().max() < 1  # of weights that moved, the rows of a mean would not stay as small
    assert found.isfinite().all()


@pytest.mark.parametrize("name", ["infonce", "weighted-infonce"])
def test_an_infonce_that_is_known_already_gives_the_same_loss_and_slopes(name):
    objective, asked = objectives.get(name), Additions(self_paced=2.0)
    similarity, label = similarities().double().requires_grad_(), LABEL.double()
    ways = [with_additions(one, asked) for one in (objective, replace(objective, of_infonce=None))]
    found = [way.batch_loss(similarity, label, scale=3.0) for way in ways]
    assert_close(*found)
    assert_close(*(torch.autograd.grad(loss, similarity) for loss in found))


def test_what_compares_like_a_match_is_no_negative():
    similarity = torch.tensor([[0.5, 0.1, 0.9], [0.1, 0.5, 0.1], [0.1, 0.1, 0.5]])
    allowed = torch.ones(3, 3, dtype=torch.bool)
    allowed[0, 2] = False
    found = loss_of(Additions(null_share=0.2), similarity)
    assert_close(found, plain(similarity, LABEL, allowed=allowed))


def test_the_geometry_is_asked_of_the_rows():
    image, text = (torch.nn.functional.normalize(torch.randn(3, 4), dim=1) for _ in range(2))
    asked = with_additions(objectives.get("rcl"), Additions(structure_weight=2.0)).batch_loss
    assert isinstance(asked, StructuredLoss)
    assert asked(image @ text.T, LABEL, scale=1.0) == plain(image @ text.T, LABEL, "rcl")
    assert_close(asked.of_rows(image, text), 2 * structure_loss(image, text))


@pytest.mark.parametrize("name", sorted(set(objectives.names()) - set(objectives.by_class.names())))
def test_every_objective_of_labels_takes_all_of_them_at_once(name):
    asked = Additions(self_paced=1.0, null_share=0.2, structure_weight=0.5)
    assert loss_of(asked, similarities(), name).isfinite()

from dataclasses import replace

import pytest
import torch

from ncaudit.core.classes.votes import HARD, NOISY, PURE
from ncaudit.core.losses import class_losses
from ncaudit.objectives import cmp
from ncaudit.objectives.by_class import cross_entropy, nirnl


def log_p(rows, targets):
    return class_losses.class_log_probabilities(rows, targets.barycentres, temperature=0.5)


def test_each_pair_has_the_loss_of_its_part_and_all_keep_the_margin(batch):
    image, text, targets, allowed = batch
    both = log_p(image, targets), log_p(text, targets)
    by_part = {
        PURE: class_losses.pure_loss(*both, targets.carried), HARD: class_losses.hard_loss(*both, targets.carried),
        NOISY: class_losses.noisy_loss(*both, targets.voted) * targets.trust,
    }  # fmt: skip
    of_pairs = [by_part[int(part)][i] for i, part in enumerate(targets.part[:-1])]  # the last is unlabelled
    margin = cmp.batch_loss(image @ text.T, torch.ones(len(image)), scale=1.0, allowed=allowed, margin=0.7)
    found = nirnl.class_loss(image, text, targets, allowed=allowed, margin=0.7, cmp_weight=0.4)
    assert float(found) == pytest.approx(float(sum(of_pairs) / len(of_pairs) + 0.4 * margin))


def test_the_pseudo_class_is_the_neighbours_or_the_predicted_one(batch):
    image, text, targets, _ = batch
    noisy = replace(targets, part=torch.full_like(targets.part, NOISY))
    both = log_p(image, targets), log_p(text, targets)
    voted = class_losses.noisy_loss(*both, targets.voted) * targets.trust
    predicted = class_losses.noisy_loss(*both, class_losses.joint_class(*both))
    for rule, expected in (("neighbours", voted), ("prediction", predicted)):
        found = nirnl.class_loss(image, text, noisy, pseudo_label=rule, cmp_weight=0.0)
        assert float(found) == pytest.approx(float(expected.mean()))


def test_where_all_pairs_are_pure_it_is_cross_entropy_beside_the_margin(batch):
    image, text, targets, allowed = batch
    pure = replace(targets, part=torch.where(targets.carried.any(dim=1), PURE, -1).to(torch.int8))
    plain = cross_entropy.class_loss(image, text, pure, allowed=allowed, cmp_weight=0.9)
    assert torch.equal(nirnl.class_loss(image, text, pure, allowed=allowed), plain)

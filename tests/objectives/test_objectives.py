"""The registry of objectives: names, settings, errors."""

import subprocess
import sys
from dataclasses import FrozenInstanceError
from math import nan

import numpy as np
import pytest
import torch

from ncaudit import objectives
from ncaudit.errors import NcauditError
from ncaudit.objectives import bicro

SIMILARITY = torch.tensor([[1.0, 0.0], [0.5, 0.75]])
LABEL = torch.tensor([1.0, 0.25])


def test_an_unknown_objective_names_the_known_ones():
    with pytest.raises(NcauditError, match="no objective is called 'hinge'") as error:
        objectives.get("hinge")
    assert error.value.fix == "give one of: bicro, drop, infonce, rcl, soft-infonce, weighted-infonce"
    with pytest.raises(NcauditError, match="no objective is called 'hinge'"):
        objectives.settings("hinge")


def test_names_are_listed_without_torch():
    code = "import sys; from ncaudit import objectives; objectives.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_settings_of_each_objective():
    assert {name: objectives.settings(name) for name in objectives.names()} == {
        "bicro": {"margin": 0.2, "margin_base": 10.0},
        "drop": {"drop_below": 0.5},
        "infonce": {},
        "rcl": {},
        "soft-infonce": {"spread": "uniform"},
        "weighted-infonce": {},
    }


def test_a_setting_reaches_the_loss_and_the_others_keep_their_defaults():
    bound = objectives.get("bicro", margin=0.8).batch_loss(SIMILARITY, LABEL, scale=1.0)
    assert bound == bicro.batch_loss(SIMILARITY, LABEL, scale=1.0, margin=0.8, margin_base=10.0)
    assert bound != bicro.batch_loss(SIMILARITY, LABEL, scale=1.0)


def test_two_objectives_of_one_name_do_not_share_their_settings():
    strict, default = objectives.get("drop", drop_below=0.9), objectives.get("drop")
    labels = np.array([0.6], dtype=np.float32)
    assert [strict.trains_on(labels).tolist(), default.trains_on(labels).tolist()] == [[False], [True]]


def test_an_objective_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        objectives.get("infonce").name = "rcl"


@pytest.mark.parametrize(
    ("name", "fix"),
    [("infonce", "leave it out; it has none"), ("bicro", "leave it out; it has: margin, margin_base")],
)
def test_a_setting_that_would_do_nothing_is_refused(name, fix):
    with pytest.raises(NcauditError, match=f"objective '{name}' has no setting 'drop_below'") as error:
        objectives.get(name, drop_below=0.5)
    assert error.value.fix == fix


@pytest.mark.parametrize("name", ["scale", "allowed", "label"])
def test_what_each_batch_brings_is_no_setting(name):
    with pytest.raises(NcauditError, match="has no setting"):
        objectives.get("bicro", **{name: 1.0})


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [("bicro", "margin", value) for value in (0, -0.2, 2.5, nan)]
    + [("bicro", "margin_base", value) for value in (1, 0.5, float("inf"), nan)]
    + [("drop", "drop_below", value) for value in (-0.1, 50, nan)]
    + [("soft-infonce", "spread", "softmax")],
)
def test_a_value_that_makes_no_sense_is_refused_before_any_batch(name, setting, value):
    with pytest.raises(NcauditError, match=str(value)):
        objectives.get(name, **{setting: value})


@pytest.mark.parametrize("name", sorted(set(objectives.names()) - {"drop"}))
def test_only_drop_leaves_pairs_out(name):
    assert objectives.get(name).trains_on(np.array([0.0, 0.5, 1.0], dtype=np.float32)).tolist() == [True] * 3

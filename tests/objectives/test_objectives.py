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
    with pytest.raises(NcauditError, match="no objective is called 'focal'") as error:
        objectives.get("focal")
    assert error.value.fix == f"give one of: {', '.join(objectives.names())}"
    assert error.value.fix.startswith("give one of: bicro, cmp, crcl, cross-entropy, drop")
    with pytest.raises(NcauditError, match="no objective is called 'focal'"):
        objectives.settings("focal")


def test_names_are_listed_without_torch():
    code = "import sys; from ncaudit import objectives; objectives.names(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("registry", [objectives, objectives.by_class])
def test_a_new_file_in_the_folder_is_a_new_objective(tmp_path, monkeypatch, registry):
    before = objectives.names()
    loss = "class_loss(image, text, targets" if registry is objectives.by_class else "batch_loss(similarity, label"
    (tmp_path / "own_loss.py").write_text(f"def {loss}, *, weight=0.5): ...\n")
    monkeypatch.setattr(registry, "__path__", [*registry.__path__, str(tmp_path)])
    assert objectives.names() == sorted([*before, "own-loss"])
    assert ("own-loss" in objectives.by_class.names()) is (registry is objectives.by_class)
    assert objectives.settings("own-loss") == {"weight": 0.5}
    monkeypatch.delitem(sys.modules, f"{registry.__name__}.own_loss")
    monkeypatch.delattr(registry, "own_loss")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bicro", {"margin": 0.2, "margin_base": 10.0}),
        ("cmp", {"margin": 0.9}),
        ("crcl", {"complement_weight": 5.0}),
        ("cross-entropy", {"class_temperature": 0.5, "margin": 0.9, "cmp_weight": 0.0}),
        ("drop", {"drop_below": 0.5}),
        ("gce", {"exponent": 0.5}),
        ("infonce", {}),
        ("nirnl", {"class_temperature": 0.5, "pseudo_label": "neighbours", "margin": 0.9, "cmp_weight": 0.9}),
        ("rcl", {"doubted": "ignore"}),
        ("rince", {"temperature": 0.05, "exponent": 0.1, "negatives_weight": 0.01}),
        ("sce", {"reverse_weight": 16.118}),
        ("soft-infonce", {"spread": "uniform"}),
        ("tal", {"margin": 0.1, "temperature": 0.015}),
        ("weighted-infonce", {}),
    ],
)
def test_the_settings_of_each_objective(name, expected):
    assert objectives.settings(name) == expected


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
    + [("soft-infonce", "spread", "softmax"), ("nirnl", "pseudo_label", "guess")]
    + [("rcl", "doubted", "pull")]
    + [(name, "exponent", value) for name in ("gce", "rince") for value in (0, 1.5, nan)]
    + [("rince", "negatives_weight", value) for value in (0, 2, nan)]
    + [(name, "temperature", value) for name in ("tal", "rince") for value in (0, 2, nan)]
    + [("tal", "margin", value) for value in (0, 2.5, nan)]
    + [("sce", "reverse_weight", value) for value in (-1, float("inf"), nan)]
    + [("crcl", "complement_weight", value) for value in (-1, float("inf"), nan)]
    + [("cmp", "margin", value) for value in (0, 2.5, nan)]
    + [(name, "class_temperature", value) for name in ("nirnl", "cross-entropy") for value in (0, 11, nan)]
    + [(name, "cmp_weight", value) for name in ("nirnl", "cross-entropy") for value in (-1, float("inf"), nan)],
)
def test_a_value_that_makes_no_sense_is_refused_before_any_batch(name, setting, value):
    with pytest.raises(NcauditError, match=str(value)):
        objectives.get_any(name, **{setting: value})


@pytest.mark.parametrize("name", sorted({*objectives.names()} - {*objectives.by_class.names(), "drop"}))
def test_only_drop_leaves_pairs_out(name):
    assert objectives.get(name).trains_on(np.array([0.0, 0.5, 1.0], dtype=np.float32)).tolist() == [True] * 3


def test_an_objective_of_one_kind_is_not_taken_for_one_of_the_other():
    with pytest.raises(NcauditError, match="objective 'nirnl' asks for classes, not labels"):
        objectives.get("nirnl")
    with pytest.raises(NcauditError, match="objective 'cmp' does not ask for classes"):
        objectives.get_by_class("cmp")
    kinds = {name: type(objectives.get_any(name)).__name__ for name in ("cmp", "nirnl", "cross-entropy")}
    assert kinds == {"cmp": "Objective", "nirnl": "ClassObjective", "cross-entropy": "ClassObjective"}


def test_nirnl_splits_the_pairs_and_cross_entropy_does_not():
    assert objectives.get_by_class("nirnl").partitions is True
    assert objectives.get_by_class("cross-entropy").partitions is False


def test_a_margin_without_weight_would_do_nothing():
    with pytest.raises(NcauditError, match=r"margin is 0\.5, but cmp_weight is 0"):
        objectives.get_by_class("cross-entropy", margin=0.5)
    objectives.get_by_class("cross-entropy", margin=0.5, cmp_weight=0.1)

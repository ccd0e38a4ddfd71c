"""Objectives that bound wrong pairs, and what may be asked beside an objective, in whole runs of heads."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ncaudit.errors import NcauditError, UsageError
from ncaudit.options import TrainOptions
from ncaudit.verbs.train.train import train

PAIRS, WIDTH = 240, 16
ROBUST = ("crcl", "gce", "rince", "sce", "tal")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """Pairs of unaligned embeddings, 40 % of them mismatched, which `match` knows; and clean ones to validate on."""
    folder, draw = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    maps = [draw.standard_normal((6, WIDTH)) for _ in range(2)]
    for name, noise in (("train", 0.4), ("val", 0.0)):
        seen = draw.standard_normal((PAIRS, 6))
        match = np.arange(PAIRS) >= noise * PAIRS
        told = np.where(match[:, None], seen, draw.standard_normal(seen.shape))
        of_sides = zip((seen, told), maps, strict=True)
        sides = [rows @ own + draw.standard_normal((PAIRS, WIDTH)) for rows, own in of_sides]
        columns = dict(zip(("image_embedding", "text_embedding"), map(lists, sides), strict=True))
        names = {"pair_id": [f"{name}-{i}" for i in range(PAIRS)], "status": ["ok"] * PAIRS}
        none = {"none": np.zeros(PAIRS)}
        pq.write_table(pa.table({**names, **columns, "match": match, **none}), folder / f"{name}.parquet")
    return folder


def lists(rows: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(rows.astype(np.float16).ravel(), WIDTH)


@pytest.fixture
def options(tables, tmp_path) -> TrainOptions:
    return TrainOptions(
        out=str(tmp_path / "out"), tune="heads", embeddings=[str(tables / "train.parquet")],
        val_data=[str(tables / "val.parquet")], epochs=3, batch_pairs=48, device="cpu", precision="float32",
    )  # fmt: skip


def recorded(out: str) -> dict[str, Any]:
    return json.loads((Path(out) / "run.json").read_text())["run"]["options"]


@pytest.mark.parametrize("objective", ROBUST)
def test_a_robust_objective_learns_without_labels_and_otherwise_with_them(options, objective):
    plain = train(replace(options, objective=objective))
    labelled = train(replace(options, objective=objective, label_column="match", out=f"{options.out}-2"))
    assert (plain.labelled, labelled.labelled) == (False, True)
    assert plain.kept.rsum > 20  # of rows that nothing was learnt from, one in 240 is first
    assert plain.loss != labelled.loss


LABELLED = {"label_column": "match"}


@pytest.mark.parametrize(
    ("without", "asked"),
    [
        (LABELLED, {"self_paced": 1.0}),
        (LABELLED, {"structure_weight": 2.0}),
        (LABELLED, {"structure_weight": 2.0, "chunk_pairs": 10}),
        (LABELLED, {"negatives": "allowed", "match_share": 0.05}),
        ({"recipe": "bicro"}, {"structure_weight": 1.0}),
    ],
)
def test_what_is_asked_beside_the_objective_changes_what_is_learnt_and_is_recorded(options, without, asked):
    before = train(replace(options, out=f"{options.out}-before", **without))
    after = train(replace(options, **without, **asked))
    assert before.loss != after.loss
    assert {name: recorded(after.out)[name] for name in asked} == asked
    assert not (asked.keys() - {"chunk_pairs"}) & recorded(before.out).keys()


def test_pushing_doubted_pairs_apart_changes_what_rcl_learns(options):
    trusting = train(replace(options, objective="rcl", out=f"{options.out}-before"))
    pushing = train(replace(options, objective="rcl", doubted="push", **LABELLED))
    assert pushing.labelled
    assert trusting.loss != pushing.loss
    assert recorded(pushing.out)["doubted"] == "push"


def test_a_run_without_them_is_recorded_as_by_earlier_versions(options):
    train(options)
    young = {"doubted", "temperature", "exponent", "self_paced", "structure_weight", "negatives", "match_share"}
    assert not young & recorded(options.out).keys()


def test_a_finished_run_is_not_taken_for_one_of_another_weight(options):
    train(replace(options, structure_weight=1.0))
    assert train(replace(options, structure_weight=1.0)).finished_earlier
    with pytest.raises(NcauditError, match="holds another run"):
        train(replace(options, structure_weight=2.0))


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        ({"self_paced": 0.0}, "--self-paced is 0.0", "above 0"),
        ({"structure_weight": -1.0}, "--structure-weight is -1.0", "above 0"),
        ({"negatives": "some"}, "--negatives is some", "allowed"),
        ({"negatives": "allowed", "match_share": 0.0}, "--match-share is 0.0", "above 0"),
        ({"negatives": "allowed", "match_share": 1.0}, "--match-share is 1.0, but it is a share", "below 1"),
        ({"match_share": 0.1}, "--match-share is for --negatives allowed", "--negatives allowed"),
        ({"objective": "soft-infonce", "label_column": "match", "self_paced": 1.0}, "takes no weights", "tal"),
        ({"objective": "rcl", "doubted": "push"}, "weighs pairs by their labels, and there are none", "--scores"),
        ({"batch_pairs": 1}, "--batch-pairs is 1", "2"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_when_the_options_are_made(options, given, message, fix):
    with pytest.raises(UsageError, match=message) as error:
        replace(options, **given)
    assert fix in error.value.fix
    assert "\n" not in error.value.message + error.value.fix


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"objective": "gce", "exponent": 2.0}, "exponent is 2.0"),
        ({"objective": "tal", "temperature": 0.0}, "temperature is 0.0"),
        ({"objective": "tall"}, "no objective is called 'tall'"),
        ({"objective": "tal", "doubted": "push"}, "objective 'tal' has no setting 'doubted'"),
        ({"objective": "rcl", "doubted": "shove", "label_column": None}, "doubted is 'shove'"),
    ],
)
def test_settings_that_the_objective_refuses_are_told_before_anything_is_read(options, given, message):
    with pytest.raises(NcauditError, match=message) as error:
        train(replace(options, embeddings=["nowhere"], **given))
    assert error.value.fix


@pytest.mark.parametrize("objective", [*ROBUST, "weighted-infonce"])
def test_labels_that_are_all_0_are_told(options, objective):
    with pytest.raises(NcauditError, match="every none is 0"):
        train(replace(options, objective=objective, label_column="none"))

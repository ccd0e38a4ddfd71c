"""What tables say of themselves: rates together, the fit that may be drawn, and words that mean nothing left out."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.scores import open_scores
from ncaudit.verbs.report.answer import fit_beside, parts_of, together
from tests.worlds.reports import scores

ROW = [{"soft_label": 0.5, "score": 1.0}]


def opened(*paths):
    return [open_scores(Shard.of_file(str(path))) for path in paths]


def parts(tmp_path, *said, rows=(1, 1)):
    paths = [scores(tmp_path / f"{i}.parquet", ROW, **one) for i, one in enumerate(said)]
    return parts_of(opened(*paths), rows[: len(paths)])


def test_one_rate_is_told_as_it_is(tmp_path):
    assert together(parts(tmp_path, {})) == (0.25, 0.2, 0.3)


def test_rates_of_several_parts_are_weighted_by_their_rows(tmp_path):
    other = {"fit": "f2", "noise_rate": {"rate": 0.05, "low": 0.05, "high": 0.05}}
    rate, low, high = together(parts(tmp_path, {}, other, rows=(30, 10)))
    assert (rate, low, high) == (pytest.approx(0.2), pytest.approx(0.1625), pytest.approx(0.2375))


def test_where_a_part_has_no_rate_there_is_none_for_all(tmp_path):
    assert together(parts(tmp_path, {}, {"fit": "f2", "noise_rate": None})) is None
    assert together([]) is None


def test_tables_of_one_fit_are_one_part(tmp_path):
    (part,) = parts(tmp_path, {}, {}, rows=(30, 10))
    assert (part.rows, part.shards) == (40, ("0.parquet", "1.parquet"))


@pytest.mark.parametrize(
    "said",
    [{"power": "much"}, {"power": [{"scorer": 1}]}, {"cuts": {"noisy_below": "x"}}, {"judged_pairs": "many"}],
    ids=str,
)
def test_damaged_words_count_as_none(tmp_path, said):
    (part,) = parts(tmp_path, said)
    assert (part.power, part.cuts, part.judged_pairs) == ((), None, None)


def fit(folder, fit_id="f1", scorer="bicro"):
    folder.mkdir(parents=True)
    told = {"fit_id": fit_id, "facts": {}, "scorer": scorer, "options": {"scorer": scorer}}
    (folder / "fit.json").write_text(json.dumps(told))
    save_file({"calibration_null": np.array([3.0, 1.0, 2.0])}, folder / "fit.safetensors")


def found(path):
    tables = opened(path)
    return fit_beside(tables, parts_of(tables, [1]))


def test_the_fit_beside_the_tables_is_theirs_by_its_id(tmp_path):
    path = scores(tmp_path / "a.parquet", ROW)
    assert found(path) is None
    fit(tmp_path / "_fit")
    assert found(path).random.tolist() == [1, 2, 3]
    assert found(scores(tmp_path / "b.parquet", ROW, fit="another")) is None


def test_rows_that_came_later_have_the_scores_of_the_first_fit(tmp_path):
    fit(tmp_path / "_fit")
    assert found(scores(tmp_path / "a.parquet", ROW, fit="later", scores_of_fit="f1")) is not None


def test_people_change_labels_and_no_scores(tmp_path):
    fit(tmp_path / "_fit")
    judged = {"fit": "judged", "judged_pairs": 20}
    assert found(scores(tmp_path / "a.parquet", ROW, **judged, options={"scorer": "bicro"})) is not None
    assert found(scores(tmp_path / "b.parquet", ROW, **judged, options={"scorer": "ncr"})) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"fit_id": "f1"}'])
def test_a_damaged_fit_is_none(tmp_path, text):
    fit(tmp_path / "_fit")
    (tmp_path / "_fit" / "fit.json").write_text(text)
    assert found(scores(tmp_path / "a.parquet", ROW)) is None


def test_a_fit_without_its_tensors_draws_no_random_pairs(tmp_path):
    fit(tmp_path / "_fit")
    (tmp_path / "_fit" / "fit.safetensors").write_bytes(b"none")
    assert len(found(scores(tmp_path / "a.parquet", ROW)).random) == 0

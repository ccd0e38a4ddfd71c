"""Answers that are written elsewhere: each table is sent those on its own rows, and the names that these speak of."""

from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncaudit.engines.jobs import Here
from ncaudit.errors import BadTable
from ncaudit.verbs.labels import labels as labels_module
from ncaudit.verbs.labels import written as written_module
from ncaudit.verbs.labels.label_rows import LabelColumns
from ncaudit.verbs.labels.written import Answers
from tests.verbs.labels.test_labels import labels, world, written
from tests.worlds.sites import Elsewhere

NAMES = pa.array([f"pair {number}" for number in range(50)])


def columns(why):
    rows = len(why)
    numbers, words = np.zeros(rows, np.float32), np.zeros((rows, 1), np.int32)
    return LabelColumns(np.zeros(rows, np.int8), (words, words), (numbers, numbers), numbers, words[:, 0], why)


@given(st.lists(st.lists(st.integers(-1, 49), min_size=3, max_size=3), max_size=20))
def test_the_pairs_that_speak_against_a_class_keep_their_names_and_no_other_name_is_sent(rows):
    why = np.array(rows, np.int64).reshape(-1, 3)
    answers = Answers.of(columns(why), np.ones(len(why), bool), NAMES)
    told = [
        [None if place < 0 else answers.pair_ids[int(place)].as_py() for place in row] for row in answers.columns.why
    ]
    assert told == [[None if number < 0 else f"pair {number}" for number in row] for row in rows]
    assert sorted(answers.pair_ids.to_pylist()) == sorted({name for row in told for name in row if name})


@pytest.fixture
def given_tables(tmp_path):
    columns, _ = world()
    folder = tmp_path / "in"
    for number, name in enumerate("abcd"):
        part = slice(100 * number, 100 * (number + 1))
        written(folder, {name: values[part] for name, values in columns.items()}, name)
    return folder


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".parquet"}


def test_a_table_that_is_missing_is_the_only_one_that_is_written_again(given_tables, tmp_path, monkeypatch):
    labels(given_tables, tmp_path / "here")
    labels(given_tables, tmp_path / "there")
    (tmp_path / "there/b.parquet").unlink()
    kept = (tmp_path / "there/c.parquet").stat().st_mtime_ns
    site = Elsewhere()
    monkeypatch.setattr(labels_module, "site_of", lambda options, out: nullcontext(site))
    told = labels(given_tables, tmp_path / "there")
    assert site.jobs == [4, 4, 4, 1]
    assert told.accounting.shards_resumed == 3
    assert told.accounting.rows == 320
    assert sum(told.partitions.values()) == 320
    assert tables(tmp_path / "there") == tables(tmp_path / "here")
    assert (tmp_path / "there/c.parquet").stat().st_mtime_ns == kept
    assert labels(given_tables, tmp_path / "there").accounting.shards_resumed == 4
    assert site.jobs == [4, 4, 4, 1]


def test_a_table_that_cannot_be_written_stops_no_other(given_tables, tmp_path, monkeypatch):
    rows = written_module.label_rows

    def refused(table, *more):
        if table.shard.stem == "b":
            raise BadTable("b is bad", fix="mend it")
        return rows(table, *more)

    monkeypatch.setattr(written_module, "label_rows", refused)
    for site in (None, Elsewhere()):
        with monkeypatch.context() as patch:
            if site is not None:
                patch.setattr(labels_module, "site_of", lambda options, out, site=site: nullcontext(site))
            told = labels(given_tables, tmp_path / f"out-{site is None}")
        assert [error.message for error in told.accounting.shard_errors] == ["b is bad"]
        assert told.accounting.rows == 220


def test_in_one_process_the_answers_are_given_table_by_table(given_tables, tmp_path, monkeypatch):
    sizes = []
    each = Here.each

    def looked(self, tasks, progress):
        sizes.extend(len(task.item.answers.columns.why) for task in tasks if hasattr(task.item, "answers"))
        return each(self, tasks, progress)

    monkeypatch.setattr(Here, "each", looked)
    labels(given_tables, tmp_path / "out")
    assert sizes == [100, 100, 100, 20]

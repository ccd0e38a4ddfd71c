"""Scores go back into the dataset only where pair i is row i."""

from types import SimpleNamespace

import numpy as np
import pytest

from ncaudit.shards.files.shard import Shard
from ncaudit.shards.rewriting.write_back import _one_pair_per_row
from tests.worlds.datasets import write

ROWS = 70_000  # more than are read at once


@pytest.fixture
def told(tmp_path):
    """Whether a table of these columns is held to have one pair per row."""

    def ask(**columns):
        path = write(tmp_path / "t.parquet", columns)
        return _one_pair_per_row(SimpleNamespace(shard=Shard(str(path), path.name)))

    return ask


def test_row_numbers_go_on_from_batch_to_batch(told):
    assert told(row=np.arange(ROWS))


@pytest.mark.parametrize("at", [0, 1, ROWS - 1])
def test_one_row_told_twice_or_left_out_is_found(told, at):
    row = np.arange(ROWS)
    row[at] += 1
    assert not told(row=row)


def test_a_table_without_row_numbers_is_taken_at_its_word(told):
    assert told(pair_id=["a", "b"])

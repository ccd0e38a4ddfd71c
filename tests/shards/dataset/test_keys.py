"""A key names one pair, in the whole dataset."""

import os
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.dataset.keys import PairNames, choose_key
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard


def dataset(folder, **shards):
    for name, columns in shards.items():
        path = os.path.join(folder, *name.split("__")) + ".parquet"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return find_shards([str(folder)])


def check_keys(shards, column):
    """As `embed` does: one look at each shard, those that cannot be read passed over."""
    names = PairNames(shards, column)
    for shard in shards:
        with suppress(BadTable):
            names.see(shard, open_shard(shard))
    names.refuse_repeats()


def test_a_key_column_without_gap_or_repeat_is_chosen(tmp_path):
    assert choose_key(dataset(tmp_path, a={"uid": ["1", "2"], "n": [1, 2]}), None) == "uid"


@pytest.mark.parametrize("values", [["1", "1"], ["1", None]])
def test_a_gap_or_a_repeat_in_the_first_shard_rules_a_column_out(tmp_path, values):
    assert choose_key(dataset(tmp_path, a={"uid": values, "id": [5, 6]}), None) == "id"


def test_img2datasets_key_is_no_key_over_several_folders(tmp_path):
    shards = dataset(tmp_path, a__0={"key": ["0", "1"]}, b__0={"key": ["0", "1"]})
    assert choose_key(shards, None) is None
    assert choose_key(shards[:1], None) == "key"


def test_an_empty_first_shard_decides_nothing(tmp_path):
    shards = dataset(tmp_path, a={"uid": pa.array([], pa.string())}, b={"uid": ["1", "1"]})
    assert choose_key(shards, None) is None


def test_a_repeat_is_named_with_both_places_in_one_shard_or_two(tmp_path):
    shards = dataset(tmp_path, a={"uid": ["x", "y"]}, b={"uid": ["z", None, "y"]})
    with pytest.raises(BadTable) as caught:
        check_keys(shards, "uid")
    assert caught.value.message == "b.parquet row 2 has the uid 'y' again, after a.parquet row 1"
    assert "--key" in caught.value.fix


def test_numbers_and_text_of_the_same_name_are_a_repeat(tmp_path):
    with pytest.raises(BadTable, match=r"b\.parquet row 0"):
        check_keys(dataset(tmp_path, a={"id": [1]}, b={"id": ["1"]}), "id")


def test_an_unreadable_shard_does_not_hide_a_repeat(tmp_path):
    shards = dataset(tmp_path, a={"id": [1]}, c={"id": [1]})
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(BadTable, match=r"c\.parquet row 0"):
        check_keys(find_shards([str(tmp_path)]), "id")
    assert len(shards) == 2


def test_the_users_word_decides(tmp_path):
    shards = dataset(tmp_path, a={"uid": ["1", "2"], "other": ["a", "b"]})
    assert choose_key(shards, "other") == "other"
    assert choose_key(shards, "") is None


def test_a_column_that_can_name_nothing_is_left_to_those_who_read_the_shard(tmp_path):
    check_keys(dataset(tmp_path, a={"boxes": [[1.0], [1.0]], "x": [0.5, 0.5]}), "boxes")

"""Rows that others name: the first of each name, from whichever table, with its place among all rows."""

from pathlib import Path

import pytest

from ncaudit.errors import BadTable
from ncaudit.judging.galleries.cells import MOST_CHARACTERS
from ncaudit.judging.galleries.collector import Row
from ncaudit.judging.galleries.named import find_named, in_data
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.scores import open_scores
from tests.worlds import shown as world
from tests.worlds.datasets import write


def opened(*paths):
    return [open_scores(Shard.of_file(str(path))) for path in paths]


@pytest.fixture
def tables(tmp_path):
    more = [f"m{name}" for name in world.IDS[:7]] + ["b"]  # the last one is there already
    return opened(world.table(tmp_path / "1.parquet"), world.table(tmp_path / "2.parquet", pair_id=more))


def test_the_first_row_of_each_name_is_found_with_its_place_among_all(tables):
    found = find_named(tables, {"b", "mc", "nowhere"}, ("shard", "caption", "not there"))
    assert found == {
        "b": Row(1, {"pair_id": "b", "shard": "data.parquet", "caption": "caption of b"}),
        "mc": Row(10, {"pair_id": "mc", "shard": "data.parquet", "caption": "caption of c"}),
    }
    assert find_named(tables, set(), ("caption",)) == {}


def test_only_row_groups_that_hold_a_name_are_read(tmp_path):
    path = tmp_path / "s.parquet"
    captions = [f"{i}" * 5000 for i in range(8)]
    write(path, {"caption": captions, **{name: world.TABLE[name] for name in ("pair_id", "status")}}, group=2)
    with path.open("r+b") as file:  # the first row group's captions are no page any more
        file.seek(4)
        file.write(bytes(40))
    assert find_named(opened(path), {"g"}, ("caption",))["g"].get("caption") == captions[6]
    with pytest.raises(BadTable):
        find_named(opened(path), {"a"}, ("caption",))


def test_the_dataset_is_asked_for_what_the_rows_own_table_says(tmp_path):
    data = world.dataset(tmp_path / "in")
    long = "y" * (MOST_CHARACTERS + 1)
    paths = [world.table(tmp_path / "1.parquet"), world.table(tmp_path / "2.parquet", of=data, caption=[long] * 8)]
    tables = opened(*paths)
    one, two = find_named(tables, {"b"}, ("shard", "row", "caption"))["b"], Row(9, {"pair_id": "b", "row": "1"})
    told = in_data(tables, one)
    assert (told.shard, told.row, Path(told.table), told.fingerprints) == ("data.parquet", 1, paths[0], set())
    assert (told.caption, told.cut) == ("caption of b", False)
    told = in_data(tables, two)
    assert (told.shard, told.row, Path(told.table), len(told.fingerprints)) == (None, None, paths[1], 1)
    cut = find_named(tables[1:], {"b"}, ("caption",))["b"]
    assert (in_data(tables[1:], cut).cut, len(in_data(tables[1:], cut).caption)) == (True, MOST_CHARACTERS)

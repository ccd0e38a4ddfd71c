"""A table belongs to the shard of its name, and says itself when it was made from another file."""

from dataclasses import dataclass

import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import fingerprint_of_file
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.made_from import data_of, match_by_name, refuse_another, source_of


@dataclass(frozen=True)
class Table:
    shard: Shard


def shards(*names):
    return [Shard(f"/data/{name}", name) for name in names]


def tables(*names):
    return [Table(Shard(f"/scores/{name}.parquet", f"{name}.parquet")) for name in names]


def test_each_shard_finds_the_table_of_its_name_whatever_the_format_and_order():
    given, made = shards("A/0.tar", "A/1.parquet", "B/0.csv"), tables("B/0", "A/1", "A/0")
    assert match_by_name(given, made, "score table") == dict(zip(given, [made[2], made[1], made[0]], strict=True))


def test_one_file_each_belong_together_whatever_their_names():
    (shard,), (table,) = shards("x.tar"), tables("y")
    assert match_by_name([shard], [table], "score table") == {shard: table}


def test_what_is_alone_is_told_and_a_table_may_be_where_a_part_is_enough():
    with pytest.raises(BadTable, match=r"^B/0.parquet has no score table \(1 of 2 shards have none\)$"):
        match_by_name(shards("A/0.parquet", "B/0.parquet"), tables("A/0", "0"), "score table")
    with pytest.raises(BadTable, match=r"^/scores/b.parquet has no shard in --data \(1 of 2 score tables have none\)$"):
        match_by_name(shards("a.parquet"), tables("a", "b"), "score table")
    (shard,), (first, other) = shards("a.parquet"), tables("a", "b")
    assert match_by_name([shard], [first, other], "score table", whole=False) == {shard: first}


def test_another_file_is_refused_where_the_table_says_what_it_was_made_from(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"one")
    own = {"name": "a.parquet", "fingerprint": fingerprint_of_file(str(path))}
    told = [{"name": "b.parquet", "fingerprint": "1-x"}, own]
    refuse_another(Shard.of_file(str(path)), "s.parquet", told, "f")
    path.write_bytes(b"two")
    refuse_another(Shard.of_file(str(path)), "s.parquet", [], "f")
    with pytest.raises(BadTable, match=r"s\.parquet was made from another file than .*a\.parquet \(its content"):
        refuse_another(Shard.of_file(str(path)), "s.parquet", told, "f")


def test_what_a_table_rests_on_is_found_through_one_file_for_all_and_through_filters():
    one, other = ({"name": name, "fingerprint": name} for name in "ab")
    tables = [{"verb": "score", "data": made} for made in (one, other)]
    whole = {"shards": tables}
    assert data_of(tables[0]) == [one]
    assert data_of(whole) == [one, other]
    assert data_of({"verb": "filter", "shards": [{"source": {}, "scored": whole}]}) == [one, other]
    assert data_of(None) == data_of({"verb": "score", "data": None}) == []
    assert (source_of({"source": one}), source_of(None)) == ([one], [])

"""Each row of a shard finds its own score, or nobody's."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.schema import METADATA_KEY
from ncaudit.shards.files.provenance import attach, fingerprint_of_file
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.pair_join import places_of
from ncaudit.shards.tables.score_input import FileScores


def shard_of(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return Shard(str(path), path.name)


def scores_of(path, ids, *, rows=None, of=None, whole=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"pair_id": ids, "status": ["ok"] * len(ids), "row": rows or list(range(len(ids)))})
    if of:
        made = {"data": {"name": of.name, "fingerprint": fingerprint_of_file(of.path)}}
        made = {"shards": [made]} if whole else made
        table = table.replace_schema_metadata(attach(table.schema, made).metadata)
    pq.write_table(table, path)
    return FileScores(Shard(str(path), path.name))


@pytest.fixture
def shard(tmp_path):
    return shard_of(tmp_path / "data/s.parquet", uid=["a", "b", "c"], twice=["a", "a", "c"], n=[3, 1, 2])


def test_a_table_of_this_very_file_is_joined_by_row_whatever_the_names(shard, tmp_path):
    scores = scores_of(tmp_path / "s.parquet", ["x", "y"], rows=[2, 0], of=shard)
    assert places_of(shard, scores, None).tolist() == [1, -1, 0]


def test_one_table_for_all_shards_is_refused_too_when_it_was_made_from_none_of_these(shard, tmp_path):
    scores = scores_of(tmp_path / "all.parquet", ["c", "a"], rows=[2, 0], of=shard, whole=True)
    assert places_of(shard, scores, None).tolist() == [1, -1, 0]
    other = shard_of(tmp_path / "data/t.parquet", uid=["a", "b"])
    with pytest.raises(BadTable, match="made from another file"):
        places_of(other, scores, None)


def test_rows_that_the_file_lacks_are_refused(shard, tmp_path):
    scores = scores_of(tmp_path / "s.parquet", ["x"], rows=[3], of=shard)
    with pytest.raises(BadTable, match=r"has rows that .* lacks"):
        places_of(shard, scores, None)


def test_the_users_key_joins_another_file(shard, tmp_path):
    other = shard_of(tmp_path / "old/s.parquet", uid=["a"])
    scores = scores_of(tmp_path / "s.parquet", ["c", "z", "a"], of=other)
    with pytest.raises(BadTable, match="made from another file"):
        places_of(shard, scores, None)
    assert places_of(shard, scores, "uid").tolist() == [2, -1, 0]


def test_numbers_can_be_keys(shard, tmp_path):
    assert places_of(shard, scores_of(tmp_path / "s.parquet", ["1", "2"]), "n").tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("ids", "places"), [(["b", "c"], [-1, 0, 1]), (["s/2", "s/0"], [1, -1, 0])], ids=["key column", "shard/row"]
)
def test_a_table_from_elsewhere_is_joined_by_the_names_it_uses(shard, tmp_path, ids, places):
    scores = scores_of(tmp_path / "s.parquet", ids)
    assert METADATA_KEY not in (scores.schema.metadata or {})
    assert places_of(shard, scores, None).tolist() == places


def test_strangers_and_repeats_are_refused(shard, tmp_path):
    with pytest.raises(BadTable, match="has no pair of"):
        places_of(shard, scores_of(tmp_path / "1/s.parquet", ["q"]), None)
    with pytest.raises(BadTable, match="has 'a' more than once"):
        places_of(shard, scores_of(tmp_path / "2/s.parquet", ["a", "c"]), "twice")
    with pytest.raises(BadTable, match="has the pair_id 'a' more than once"):
        places_of(shard, scores_of(tmp_path / "3/s.parquet", ["a", "a"]), "uid")
    with pytest.raises(BadTable, match="no column nothere"):
        places_of(shard, scores_of(tmp_path / "4/s.parquet", ["a"]), "nothere")


def test_an_empty_shard_and_its_empty_table_are_joined(tmp_path):
    shard = shard_of(tmp_path / "data/s.parquet", uid=pa.array([], pa.string()))
    ids = pa.array([], pa.string())
    pq.write_table(pa.table({"pair_id": ids, "status": ids}), tmp_path / "s.parquet")
    assert places_of(shard, FileScores(Shard(str(tmp_path / "s.parquet"), "s.parquet")), None).tolist() == []

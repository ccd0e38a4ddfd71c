"""Each caption of a row finds its own score, by the column of lists that was scored and no other."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import attach, fingerprint_of_file
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.caption_join import join_pairs
from ncaudit.shards.tables.score_input import FileScores

LISTS = pa.list_(pa.string())
CAPTIONS = [["a0", "a1"], None, ["c0"], []]
PAIRS = [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0)]  # a row without a caption is one pair


def shard_of(path, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.table({"captions": pa.array(CAPTIONS, LISTS), "uid": list("abcd"), **more}), path, row_group_size=3
    )
    return Shard(str(path), path.name)


def scores_of(path, shard, pairs=PAIRS, *, named=None, captions=None, whole=True):
    names = named or [f"s/{row}/{number}" for row, number in pairs]
    columns = {"pair_id": names, "status": ["ok"] * len(names), "row": [row for row, _ in pairs]}
    table = pa.table(columns | ({"caption": pa.array(captions, pa.string())} if captions else {}))
    made = {"data": {"name": shard.name, "fingerprint": fingerprint_of_file(shard.path)}}
    made = made if whole else {"shards": [made, {"data": {"name": "t", "fingerprint": "other"}}]}
    pq.write_table(table.replace_schema_metadata(attach(table.schema, made).metadata), path)
    return FileScores(Shard(str(path), path.name))


def test_by_row_and_the_number_of_the_caption_whatever_the_order(tmp_path):
    shard = shard_of(tmp_path / "d/s.parquet")
    joined = join_pairs(shard, scores_of(tmp_path / "s.parquet", shard, [(3, 0), (0, 1), (2, 0)]), None)
    assert joined.lists.column == "captions"
    assert joined.lists.starts.tolist() == [0, 2, 3, 4, 5]
    assert joined.places.tolist() == [-1, 1, -1, 2, 0]


@pytest.mark.parametrize("kind", [pa.large_list(pa.string()), pa.list_(pa.large_string()), LISTS], ids=str)
def test_lists_of_every_type(tmp_path, kind):
    pq.write_table(pa.table({"captions": pa.array(CAPTIONS, kind)}), tmp_path / "d.parquet")
    shard = Shard(str(tmp_path / "d.parquet"), "d.parquet")
    assert join_pairs(shard, scores_of(tmp_path / "s.parquet", shard), None).places.tolist() == [0, 1, 2, 3, 4]


def test_lists_of_a_fixed_width(tmp_path):
    kind = pa.list_(pa.string(), 2)
    pq.write_table(pa.table({"captions": pa.array([["a", "b"], None, ["c", "d"]], kind)}), tmp_path / "d.parquet")
    shard = Shard(str(tmp_path / "d.parquet"), "d.parquet")
    pairs = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]
    scores = scores_of(tmp_path / "s.parquet", shard, pairs, captions=["a", "b", None, "c", "d"])
    assert join_pairs(shard, scores, None).places.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("named", "key"), [("uid", None), ("uid", "uid"), ("row", None)])
def test_by_names_with_a_number_where_one_table_is_of_several_shards(tmp_path, named, key):
    shard = shard_of(tmp_path / "d/s.parquet")
    names = {"uid": ["d/0", "other/1", "a/1", "c/0"], "row": ["s/3/0", "other/1", "s/0/1", "s/2/0"]}[named]
    scores = scores_of(tmp_path / "s.parquet", shard, [(0, 0)] * 4, named=names, whole=False)
    joined = join_pairs(shard, scores, key)
    assert joined.places.tolist() == [-1, 2, -1, 3, 0]


def test_the_column_that_was_scored_is_known_by_its_captions(tmp_path):
    other = pa.array([["x", "y"], ["z"], ["u"], None], LISTS)
    shard = shard_of(tmp_path / "d/s.parquet", recaptioned=other)
    own = scores_of(tmp_path / "1.parquet", shard, captions=["a0", "a1", None, "c0", None])
    assert join_pairs(shard, own, None).lists.column == "captions"
    new = scores_of(tmp_path / "2.parquet", shard, captions=["x", "y", "z", "u", None])
    assert join_pairs(shard, new, None).lists.column == "recaptioned"
    with pytest.raises(BadTable, match="has no lists of the captions that"):
        join_pairs(shard, scores_of(tmp_path / "3.parquet", shard, captions=["a0", "y", None, "c0", None]), None)


def test_without_captions_the_column_that_is_called_so_is_meant_and_of_others_only_one_that_fits(tmp_path):
    shard = shard_of(tmp_path / "d/s.parquet", tags=pa.array([["x", "y"], [], ["z"], []], LISTS))
    assert join_pairs(shard, scores_of(tmp_path / "1.parquet", shard), None).lists.column == "captions"
    table = pq.read_table(shard.path).rename_columns(["lines", "uid", "tags"])
    pq.write_table(table, tmp_path / "n.parquet")
    named = Shard(str(tmp_path / "n.parquet"), "n.parquet")
    with pytest.raises(BadTable, match="can have been made from lines or tags") as error:
        join_pairs(named, scores_of(tmp_path / "2.parquet", named), None)
    assert "without --columns" in error.value.fix


def test_lists_beside_one_caption_per_row_are_no_captions(tmp_path):
    columns = {"caption": ["a", "b"], "tags": pa.array([["x", "y"], []], LISTS)}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet")
    shard = Shard(str(tmp_path / "d.parquet"), "d.parquet")
    joined = join_pairs(shard, scores_of(tmp_path / "s.parquet", shard, [(1, 0), (0, 0)], named=["s/1", "s/0"]), None)
    assert (joined.places.tolist(), joined.lists) == ([1, 0], None)


def test_captions_that_the_shard_lacks_and_pairs_told_twice_are_refused(tmp_path):
    shard = shard_of(tmp_path / "d/s.parquet")
    for pairs in ([(0, 2), (0, 1)], [(4, 0), (4, 0)]):
        with pytest.raises(BadTable, match="has no lists of the captions"):
            join_pairs(shard, scores_of(tmp_path / "s.parquet", shard, pairs), None)
    with pytest.raises(BadTable, match="more than once"):
        join_pairs(shard, scores_of(tmp_path / "s.parquet", shard, [(0, 1), (0, 1)]), None)


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        (pa.struct([("id", pa.int64()), ("text", pa.string())]), lambda text: {"id": 1, "text": text}),
        (pa.struct([("de", pa.string()), ("en", pa.string())]), lambda text: {"de": "anders", "en": text}),
        (pa.binary(), str.encode),
    ],
    ids=["one text", "a text per language", "bytes"],
)
@pytest.mark.parametrize("whole", [True, False])
def test_captions_within_structs_or_as_bytes(tmp_path, kind, cell, whole):
    cells = [None if row is None else [cell(text) for text in row] for row in CAPTIONS]
    pq.write_table(pa.table({"captions": pa.array(cells, pa.list_(kind))}), tmp_path / "s.parquet")
    shard = Shard(str(tmp_path / "s.parquet"), "s.parquet")
    captions = ["a0", "a1", None, "c0", None]
    right = scores_of(tmp_path / "right.parquet", shard, captions=captions, whole=whole)
    assert join_pairs(shard, right, None).places.tolist() == [0, 1, 2, 3, 4]
    other = scores_of(tmp_path / "other.parquet", shard, captions=["b", *captions[1:]], whole=whole)
    with pytest.raises(BadTable, match="no lists of the captions that"):
        join_pairs(shard, other, None)


def test_bytes_that_are_no_text_are_no_caption(tmp_path):
    cells = [[b"\xff", b"a1"], None, [b"c0"], []]
    pq.write_table(pa.table({"captions": pa.array(cells, pa.list_(pa.binary()))}), tmp_path / "s.parquet")
    shard = Shard(str(tmp_path / "s.parquet"), "s.parquet")
    scores = scores_of(tmp_path / "scores.parquet", shard, captions=[None, "a1", None, "c0", None])
    assert join_pairs(shard, scores, None).places.tolist() == [0, 1, 2, 3, 4]

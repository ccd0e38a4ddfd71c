import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.verbs.inspect import census
from ncaudit.verbs.inspect.census import Census, Counted, chosen_examples, take_census


def counted(path, table, **columns):
    pq.write_table(table, path, row_group_size=2)
    return take_census(open_shard(Shard.of_file(str(path))), Counted(**columns), lambda rows: None)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=lambda kind: str(kind)
)
def test_captions_are_counted_whatever_way_text_is_held(tmp_path, kind):
    captions = pa.array(["a", None, "", " \n\u3000", "a", "b"], pa.string()).cast(kind)
    found = counted(tmp_path / "x.parquet", pa.table({"caption": captions}), caption="caption")
    assert (found.rows, found.pairs, found.captions_null, found.captions_blank) == (6, 6, 1, 2)
    assert found.examples == ["a", "b"]


def test_lists_of_captions(tmp_path):
    captions = pa.array([["a", None, " "], [], None, ["b"]])
    found = counted(tmp_path / "x.parquet", pa.table({"caption": captions}), caption="caption")
    assert (found.rows, found.pairs, found.captions_null, found.captions_blank) == (4, 6, 3, 1)
    assert found.several_captions


def test_a_column_of_nulls_holds_no_caption(tmp_path):
    found = counted(tmp_path / "x.parquet", pa.table({"caption": pa.nulls(3)}), caption="caption")
    assert (found.pairs, found.captions_null, found.examples) == (3, 3, [])


def test_huge_captions_and_bytes_that_are_no_text_do_no_harm(tmp_path):
    raw = pa.array([b"\xff\xfe", b"x" * 1_000_000]).cast(pa.string(), safe=False)
    found = counted(tmp_path / "x.parquet", pa.table({"caption": raw}), caption="caption")
    assert found.examples == ["\ufffd\ufffd", "x" * census.EXAMPLE_LENGTH]


def test_keys_repeat_across_batches_and_shards_and_null_is_none(tmp_path):
    first = counted(tmp_path / "a.parquet", pa.table({"id": [1, 2, 1, None]}), keys=("id",))
    second = counted(tmp_path / "b.parquet", pa.table({"id": ["1", "3", None, None]}), keys=("id",))
    assert (first.repeats("id"), first.key_nulls["id"]) == (1, 1)
    whole = Census()
    whole.add(first)
    whole.add(second)
    assert (whole.repeats("id"), whole.key_nulls["id"], whole.rows) == (2, 3, 8)
    assert whole.repeats("other") == 0


def test_words_numbers_and_paths(tmp_path):
    table = pa.table(
        {
            "status": ["ok", "ok", None, "bad"],
            "soft_label": pa.array([0.25, 0.75, None, float("nan")], pa.float32()),
            "path": ["a.jpg", "", None, "b.jpg"],
        }
    )
    found = counted(tmp_path / "x.parquet", table, words=("status",), number="soft_label", paths="path")
    assert found.words == {"status": {"ok": 2, "bad": 1}}
    assert (found.number_sum, found.number_rows, found.number_below_half) == (1.0, 2, 1)
    assert found.paths_missing == 2


def test_a_column_that_is_no_list_of_words_does_not_fill_the_memory(tmp_path):
    table = pa.table({"status": [f"word {i}" for i in range(200)]})
    words = counted(tmp_path / "x.parquet", table, words=("status",)).words["status"]
    assert len(words) == census.WORDS_KEPT + 1
    assert (sum(words.values()), words["others"]) == (200, 200 - census.WORDS_KEPT)


def test_examples_are_of_shards_far_apart_first():
    assert chosen_examples([["a", "b"], ["c"], [], ["d"], ["e", "f"]]) == ["a", "e", "b"]
    assert chosen_examples([["a", "b", "c", "d"]]) == ["a", "b", "c"]
    assert chosen_examples([["a"], ["a"], ["a"]]) == ["a"]
    assert chosen_examples([]) == []


def test_a_damaged_shard_is_an_error(tmp_path):
    pq.write_table(pa.table({"caption": ["some text"] * 1_000}), tmp_path / "x.parquet", use_dictionary=False)
    whole = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    shard = open_shard(Shard.of_file(str(tmp_path / "x.parquet")))
    with pytest.raises(BadTable, match=r"x\.parquet"):
        take_census(shard, Counted(caption="caption"), lambda rows: None)

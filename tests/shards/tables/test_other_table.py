"""Each row of a shard gets what the other table says of its key, or nulls; the other table is never held."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.tables import other_table
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.shards.tables.other_table import open_join
from tests.worlds.embeddings import embedding_table


@pytest.fixture
def shard(tmp_path):
    """An embedding table of six rows with the user's column `uid`; the last row has none."""

    def write(stem="00000", **more):
        more = {"uid": ["a", "b", "c", "a", "z", None], **more}
        table = embedding_table(6).append_column("uid", pa.array(more.pop("uid")))
        for name, values in more.items():
            table = table.append_column(name, pa.array(values))
        path = tmp_path / f"embeddings/{stem}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(table, path)
        return open_embeddings(find_shards([str(path)])[0])

    return write


def other(tmp_path, name="meta", **columns):
    path = tmp_path / f"other/{name}.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return str(tmp_path / "other")


def rows(source, table, keys="uid", columns=None):
    """What the shard's rows get, as a list of dicts, read two rows at a time."""
    found = open_join([source], keys).beside([table], columns)
    beside, first, parts = found.rows(table), 0, []
    for batch in table.batches(2):
        parts.append(beside.beside(batch, first).carried)
        first += len(batch)
    return pa.Table.from_batches(parts).select(found.names).to_pylist()


def test_every_row_gets_the_row_of_its_key_in_its_own_order(shard, tmp_path):
    keys = ["q", "c", "b", "a", None, None]
    source = other(tmp_path, uid=keys, similarity=[0.0, 0.3, 0.2, 0.1, 0.0, 0.0], lang=[*"qcbaxx"])
    found = rows(source, shard())
    assert [row["lang"] for row in found] == ["a", "b", "c", "a", None, None]
    assert [row["input_similarity"] for row in found] == [0.1, 0.2, 0.3, 0.1, None, None]
    assert open_join([source], "uid").beside([shard()], None).rows(shard()).alone == 2


def test_keys_are_compared_as_text_and_may_have_two_names(shard, tmp_path):
    source = other(tmp_path, SAMPLE_ID=pa.array([7, 8], pa.int32()), n=[1, 2])
    assert rows(source, shard(uid=["8", "7", "9", "7", "08", None]), "uid=SAMPLE_ID") == [
        {"n": n} for n in (2, 1, None, 1, None, None)
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "uid,similarity,lang\n7,0.25,en\n8,,de\n"),
        ("m.tsv", "uid\tsimilarity\tlang\n7\t0.25\ten\n8\t\tde\n"),
        ("m.jsonl", '{"uid": 7, "similarity": 0.25, "lang": "en"}\n{"uid": 8, "similarity": null, "lang": "de"}\n'),
    ],
)
def test_text_tables_are_joined_as_parquet_is(name, text, shard, tmp_path):
    (tmp_path / name).write_text(text)
    found = rows(str(tmp_path / name), shard(uid=["8", "7", "9", "7", "08", None]))
    en, de = {"input_similarity": 0.25, "lang": "en"}, {"input_similarity": None, "lang": "de"}
    nothing = {"input_similarity": None, "lang": None}
    assert found == [de, en, nothing, en, nothing, nothing]


@pytest.mark.parametrize("matches", [True, False])
def test_a_nested_or_dictionary_column_survives_and_nothing_found_is_all_null(matches, shard, tmp_path):
    keys = ["a", "b", "c"] if matches else ["x", "y", "w"]
    boxes = pa.array([[[1.0]], [], None], pa.list_(pa.list_(pa.float64())))
    source = other(tmp_path, uid=keys, words=pa.array(["u", None, "w"]).dictionary_encode(), boxes=boxes)
    assert rows(source, shard()) == [{"words": word if matches else None} for word in ("u", None, "w", "u", None, None)]
    found = rows(source, shard(), columns=["boxes", "uid", "words"])
    assert found[0] == {"boxes": [[1.0]] if matches else None, "words": "u" if matches else None}


def test_only_pieces_with_a_wanted_key_are_decoded(shard, tmp_path, monkeypatch):
    source = other(tmp_path, uid=[*"qrstuvcb"], n=range(8))
    read = []
    open_shard = other_table.open_shard

    class Watched:
        def __init__(self, shard):
            self._file = open_shard(shard)
            self.schema, self.pieces = self._file.schema, self._file.pieces

        def batches(self, rows, columns, pieces):
            read.append((sorted(columns), pieces))
            return self._file.batches(rows, columns, pieces)

    monkeypatch.setattr(other_table, "open_shard", Watched)
    assert [row["n"] for row in rows(source, shard())] == [None, 7, 6, None, None, None]
    assert [pieces for columns, pieces in read if "n" in columns] == [[3]]


def test_the_file_of_the_shards_own_name_is_the_only_one_read(shard, tmp_path):
    other(tmp_path, "00000", uid=["a"], n=[1])
    source = other(tmp_path, "00001", uid=["b", "a"], n=[2, 3])
    assert [row["n"] for row in rows(source, shard())] == [1, None, None, 1, None, None]
    with pytest.raises(BadTable, match="the uid 'a' is there more than once"):
        rows(source, shard("none"))  # of no file's name: all are read


def test_files_may_differ_in_columns_and_types_that_go_together(shard, tmp_path):
    other(tmp_path, "x", uid=["a"], n=pa.array([1], pa.int32()))
    source = other(tmp_path, "y", uid=["b"], n=[2**40], more=["m"])
    assert rows(source, shard())[:3] == [{"n": 1, "more": None}, {"n": 2**40, "more": "m"}, {"n": None, "more": None}]
    other(tmp_path, "z", uid=["c"], n=["text"])
    with pytest.raises(BadTable, match=r"z\.parquet has a column of another type"):
        open_join([source], "uid")


def test_names_that_are_taken_become_input(shard, tmp_path):
    source = other(tmp_path, uid=["a"], similarity=[0.1], input_similarity=[0.2], caption=["c"], url=["u"])
    assert rows(source, shard())[0] == {
        "input_input_similarity": 0.1, "input_similarity": 0.2, "input_caption": "c", "url": "u",
    }  # fmt: skip
    table = open_embeddings(find_shards([str(tmp_path / "embeddings")])[0], ["caption", "uid"])
    assert open_join([source], "uid").beside([table], ["caption", "similarity"]).names == ("input_similarity",)


@pytest.mark.parametrize(
    ("columns", "keys", "told"),
    [
        ({"id": ["a"]}, "uid", r"meta\.parquet has no column uid to join by \(found: id\)"),
        ({"uid": ["a"]}, "nothere=uid", r"00000\.parquet has no column nothere to join by"),
        ({"uid": [0.5]}, "uid", r"meta\.parquet: uid is double, which is no key"),
        ({"uid": ["b", "b"]}, "uid", r"meta\.parquet: the uid 'b' is there more than once"),
    ],
)
def test_what_cannot_be_joined_is_told(columns, keys, told, shard, tmp_path):
    with pytest.raises(BadTable, match=told):
        rows(other(tmp_path, **columns), shard(), keys)


def test_a_repeat_that_no_row_asks_for_does_no_harm_and_bytes_are_refused(shard, tmp_path):
    source = other(tmp_path, uid=["a", "q", "q"], n=[1, 2, 3], jpg=[b"x"] * 3)
    assert rows(source, shard())[0] == {"n": 1}
    with pytest.raises(BadTable, match="jpg holds bytes"):
        rows(source, shard(), columns=["jpg"])


def test_an_empty_shard_is_joined(tmp_path):
    table = embedding_table(6).slice(0, 0).append_column("uid", pa.array([], pa.string()))
    pq.write_table(table, tmp_path / "e.parquet")
    shard = open_embeddings(find_shards([str(tmp_path / "e.parquet")])[0])
    found = open_join([other(tmp_path, uid=["a"], n=[1])], "uid").beside([shard], None).rows(shard)
    assert (found.alone, found.places.dtype, len(found.found)) == (0, np.int64, 0)

"""`score --join`: prior scores of another table beside ours, and a rerun that notices when that table has changed."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable, UsageError
from ncaudit.options import ScoreOptions
from ncaudit.verbs.score.score import score


def joined(embeddings, out, **options):
    usual = {"scorer": "clip-score", "check": False, "join_key": "pair_id=uid"}
    return score(ScoreOptions(embeddings=[str(embeddings)], out=str(out), **usual | options))


def read(path):
    return pq.read_table(path, partitioning=None)


@pytest.fixture
def meta(tmp_path):
    def write(rows=190, first=0.0):
        path = tmp_path / "meta.parquet"
        columns = {"similarity": [first + i for i in range(rows)], "lang": ["en"] * rows, "caption": ["c"] * rows}
        pq.write_table(pa.table({"uid": [f"0/{i}" for i in range(rows)], **columns}), path)
        return [str(path)]

    return write


def test_prior_scores_come_last_and_rows_without_a_match_are_told(write_embeddings, meta, tmp_path):
    result = joined(write_embeddings(n=200), tmp_path / "s", join=meta())
    table = read(tmp_path / "s/00000.parquet")
    assert table.column_names[-5:] == ["caption", "is_match", "input_similarity", "lang", "input_caption"]
    assert table["input_similarity"].to_pylist() == [*map(float, range(190)), *[None] * 10]
    (note,) = (note for note in result.notes if note.startswith("joined"))
    assert "190 of 200 rows have a match, the other 10 get nulls" in note
    assert "similarity as input_similarity, lang, caption as input_caption" in note


def test_columns_chooses_among_both_tables_own_first(write_embeddings, meta, tmp_path):
    folder = write_embeddings(n=200)
    joined(folder, tmp_path / "s.parquet", join=meta(), columns=["caption", "lang"])
    table = read(tmp_path / "s.parquet")
    assert table.column_names[-3:] == ["reason", "caption", "lang"]
    assert table["caption"][0].as_py().startswith("caption 0")
    with pytest.raises(BadTable, match="no column nowhere"):
        joined(folder, tmp_path / "t.parquet", join=meta(), columns=["nowhere"])


def test_a_key_that_is_there_twice_is_told_before_any_work(write_embeddings, tmp_path):
    embeddings = write_embeddings(n=60)
    key = pq.read_table(embeddings / "00000.parquet")["pair_id"].to_pylist()
    pq.write_table(pa.table({"uid": [*key, key[7]], "n": range(61)}), tmp_path / "twice.parquet")
    with pytest.raises(BadTable, match=f"the uid '{key[7]}' is there more than once"):
        joined(embeddings, tmp_path / "s", join=[str(tmp_path / "twice.parquet")], join_key="pair_id=uid")
    assert not (tmp_path / "s").exists()
    pq.write_table(pa.table({"uid": [*key, "another", "another"], "n": range(62)}), tmp_path / "strange.parquet")
    joined(embeddings, tmp_path / "s", join=[str(tmp_path / "strange.parquet")], join_key="pair_id=uid")


def test_a_rerun_keeps_what_is_finished_and_redoes_it_when_the_joined_table_changed(write_embeddings, meta, tmp_path):
    folder = write_embeddings(n=200)
    for first, resumed in ((0.0, 0), (0.0, 1), (0.5, 0)):
        assert joined(folder, tmp_path / "s", join=meta(first=first)).accounting.shards_resumed == resumed
    assert read(tmp_path / "s/00000.parquet")["input_similarity"][0].as_py() == 0.5


@pytest.mark.parametrize(
    "wrong", [{"join": ["x"], "join_key": None}, {"join": ["x"], "join_key": "k="}, {"join_key": "k"},
              {"join": ["x"], "data": ["d"]}],
)  # fmt: skip
def test_a_join_without_a_key_or_beside_data_is_a_wrong_command(wrong):
    with pytest.raises(UsageError):
        ScoreOptions(embeddings=["e"], out="o", **{"join_key": "uid"} | wrong)

"""Folders of Delta Lake, Iceberg and Hudi: read while every file counts, refused where the log has replaced some."""

import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit import NcauditError
from ncaudit.shards.files.sources import find_shards


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(*sources):
    return [shard.name for shard in find_shards([str(source) for source in sources])]


def log(table, number, *actions):
    (table / "_delta_log").mkdir(parents=True, exist_ok=True)
    (table / f"_delta_log/{number:020}.json").write_text("\n".join(map(json.dumps, actions)))


def add(path, **more):
    return {"add": {"path": path, **more}}


def remove(path):
    return {"remove": {"path": path}}


@pytest.fixture
def delta(tmp_path):
    touch(tmp_path / "t", "a.parquet", "p=x%20y/b.parquet")
    log(tmp_path / "t", 0, {"protocol": {}}, add("a.parquet"), add("p=x%2520y/b.parquet"))
    return tmp_path / "t"


def test_a_delta_table_that_only_grew_is_all_its_files(delta):
    assert names(delta) == ["a.parquet", "p=x%20y/b.parquet"]


@pytest.mark.parametrize("source", ["t", "t/*.parquet", "."])
def test_a_file_that_the_log_has_removed_is_refused_with_the_log(delta, tmp_path, source):
    log(delta, 1, remove("a.parquet"), add("c.parquet"))
    touch(delta, "c.parquet")
    said = r"a\.parquet was removed from the table by .*0001\.json: rows .* twice"
    with pytest.raises(NcauditError, match=said) as raised:
        names(tmp_path / source)
    assert "with the tool whose it is" in raised.value.fix
    assert names(delta / "c.parquet", delta / "p=x%20y/b.parquet") == ["c.parquet", "p=x%20y/b.parquet"]


def test_a_partition_of_such_a_table_is_refused_too(delta):
    log(delta, 1, remove("p=x%2520y/b.parquet"))
    with pytest.raises(NcauditError, match=r"b\.parquet was removed"):
        names(delta / "p=x%20y")


def test_a_file_that_came_back_or_is_gone_counts_as_it_is_now(delta):
    log(delta, 1, remove("a.parquet"), remove("gone.parquet"))
    log(delta, 2, add("a.parquet"))
    assert len(names(delta)) == 2


def test_rows_that_are_only_marked_as_deleted_are_told(delta):
    log(delta, 1, add("a.parquet", deletionVector={"storageType": "u"}))
    with pytest.raises(NcauditError, match=r"a\.parquet has rows that .* marks as deleted"):
        names(delta)


def test_a_checkpoint_tells_what_commits_that_are_gone_have_done(delta):
    (delta / f"_delta_log/{0:020}.json").unlink()
    rows = pa.table({"add": [None, {"path": "p=x%2520y/b.parquet"}], "remove": [{"path": "a.parquet"}, None]})
    pq.write_table(rows, delta / f"_delta_log/{5:020}.checkpoint.parquet")
    with pytest.raises(NcauditError, match=r"a\.parquet was removed"):
        names(delta)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"remove": 3}', '{"add": null}', "\xff"])
def test_a_damaged_log_hides_nothing_and_ends_nothing(delta, text):
    (delta / f"_delta_log/{1:020}.json").write_bytes(text.encode("latin-1"))
    (delta / f"_delta_log/{5:020}.checkpoint.parquet").write_bytes(b"PAR1")
    assert len(names(delta)) == 2


def test_a_table_behind_an_address_is_asked_for_its_log_as_well():
    files = fsspec.filesystem("memory")
    for name in ("a.parquet", f"_delta_log/{0:020}.json"):
        files.pipe(f"/lake/t/{name}", json.dumps(remove("a.parquet")).encode())
    with pytest.raises(NcauditError, match=r"a\.parquet was removed"):
        names("memory://lake/t")


def snapshot(operation):
    return {"snapshots": [{"summary": {"operation": "append"}}, {"summary": {"operation": operation}}]}


@pytest.mark.parametrize("operation", ["overwrite", "delete", "replace"])
def test_an_iceberg_table_that_was_rewritten_is_refused_and_one_that_grew_is_read(tmp_path, operation):
    touch(tmp_path, "data/0.parquet", "data/1.parquet")
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/v1.metadata.json").write_text(json.dumps(snapshot("append")))
    assert len(names(tmp_path)) == 2
    (tmp_path / "metadata/v2.metadata.json").write_text(json.dumps(snapshot(operation)))
    for place in (tmp_path, tmp_path / "data"):
        with pytest.raises(NcauditError, match=rf"Iceberg table .* \({operation}, in .*v2.metadata.json\)"):
            names(place)


def test_a_clip_retrieval_folder_beside_a_folder_called_metadata_is_no_iceberg_table(tmp_path):
    touch(tmp_path, "metadata/metadata_0.parquet", "img_emb/img_emb_0.npy", "text_emb/text_emb_0.npy")
    assert names(tmp_path) == ["metadata_0.parquet"]


def test_a_hudi_table_is_refused_where_a_file_has_two_versions_or_changes_beside_it(tmp_path):
    touch(tmp_path, ".hoodie/1.commit", "p/8f3a-0_1-2-3_20240101.parquet", "p/9b3a-0_1-2-3_20240101.parquet")
    assert len(names(tmp_path)) == 2
    touch(tmp_path, "p/.8f3a-0_20240101.log.1_0-1-2")
    with pytest.raises(NcauditError, match=r"Hudi table whose changes are in .*8f3a-0_20240101.log.1_0-1-2"):
        names(tmp_path)
    touch(tmp_path, "p/8f3a-0_1-2-3_20240202.parquet")
    with pytest.raises(NcauditError, match=r"Hudi table with several versions of .*8f3a-0"):
        names(tmp_path)

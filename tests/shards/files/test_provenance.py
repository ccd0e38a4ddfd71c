"""A finished output is recognised by what it was made from, and by nothing else."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit import version
from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import (
    EarlierOutputs,
    attach,
    describe,
    fingerprint_of_file,
    provenance_at,
    provenance_of,
    read_schema,
)
from ncaudit.shards.files.shard import Shard


def write(path, values, **metadata):
    pq.write_table(pa.table({"x": values}).replace_schema_metadata(metadata), path)


def test_equal_content_has_equal_fingerprints_wherever_it_lies(tmp_path):
    (tmp_path / "a").mkdir()
    write(tmp_path / "a/x.parquet", [1, 2, 3])
    write(tmp_path / "y.parquet", [1, 2, 3])
    write(tmp_path / "z.parquet", [1, 2, 4])
    of = [fingerprint_of_file(str(tmp_path / name)) for name in ("a/x.parquet", "y.parquet", "z.parquet")]
    assert of[0] == of[1] != of[2]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all", b"PAR1\xff\xff\xff\x7fPAR1"])
def test_anything_has_a_fingerprint(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    assert fingerprint_of_file(str(tmp_path / "x")).startswith(f"{len(content)}-")


def test_provenance_is_read_back_beside_other_metadata(tmp_path):
    write(tmp_path / "in.parquet", [1])
    told = describe("score", Shard(str(tmp_path / "in.parquet"), "in.parquet"), options={"k": 1}, fit="f")
    schema = attach(pa.schema([("x", pa.int64())], metadata={"huggingface": "é"}), told)
    pq.write_table(schema.empty_table(), tmp_path / "out.parquet")
    found = read_schema(str(tmp_path / "out.parquet"))
    assert provenance_of(found) == told
    assert found.metadata[b"huggingface"].decode() == "é"
    assert str(tmp_path) not in str(told)


def test_a_table_of_another_tool_has_none(tmp_path):
    write(tmp_path / "in.parquet", [1])
    assert provenance_of(read_schema(str(tmp_path / "in.parquet"))) is None


def table(path, **told):
    pq.write_table(attach(pa.schema([("x", pa.int64())]), told).empty_table(), path)
    return str(path)


def test_finished_means_whole_and_made_from_the_same(tmp_path):
    path, told = table(tmp_path / "out.parquet", verb="score", k=1), []
    earlier = EarlierOutputs(told.append)
    assert earlier.hold(path, {"verb": "score", "k": 1})
    assert not earlier.hold(path, {"verb": "filter", "k": 1})
    assert told == []
    assert not earlier.hold(path, {"verb": "score", "k": 2})
    assert told == [f"{path} was made with other k: it is made again, and so is all that was made like it"]
    assert not earlier.hold(str(tmp_path / "nowhere.parquet"), {"verb": "score", "k": 1})
    whole = (tmp_path / "out.parquet").read_bytes()
    (tmp_path / "out.parquet").write_bytes(whole[: len(whole) // 2])
    assert not earlier.hold(path, {"verb": "score", "k": 1})


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"options": {"seed": 1, "k": 3}}, "--k, --seed"),
        ({"options": {"seed": 2, "k": 2, "keep_share": 0.5}, "fit": "a"}, "--keep-share"),
        ({"options": {"seed": 2, "k": 2}, "source": {"name": "b"}, "fit": "a"}, "input"),
        ({"options": {"seed": 2, "k": 2}, "fit": "a"}, "fit"),
    ],
)
def test_own_work_that_is_done_again_is_told_once_with_the_reason(tmp_path, found, said):
    path, told = table(tmp_path / "out.parquet", verb="score", **found), []
    earlier = EarlierOutputs(told.append)
    for _ in range(2):
        assert not earlier.hold(path, {"verb": "score", "options": {"seed": 2, "k": 2}})
    assert told == [f"{path} was made with other {said}: it is made again, and so is all that was made like it"]


def test_which_version_wrote_it_decides_nothing(tmp_path, monkeypatch):
    write(tmp_path / "in.parquet", [1])
    shard = Shard(str(tmp_path / "in.parquet"), "in.parquet")
    monkeypatch.setattr(version, "__version__", "9.8.7")
    told = describe("score", shard, options={})
    assert told["ncaudit"] == "9.8.7"
    path = table(tmp_path / "out.parquet", **told)
    monkeypatch.undo()
    assert EarlierOutputs(pytest.fail).hold(path, describe("score", shard, options={}))


def test_a_format_of_other_results_is_told_once_and_what_names_none_is_of_the_first(tmp_path, monkeypatch):
    write(tmp_path / "in.parquet", [1])
    shard, notes = Shard(str(tmp_path / "in.parquet"), "in.parquet"), []
    monkeypatch.setitem(version.FORMATS, "score", 1)
    first = describe("score", shard, options={})
    assert "format" not in first
    paths = [table(tmp_path / f"{i}.parquet", **first) for i in range(2)]
    monkeypatch.setitem(version.FORMATS, "score", 3)
    monkeypatch.setitem(version.RESULTS_SINCE, "score", 3)
    third, earlier = describe("score", shard, options={}), EarlierOutputs(notes.append)
    assert third == {**first, "format": 3}
    assert [earlier.hold(path, third) for path in paths] == [False, False]
    assert len(notes) == 1
    assert f"{paths[0]} is in format 1 of score" in notes[0]
    assert earlier.hold(table(tmp_path / "2.parquet", **third), third)


def test_a_format_of_the_same_results_stored_otherwise_is_finished_and_later_ones_are_not(tmp_path, monkeypatch):
    write(tmp_path / "in.parquet", [1])
    shard = Shard(str(tmp_path / "in.parquet"), "in.parquet")
    monkeypatch.setitem(version.FORMATS, "score", 3)
    monkeypatch.setitem(version.RESULTS_SINCE, "score", 2)
    told = describe("score", shard, options={})
    held = {number: table(tmp_path / f"{number}.parquet", **{**told, "format": number}) for number in (1, 2, 3, 4)}
    notes = []
    earlier = EarlierOutputs(notes.append)
    assert [number for number, path in held.items() if earlier.hold(path, told)] == [2, 3]
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("changed", "told"), [({"precision": "float32"}, "--precision"), ({"weight_hash": "b"}, "model")]
)
def test_the_same_model_in_another_precision_is_not_called_another_model(changed, told, tmp_path):
    write(tmp_path / "in.parquet", [1])
    shard, notes = Shard(str(tmp_path / "in.parquet"), "in.parquet"), []
    model = {"weight_hash": "a", "precision": "bfloat16"}
    path = table(tmp_path / "e.parquet", **describe("embed", shard, options={}, model=model))
    wanted = describe("embed", shard, options={}, model={**model, **changed})
    assert not EarlierOutputs(notes.append).hold(path, wanted)
    assert notes == [f"{path} was made with other {told}: it is made again, and so is all that was made like it"]


def test_a_truncated_parquet_is_told_with_its_name(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(BadTable, match=r"cut\.parquet cannot be read as parquet"):
        read_schema(str(tmp_path / "cut.parquet"))


def test_a_table_is_asked_once_where_it_is_from_until_it_changes(tmp_path, monkeypatch):
    path, opened = str(tmp_path / "t.parquet"), []
    read = pq.read_schema
    monkeypatch.setattr(pq, "read_schema", lambda path: opened.append(path) or read(path))
    for model in ("a", "b"):
        pq.write_table(
            pa.table({"x": [1]}).cast(attach(pa.schema({"x": pa.int64()}), {"verb": "embed", "is": model})), path
        )
        told = provenance_at(path)
        told["verb"] = "changed by who asked"
        assert provenance_at(path) == {"verb": "embed", "is": model}
    assert opened == [path, path]

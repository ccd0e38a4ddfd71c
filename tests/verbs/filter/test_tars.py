"""`filter --data TARS`: the kept samples as they were, with what img2dataset and open_clip expect beside them."""

import json
import os
import signal
import sys
import tarfile
import time

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ncaudit
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import FilterOptions
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from tests.verbs.filter.test_filter import files, scores_of
from tests.worlds import processes
from tests.worlds.made import made_in
from tests.worlds.tars import contents, img2dataset, pair, samples, write_tar

LABELS = [0.9, 0.1, 0.8, None, 0.2, 0.7]
RECORD = ".ncaudit.json"
KEPT = [0, 2, 5]


def sidecar(path, rows, first=0):
    """As img2dataset writes it: all downloads in the order in which they ended, those that failed too."""
    keys = [f"{i:09}" for i in range(first, first + rows)]
    table = pa.table(
        {
            "caption": [f"é caption {int(key)}" for key in keys] + ["lost"],
            "key": pa.array([*keys, f"{first + rows:09}"]),
            "status": ["success"] * rows + ["failed_to_download"],
            "error_message": pa.array([None] * rows + ["404"]),
            "width": pa.array([256] * rows + [None], pa.int32()),
        }
    ).take([rows, *reversed(range(rows))])
    pq.write_table(table.replace_schema_metadata({b"mine": b"kept"}), path, row_group_size=2)
    return table


@pytest.fixture
def world(tmp_path):
    """Two tars of six samples, the second with a sidecar, and their score tables."""
    for name, first in (("0", 0), ("1", 6)):
        data = write_tar(tmp_path / f"data/{name}.tar", img2dataset(6, first), mtime=1.5)
        scores_of(
            tmp_path / f"scores/{name}.parquet", LABELS, ids=[f"{i:09}" for i in range(first, first + 6)], data=data
        )
    sidecar(tmp_path / "data/1.parquet", 6, first=6)
    return tmp_path


def run(folder, out="out", **rules):
    places = {"scores": [str(folder / "scores")], "data": [str(folder / "data")], "out": str(folder / out)}
    return ncaudit.filter_pairs(FilterOptions(**places, **{"min_soft_label": 0.5, **rules}))


def test_kept_samples_are_copied_and_counted(world):
    result = run(world, dropped=str(world / "gone"))
    assert (result.rows, result.kept, result.dropped) == (12, 6, 6)
    assert result.reasons == {"image_missing": 2, "min_soft_label": 4}
    names = {f"{stem}{end}" for stem in "01" for end in (".tar", ".parquet", "_stats.json")} | {"sizes.json", RECORD}
    for place, rows in (("out", KEPT), ("gone", [1, 3, 4])):
        assert set(os.listdir(world / place)) == names
        for stem, first in (("0", 0), ("1", 6)):
            assert contents(world / f"{place}/{stem}.tar") == samples(img2dataset(1, first + i) for i in rows)
            stats = json.loads((world / f"{place}/{stem}_stats.json").read_text())
            failed = {"failed_to_download": 0, "failed_to_resize": 0}
            assert stats == {"count": 3, "successes": 3, **failed, "status_dict": {"success": 3}}
        assert json.loads((world / f"{place}/sizes.json").read_text()) == {"0.tar": 3, "1.tar": 3}


def test_the_sidecar_has_the_rows_of_the_inputs_or_else_the_jsons_fields(world):
    run(world, dropped=str(world / "gone"))
    given_rows = pq.read_table(world / "data/1.parquet")
    for place, rows in (("out", [11, 8, 6]), ("gone", [10, 9, 7])):  # the sidecar's order; the failed row is in no tar
        found = pq.read_table(world / f"{place}/1.parquet")
        assert found.schema.metadata[b"mine"] == b"kept"
        ours = ["ncaudit_drop_reason"] if place == "gone" else []
        assert found.drop_columns(ours).equals(given_rows.take([12 - i for i in rows]))
    assert found["ncaudit_drop_reason"].to_pylist() == ["min_soft_label", "image_missing", "min_soft_label"]
    made = pq.read_table(world / "gone/0.parquet")
    assert made["__key__"].to_pylist() == [f"{i:09}" for i in (1, 3, 4)]
    assert made["url"].to_pylist() == [f"http://x/{i}" for i in (1, 3, 4)]
    assert made.schema.names[-1] == "ncaudit_drop_reason"
    assert "image" not in made.schema.names


def test_all_samples_kept_is_the_same_tar(world):
    for name in "01":
        scores_of(world / f"scores/{name}.parquet", [0.9] * 6, data=world / f"data/{name}.tar")
    run(world)
    for name in "01":
        assert (world / f"out/{name}.tar").read_bytes() == (world / f"data/{name}.tar").read_bytes()


def test_no_sample_kept_is_an_empty_tar(world):
    assert run(world, min_soft_label=0.99).kept == 0
    assert contents(world / "out/0.tar") == []
    assert open_shard(Shard.of_file(str(world / "out/0.tar"))).rows == 0
    assert pq.read_table(world / "out/1.parquet").num_rows == 0
    assert json.loads((world / "out/sizes.json").read_text()) == {"0.tar": 0, "1.tar": 0}


def test_what_filter_wrote_can_be_filtered_again(world):
    run(world)
    for name in "01":
        scores_of(world / f"scores/{name}.parquet", [0.9, 0.1, 0.9], data=world / f"out/{name}.tar")
    places = {"scores": [str(world / "scores")], "data": [str(world / "out")], "out": str(world / "again")}
    assert ncaudit.filter_pairs(FilterOptions(**places, min_soft_label=0.5)).kept == 4
    assert pq.read_table(world / "again/1.parquet")["key"].to_pylist() == [f"{i:09}" for i in (11, 6)]


def test_a_key_that_comes_back_has_its_own_row_in_the_sidecar(tmp_path):
    data = write_tar(tmp_path / "data/0.tar", samples([pair("a", b"1"), pair("b", b"2"), pair("a", b"3")]))
    pq.write_table(pa.table({"key": ["b", "a", "a"], "n": [2, 1, 3]}), tmp_path / "data/0.parquet")
    scores_of(tmp_path / "scores/0.parquet", [0.1, 0.9, 0.9], data=data)
    run(tmp_path)
    assert contents(tmp_path / "out/0.tar") == [("b.jpg", b"2"), ("a.jpg", b"3")]
    assert pq.read_table(tmp_path / "out/0.parquet").to_pylist() == [{"key": "b", "n": 2}, {"key": "a", "n": 3}]


@pytest.mark.parametrize("key", [None, "key", "__key__"])
def test_scores_of_other_tools_join_by_the_key(tmp_path, key):
    write_tar(tmp_path / "data/0.tar", img2dataset(6))
    scores_of(tmp_path / "scores/0.parquet", LABELS[::-1], ids=[f"{i:09}" for i in reversed(range(6))])
    assert run(tmp_path, key=key).kept == 3
    assert contents(tmp_path / "out/0.tar") == samples(img2dataset(1, i) for i in KEPT)


def test_tars_behind_an_address_are_filtered_to_this_machine(world):
    run(world)
    memory = fsspec.filesystem("memory")
    for path in (world / "data").iterdir():
        memory.pipe(f"/filtered/{path.name}", path.read_bytes())
    places = {"scores": [str(world / "scores")], "data": ["memory://filtered"], "out": str(world / "afar")}
    assert ncaudit.filter_pairs(FilterOptions(**places, min_soft_label=0.5)).kept == 6
    for name in ("0.tar", "1.tar"):
        assert (world / "afar" / name).read_bytes() == (world / "out" / name).read_bytes()


def test_a_gzip_stays_one_and_its_bytes_depend_on_the_samples_alone(tmp_path, monkeypatch):
    data = write_tar(tmp_path / "data/0.tar.gz", img2dataset(6), mode="w:gz")
    scores_of(tmp_path / "scores/0.parquet", LABELS, data=data)
    run(tmp_path)
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 3600)  # a gzip's header has room for its time
    run(tmp_path, "twice")
    assert contents(tmp_path / "out/0.tar.gz") == samples(img2dataset(1, i) for i in KEPT)
    assert made_in(tmp_path / "out") == made_in(tmp_path / "twice")
    assert json.loads((tmp_path / "out/sizes.json").read_text()) == {"0.tar.gz": 3}


def test_keys_stay_as_they_are_whatever_they_look_like(tmp_path):
    keys = ["../../etc/passwd", "/abs", "a b", "é" * 60, "long/" * 30 + "x"]
    data = write_tar(tmp_path / "data/0.tar", samples(pair(key, b"", key) for key in keys))
    scores_of(tmp_path / "scores/0.parquet", [0.9] * len(keys), data=data)
    run(tmp_path)
    assert (tmp_path / "out/0.tar").read_bytes() == data.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["data", "out", "scores"]
    assert pq.read_table(tmp_path / "out/0.parquet")["__key__"].to_pylist() == keys


def test_a_rerun_does_only_what_is_missing_and_gives_the_same_bytes(world):
    run(world, dropped=str(world / "gone"))
    whole = {place: files(world / place) for place in ("out", "gone")}
    assert run(world, dropped=str(world / "gone")).shards_resumed == 2
    for lost in ("out/0.tar", "gone/0.parquet", "out/0_stats.json", "out/sizes.json"):
        os.remove(world / lost)
        again = run(world, dropped=str(world / "gone"))
        assert (again.shards_resumed, again.kept) == (2 if "sizes" in lost else 1, 6)
        assert {place: files(world / place) for place in ("out", "gone")} == whole


def test_a_tar_of_other_rules_is_never_taken_for_finished(world, monkeypatch):
    run(world)
    whole = files(world / "out")
    # killed behind the tar
    monkeypatch.setattr("ncaudit.shards.rewriting.kept_samples._write_stats", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(world, min_soft_label=0.85)
    monkeypatch.undo()
    assert run(world).shards_resumed == 1
    assert files(world / "out") == whole


KILLED = """
import json, os, signal, sys
import ncaudit
left, replace = int(sys.argv[2]), os.replace
def last(*paths):
    global left
    if not left and not paths[1].endswith(".ncaudit.json"):
        os.kill(os.getpid(), signal.SIGKILL)
    left -= not paths[1].endswith(".ncaudit.json")
    replace(*paths)
os.replace = last
ncaudit.filter_pairs(ncaudit.FilterOptions(**json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize("names", [0, 1, 6])  # files that got their name: none; a tar; all but sizes.json
def test_a_run_killed_between_two_files_is_finished_by_the_next(world, names):
    run(world)
    options = {"scores": [str(world / "scores")], "data": [str(world / "data")], "out": str(world / "killed")}
    command = [sys.executable, "-c", KILLED, json.dumps({**options, "min_soft_label": 0.5}), str(names)]
    assert processes.run(command, check=False).returncode == -signal.SIGKILL
    assert run(world, "killed").shards_resumed == names // 3
    assert made_in(world / "killed") == made_in(world / "out")


def test_another_sidecar_redoes_the_shard(world):
    run(world)
    pq.write_table(pq.read_table(world / "data/1.parquet").drop_columns(["width"]), world / "data/1.parquet")
    assert run(world).shards_resumed == 1
    assert "width" not in pq.read_schema(world / "out/1.parquet").names


def test_a_sidecar_of_another_tar_is_told_and_nothing_is_written(world):
    sidecar(world / "data/1.parquet", 4, first=6)
    result = run(world)
    (error,) = result.shard_errors
    assert f"1.parquet has no row for '{11:09}', which is in " in error.message
    assert sorted(os.listdir(world / "out")) == [RECORD, "0.parquet", "0.tar", "0_stats.json", "_failed", "sizes.json"]


@pytest.mark.parametrize("place", ["data", "scores"])
def test_inputs_are_never_written_over(world, place):
    before = files(world)
    with pytest.raises(NcauditError, match="written over"):
        run(world, out=place)
    assert files(world) == before


def test_an_output_inside_the_dataset_is_no_input_of_the_next_run(world):
    assert [run(world, out="data/clean").shards_resumed for _ in range(2)] == [0, 2]
    os.remove(world / "data/clean/0.parquet")
    assert run(world, out="data/clean").shards_resumed == 1  # the record says whose the tar is
    os.remove(world / "data/clean/0.parquet")
    os.remove(world / "data/clean" / RECORD)
    with pytest.raises(NcauditError, match=r"clean.0\.tar is an input and would be written over"):
        run(world, out="data/clean")


def test_a_reason_column_that_is_already_there_is_refused(world):
    run(world, dropped=str(world / "gone"))
    scores_of(world / "s/0.parquet", [0.9] * 3, data=world / "gone/0.tar")
    places = {"scores": [str(world / "s")], "data": [str(world / "gone/0.tar")], "out": str(world / "o")}
    with pytest.raises(BadTable, match="already has a column ncaudit_drop_reason"):
        ncaudit.filter_pairs(FilterOptions(**places, dropped=str(world / "d"), min_soft_label=0.5))


def test_a_cut_tar_fails_alone(world):
    path = world / "data/0.tar"
    path.write_bytes(path.read_bytes()[:9_000])
    result = run(world)
    assert [failure.shard for failure in result.shard_errors] == ["0.tar"]
    assert "was made from another file" in result.shard_errors[0].message
    assert not (world / "out/0.tar").exists()
    assert json.loads((world / "out/sizes.json").read_text()) == {"1.tar": 3}


FIELDS = st.dictionaries(st.sampled_from(["n", "é", "caption"]), st.none() | st.integers(0, 9) | st.text(max_size=4))


ROW = st.tuples(
    st.sampled_from(["a", "b", "é"]), st.binary(max_size=600), st.none() | st.text(max_size=9), FIELDS, st.booleans()
)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(ROW, max_size=8),
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    mtime=st.sampled_from([0, 1.5]),
    long=st.booleans(),
)
def test_kept_and_dropped_together_are_all_that_came_in(tmp_path_factory, rows, format, mtime, long):
    """Keys repeat, unless side by side, where webdataset could not tell the samples apart."""
    folder = tmp_path_factory.mktemp("round")
    prefix = "long/" * 40 if long else ""
    rows = [row for i, row in enumerate(rows) if not i or rows[i - 1][0] != row[0]]
    parts = [pair(f"{prefix}{key}", image, text, whole=1, **fields) for key, image, text, fields, _ in rows]
    data = write_tar(folder / "data/0.tar", samples(parts), mtime=mtime)
    scores_of(folder / "scores/0.parquet", [0.9 if row[-1] else 0.1 for row in rows], data=data)
    result = run(folder, dropped=str(folder / "gone"))
    assert (result.rows, result.kept) == (len(rows), sum(row[-1] for row in rows))
    for place, mine in (("out", True), ("gone", False)):
        expected = [part for part, row in zip(parts, rows, strict=True) if row[-1] is mine]
        assert contents(folder / f"{place}/0.tar") == samples(expected)
        table = pq.read_table(folder / f"{place}/0.parquet")
        assert table["__key__"].to_pylist() == [part[0][0].removesuffix(".jpg") for part in expected]
        assert json.loads((folder / f"{place}/sizes.json").read_text()) == {"0.tar": len(expected)}

"""What `status` finds in a folder of eight shards after all that may have become of them."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit.errors import NcauditError
from tests.worlds.commands import run
from tests.worlds.embeddings import embedding_table

SHARDS, ROWS, FAILED = 4, 30, 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Scores of four shards, with three failed rows each."""
    root = tmp_path_factory.mktemp("status")
    (root / "emb").mkdir()
    for n in range(SHARDS):
        pq.write_table(embedding_table(ROWS, failed=FAILED, seed=n), root / f"emb/{n}.parquet")
    ncaudit.score(str(root / "emb"), out=str(root / "scores"), scorer="clip-score", check=False, device="cpu")
    return root


@pytest.fixture
def scores(whole, tmp_path):
    return shutil.copytree(whole / "scores", tmp_path / "scores")


def test_a_finished_folder_is_complete(scores):
    found = ncaudit.status(scores, verify=True)
    assert (found.complete, found.shards, found.finished) == (True, SHARDS, SHARDS)
    assert (found.rows, found.rows_finished, found.rows_failed) == (SHARDS * ROWS, SHARDS * ROWS, SHARDS * FAILED)
    assert run("status", scores).exit_code == 0


def test_a_table_that_is_not_there_is_missing(scores):
    (scores / "2.parquet").unlink()
    found = ncaudit.status(scores)
    assert (found.complete, found.missing, found.rows_finished) == (False, ("2.parquet",), (SHARDS - 1) * ROWS)
    told = run("status", scores)
    assert told.exit_code == 3
    assert "3 of 4 shards finished" in told.output


def test_a_table_that_was_cut_is_damaged(scores):
    path = scores / "1.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    found = ncaudit.status(scores)
    assert ([one.shard for one in found.damaged], found.finished) == (["1.parquet"], SHARDS - 1)


def test_a_flipped_byte_is_found_by_reading(scores):
    path = scores / "3.parquet"
    bytes_ = bytearray(path.read_bytes())
    bytes_[200] ^= 0xFF
    path.write_bytes(bytes_)
    assert ncaudit.status(scores).complete
    found = ncaudit.status(scores, verify=True)
    assert [one.shard for one in found.damaged] == ["3.parquet"]
    assert run("status", scores, "--verify").exit_code == 3


def test_somebody_elses_table_is_foreign_and_told_with_its_rows(scores):
    pq.write_table(embedding_table(7), scores / "mine.parquet")
    found = ncaudit.status(scores)
    assert (found.complete, found.foreign, found.foreign_rows) == (True, ("mine.parquet",), 7)


def test_somebody_elses_table_in_the_place_of_ours_is_a_missing_one(scores):
    pq.write_table(embedding_table(ROWS), scores / "0.parquet")
    assert ncaudit.status(scores).missing == ("0.parquet",)


def test_a_shard_that_failed_is_told_with_its_reason_until_it_is_done(whole, tmp_path):
    emb, out = shutil.copytree(whole / "emb", tmp_path / "emb"), tmp_path / "kept"
    scores = shutil.copytree(whole / "scores", tmp_path / "scores")
    page = (scores / "1.parquet").read_bytes()
    (scores / "1.parquet").write_bytes(_flipped(page))
    assert run("filter", scores, "--where", "score > 0", "--out", out).exit_code == 3
    found = ncaudit.status(out)
    assert ([one.shard for one in found.failed], found.missing) == (["1.parquet"], ())
    (scores / "1.parquet").write_bytes(page)
    assert run("filter", scores, "--where", "score > 0", "--out", out).exit_code == 0
    assert ncaudit.status(out).complete
    assert not (out / "_failed").exists()
    assert emb.exists()


def _flipped(page: bytes) -> bytes:
    """With every byte before the footer another one: the footer is whole, the pages are not."""
    footer = len(page) - 8 - int.from_bytes(page[-8:-4], "little")
    return page[:4] + bytes(byte ^ 0xFF for byte in page[4:footer]) + page[footer:]


def test_a_record_of_an_earlier_version_tells_by_its_files(scores):
    path = scores / ".ncaudit.json"
    record = json.loads(path.read_text())
    del record["shards"]
    path.write_text(json.dumps(record))
    found = ncaudit.status(scores)
    assert (found.shards, found.complete, found.rows) == (SHARDS, True, None)


def test_a_folder_of_somebody_else_is_refused(tmp_path, whole):
    with pytest.raises(NcauditError, match="no record"):
        ncaudit.status(tmp_path)
    with pytest.raises(NcauditError, match="does not exist"):
        ncaudit.status(tmp_path / "nothing")
    with pytest.raises(NcauditError) as told:
        ncaudit.status(whole)
    assert str(whole / "scores") in told.value.fix
    assert run("status", tmp_path).exit_code == 1

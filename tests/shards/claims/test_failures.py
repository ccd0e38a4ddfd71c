from ncaudit.shards.claims.failures import failures_in, keep_failures

BAD = {"shard": "A/1.tar", "message": "A/1.tar is empty", "fix": "fetch it again"}


def test_a_failure_is_told_until_the_shard_is_done(tmp_path):
    out = str(tmp_path)
    keep_failures(out, ["A/1.parquet", "2.parquet"], {"A/1.parquet": BAD})
    assert failures_in(out) == {"A/1.parquet": BAD}
    keep_failures(out, ["A/1.parquet"], {})
    assert failures_in(out) == {}
    assert list(tmp_path.iterdir()) == []


def test_what_another_part_has_failed_in_stays(tmp_path):
    keep_failures(str(tmp_path), ["1.parquet"], {"1.parquet": BAD})
    keep_failures(str(tmp_path), ["2.parquet"], {})
    assert set(failures_in(str(tmp_path))) == {"1.parquet"}


def test_a_failure_that_cannot_be_read_is_one_still(tmp_path):
    keep_failures(str(tmp_path), ["1.parquet"], {"1.parquet": BAD})
    (tmp_path / "_failed/1.parquet.json").write_bytes(b"{")
    assert "damaged" in failures_in(str(tmp_path))["1.parquet"]["message"]

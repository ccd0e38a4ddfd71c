"""Rows in = rows ok + rows failed, whatever happens to a shard."""

import pytest

from ncaudit.engines.local import ShardRows, run_shards
from ncaudit.errors import NcauditError
from ncaudit.shards.files.shard import Shard

SHARDS = [Shard(f"/data/{i}.parquet", f"{i}.parquet") for i in range(3)]


def work(shard):
    if shard.name == "1.parquet":
        raise NcauditError("1.parquet is damaged", fix="fetch it again")
    return ShardRows({"ok": 8, "caption_missing": 2}, resumed=shard.name == "2.parquet")


def refuse(shard):
    raise NcauditError(f"{shard.name} has no caption column", fix="name it with --caption-column")


def test_counts_add_up_over_shards():
    accounts = run_shards(SHARDS, work)
    assert (accounts.rows, accounts.ok, accounts.failed) == (20, 16, 4)
    assert (accounts.shards, accounts.shards_resumed) == (3, 1)


def test_a_bad_shard_does_not_stop_the_others_but_is_told():
    accounts = run_shards(SHARDS, work)
    assert [(error.shard, error.fix) for error in accounts.shard_errors] == [("1.parquet", "fetch it again")]
    assert accounts.too_many_failed(1.0)


def test_when_no_shard_can_be_done_the_first_error_ends_the_command():
    with pytest.raises(NcauditError, match=r"0\.parquet has no caption column"):
        run_shards(SHARDS, refuse)


def test_the_failed_share_is_compared_with_what_the_user_allows():
    accounts = run_shards(SHARDS[:1], work)
    assert not accounts.too_many_failed(0.2)
    assert accounts.too_many_failed(0.19)

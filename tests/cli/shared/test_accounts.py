"""The words that several commands share."""

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.shared.accounts import accounting, counted_shards, each, noted
from ncaudit.engines.local import Accounting, ShardError


def test_accounts_for_people_add_up_and_name_each_failure():
    accounts = Accounting(2, 1, (ShardError("b", "b is damaged", "fetch it"),), {"ok": 1000, "image_missing": 1})
    assert plain(accounting(accounts)) == [
        "1,001 rows = 1,000 ok + 1 failed (2 shards, 1 finished earlier)",
        "  image_missing: 1",
        "failed shard: b is damaged",
        "  fix: fetch it",
    ]


def test_a_status_that_no_row_has_is_not_told():
    assert len(accounting(Accounting(1, 0, (), {"ok": 1, "image_missing": 0}))) == 1


def test_one_shard_is_no_shards():
    assert [counted_shards(n) for n in (0, 1, 2_000)] == ["0 shards", "1 shard", "2,000 shards"]


def test_counts_are_in_the_order_of_their_words():
    assert plain(each({"noisy": 1_000, "clean": 2})) == ["  clean: 2", "  noisy: 1,000"]


def test_notes_are_called_so():
    assert plain(noted(["a", "b"])) == ["note: a", "note: b"]

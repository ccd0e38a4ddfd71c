"""Data goes out as it is; words never alter or are altered by a user's text."""

import json
import math
from dataclasses import dataclass
from itertools import count

import pytest

from ncaudit.cli.shared import output
from ncaudit.engines.local import Accounting, ShardError
from ncaudit.errors import NcauditError


def test_an_error_is_two_lines(capsys):
    output.error(NcauditError("a.parquet has no\ncaption [/red] column", fix="name it"))
    assert capsys.readouterr().err == "ncaudit: a.parquet has no caption [/red] column\n  fix: name it\n"


def test_brackets_in_a_users_text_are_data(capsys):
    output.say("[red]not markup[/i]")
    output.table("[b]title", ["[x]"], [["[/i]"]])
    said = capsys.readouterr()
    assert said.err == "[red]not markup[/i]\n"
    assert "[b]title" in said.out
    assert "[/i]" in said.out


def test_a_caption_cannot_steer_the_terminal():
    assert output.shown("\x1b[2Ja\rb\u202egpj\x9b") == "\\x1b[2Ja\\rb\\u202egpj\\x9b"
    assert output.shown("日本\u3000語 é 👍") == "日本\u3000語 é 👍"
    assert output.shown(1000 * "ab", limit=10) == "ababababa…"


def test_a_file_name_that_is_no_text_can_still_be_reported(capsys):
    output.say("bad\udcff.parquet")
    assert "bad\\udcff.parquet" in capsys.readouterr().err


def test_json_has_no_nan_and_accounts_say_what_failed(capsys):
    @dataclass
    class Result:
        auroc: float
        accounting: Accounting

    accounts = Accounting(2, 0, (ShardError("b", "bad", "fetch"),), {"ok": 3, "image_missing": 1})
    output.result(Result(math.nan, accounts), [], as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["auroc"] is None
    assert (told["accounting"]["rows"], told["accounting"]["failed"]) == (4, 1)


def test_accounts_for_people_add_up_and_name_each_failure():
    accounts = Accounting(2, 1, (ShardError("b", "b is damaged", "fetch it"),), {"ok": 1000, "image_missing": 1})
    assert output.accounting(accounts) == [
        "1,001 rows = 1,000 ok + 1 failed (2 shards, 1 finished earlier)",
        "  image_missing: 1",
        "failed shard: b is damaged",
        "  fix: fetch it",
    ]
    assert output.exit_code(accounts, 1.0) == 3


@pytest.mark.parametrize(("allowed", "code"), [(1.0, 0), (0.0, 3)])
def test_the_exit_code_follows_the_failed_share(allowed, code):
    assert output.exit_code(Accounting(1, 0, (), {"ok": 9, "image_missing": 1}), allowed) == code


def test_plain_lines_tell_the_speed_the_time_left_and_the_works_own_figures(capsys, monkeypatch):
    clock = count(0, 20)  # every look at it is 20 s later
    monkeypatch.setattr(output, "monotonic", lambda: next(clock))
    lines = output.Lines()
    lines.stage("epoch 1 of 2", 1000, "pairs")
    lines.status("loss 1.250, R@1 40.0/38.5")
    lines.advance(200)
    lines.advance(200, 3)
    lines.stage("read", None)
    lines.advance(100)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1 of 2: 1,000 pairs",
        "epoch 1 of 2: 200/1,000 pairs, 10/s, 0:01:20 left, loss 1.250, R@1 40.0/38.5",
        "epoch 1 of 2: 400/1,000 pairs, 10/s, 0:01:00 left, 3 failed, loss 1.250, R@1 40.0/38.5",
        "read: ? rows",
        "read: 100/? rows, 5/s",
    ]

"""A result as JSON: every field by its name, and nothing that JSON does not know."""

import json
import math
from dataclasses import dataclass
from typing import Any

import pytest

from ncaudit.cli.shared.as_json import json_object, plain
from ncaudit.engines.local import Accounting, ShardError
from ncaudit.options import Loss


@dataclass
class Result:
    value: Any


def test_accounts_say_what_failed_and_their_sums():
    accounts = Accounting(2, 0, (ShardError("b", "bad", "fetch"),), {"ok": 3, "image_missing": 1})
    told = plain(Result(accounts))["value"]
    assert (told["rows"], told["ok"], told["failed"]) == (4, 3, 1)
    assert told["shard_errors"] == [{"shard": "b", "message": "bad", "fix": "fetch"}]
    assert told["statuses"] == {"ok": 3, "image_missing": 1}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (math.nan, None),
        (-math.inf, None),
        (Loss.ranking, "ranking"),
        ((1, Result(2)), [1, {"value": 2}]),
        ({Loss.ranking: (math.nan,), 3: "é"}, {"ranking": [None], "3": "é"}),
    ],
)
def test_what_json_does_not_know_is_told_as_what_it_does(value, told):
    assert json.loads(json_object(Result(value))) == {"value": told}


def test_text_stays_readable():
    assert json_object({"caption": "日本語"}) == '{"caption": "日本語"}'

"""The words of `scorers`: a line for each."""

from typing import Any

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import scorers


def lines(result: Any) -> list[str]:
    return plain(scorers.lines(result))


def test_names_stand_in_one_column():
    assert lines({"csls": "one", "clip-score": "other"}) == ["csls        one", "clip-score  other"]

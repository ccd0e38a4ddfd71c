"""The words of `scorers`: a line for each."""

from ncaudit.cli.words.scorers import lines


def test_names_stand_in_one_column():
    assert lines({"csls": "one", "clip-score": "other"}) == ["csls        one", "clip-score  other"]

"""`ncaudit scorers`: what there is to choose from."""

import json

from typer.testing import CliRunner

from ncaudit import scorers
from ncaudit.cli import app


def test_every_scorer_is_listed_with_one_line():
    ran = CliRunner().invoke(app.app, ["scorers"])
    assert ran.exit_code == 0
    assert [line.split()[0] for line in ran.stdout.splitlines()] == scorers.names()
    assert all(len(line.split()) > 4 for line in ran.stdout.splitlines())


def test_json_names_every_scorer_once():
    told = json.loads(CliRunner().invoke(app.app, ["scorers", "--json"]).stdout)
    assert list(told) == scorers.names()
    assert all(told.values())

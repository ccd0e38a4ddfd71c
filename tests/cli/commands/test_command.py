"""What every command does before its own work."""

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli.app import app
from tests.worlds import stores
from tests.worlds.embeddings import embedding_table

PLAIN = ("--scorer", "clip-score", "--no-check", "--device", "cpu")


@pytest.mark.parametrize(("out", "is_told"), [("memory://gone/scores", True), ("here", False)])
def test_what_no_later_command_can_find_is_told(tmp_path, monkeypatch, out, is_told):
    monkeypatch.chdir(tmp_path)
    pq.write_table(embedding_table(60), "e.parquet")
    ran = CliRunner().invoke(app, ["score", "e.parquet", "--out", out, *PLAIN])
    assert ran.exit_code == 0, ran.output
    assert ("gone when it ends" in ran.output) == is_told
    assert bool(stores.in_memory("gone/scores")) or not is_told

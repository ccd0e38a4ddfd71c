"""`--max-row-bytes` is there, and holds, wherever a command reads files that others have written."""

import shlex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ncaudit.cli.app import app
from tests.worlds.commands import run

ROWS, DIMS, LONG = 60, 8, 5_000
LONG_LINE = 5 << 20  # rows of CSV are held to the limit where they are longer than a block of them
ASIDE = {"demo", "scorers", "config", "help", "status"}  # they read no files, or those of ours alone
LARGER = "(--max-row-bytes)"


@pytest.fixture
def files(tmp_path):
    """Tables of others, each with one cell of 5,000 bytes where a command reads it."""
    ids = [f"p{number}" for number in range(ROWS)]
    long = ["x" * LONG, *["a"] * (ROWS - 1)]
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(np.random.default_rng(0).normal(size=ROWS * DIMS).astype(np.float32)), DIMS
    )
    label = pa.array(np.linspace(0, 1, ROWS).astype(np.float32))
    embedded = {"pair_id": ids, "image_embedding": vectors, "text_embedding": vectors, "caption": long}
    scored = {"pair_id": ids, "status": ["ok"] * ROWS, "score": label, "soft_label": label, "caption": long}
    written = {
        "emb": {**embedded, "class": ["x" * LONG, "b", *["c", "d"] * (ROWS // 2 - 1)]},
        "plain": {**embedded, "caption": ids},
        "scores": scored,
        "plain_scores": {**scored, "caption": ids},
        "other": {"pair_id": ids, "more": long},
        "truth": {"pair_id": ids, "is_match": ["yes", "no"] * (ROWS // 2 - 1) + ["x" * LONG, "no"]},
    }
    for name, columns in written.items():
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    (tmp_path / "truth.csv").write_text("pair_id,is_match,note\np1,yes," + "x" * LONG_LINE + "\np2,no,\n")
    (tmp_path / "truth.jsonl").write_text('{"pair_id": "p1", "is_match": "yes", "note": "' + "x" * LONG + '"}\n')
    return tmp_path


READS = {
    "score": "score emb.parquet --out o",
    "score --join": "score plain.parquet --join other.parquet --join-key pair_id --out o",
    "score --verdicts": "score plain.parquet --verdicts truth.csv --out o",
    "score --verdicts of JSON lines": "score plain.parquet --verdicts truth.jsonl --out o",
    "filter": 'filter scores.parquet --where "caption is not null" --out o',
    "filter --as": "filter scores.parquet --keep-share .5 --as ids --key caption --out o.txt",
    "sample": "sample scores.parquet --n 10 --out o.csv",
    "labels": "labels emb.parquet --label-column class --out o",
    "bench": "bench emb.parquet --pairs 50 --seeds 1 --rates .2 --kinds random --scorers clip-score",
    "eval retrieval": "eval retrieval emb.parquet --label-column class",
    "eval scores": "eval scores plain_scores.parquet --truth is_match --truth-table truth.csv",
    "train": "train --tune heads --embeddings emb.parquet --objective nirnl --label-column class --epochs 1 --out o",
}


@pytest.mark.parametrize("words", READS.values(), ids=READS)
def test_a_cell_beyond_the_limit_is_refused_by_whatever_reads_it(files, monkeypatch, words):
    monkeypatch.chdir(files)
    longest = LONG_LINE if "truth.csv" in words else LONG
    ran = run(*shlex.split(words), "--max-row-bytes", longest // 4)
    assert (ran.exit_code, LARGER in ran.output) == (1, True), ran.output
    again = run(*shlex.split(words), "--max-row-bytes", 2 * longest)
    assert LARGER not in again.output


def _flags(group):
    """The flags of every command, those of a group's commands included."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {inner}", flags) for inner, flags in _flags(command))
        else:
            yield name, {flag for parameter in command.params for flag in parameter.opts}


def test_every_command_that_reads_files_has_the_flag():
    assert {name for name, flags in _flags(get_command(app)) if "--max-row-bytes" not in flags} == ASIDE


@pytest.mark.parametrize("command", ["score", "filter", "labels", "sample", "bench", "eval retrieval", "eval scores"])
def test_a_limit_that_nothing_fits_is_a_usage_error_everywhere(files, monkeypatch, command):
    monkeypatch.chdir(files)
    ran = CliRunner().invoke(app, [*shlex.split(READS[command]), "--max-row-bytes", "100"])
    assert (ran.exit_code, "--max-row-bytes is 100" in ran.stderr) == (2, True), ran.output

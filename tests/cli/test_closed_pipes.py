"""`score … | head -1` ends quietly with 141, whatever the format: real pipes, one process. filter: its own tests."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds import processes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")]

# runs each command with its standard output in a pipe whose reader takes ten bytes and leaves; torch is loaded once
READ_TEN = """
import json, os, sys, threading
from ncaudit.cli.app import app

def take(end):
    os.read(end, 10)
    os.close(end)

told = os.dup(1)
codes = []
for words in json.loads(sys.argv[1]):
    out, into = os.pipe()
    os.dup2(into, 1)
    os.close(into)
    reader = threading.Thread(target=take, args=(out,))
    reader.start()
    try:
        app(["-q", *words], prog_name="ncaudit")
    except SystemExit as end:
        codes.append(end.code)
    reader.join()
os.write(told, json.dumps(codes).encode())
"""


def test_a_reader_that_leaves_ends_every_stream_quietly(write_embeddings):
    folder = write_embeddings(n=300, dims=8)
    path = folder / "00000.parquet"
    table = pq.read_table(path)
    ids = pa.array([f"{i} " + 1_000 * "long " for i in range(300)])  # more than any pipe holds
    pq.write_table(table.set_column(0, "pair_id", ids), path)
    score = ["score", str(folder), "--scorer", "clip-score", "--no-check", "--out", "-"]
    forms = [["--format", form] for form in ("arrow", "jsonl", "csv")]
    commands = [[*score, *form] for form in [*forms, [*forms[-1], "--csv-safe"]]]
    ran = processes.run([sys.executable, "-c", READ_TEN, json.dumps(commands)], capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert json.loads(ran.stdout) == [141] * len(commands)

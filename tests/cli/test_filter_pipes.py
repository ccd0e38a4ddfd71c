"""`ncaudit filter` as real processes: in pipes, without torch, killed and run again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.schema import SCORE
from tests.worlds import processes
from tests.worlds.made import made_in

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes and signals")]

LONG = 300 * "p"
COMMAND = [sys.executable, "-m", "ncaudit", "-q"]


def scores_in(path: Path, rows: int, first: int = 0, payload: int = 0, prefix: str = "p") -> Path:
    known = {
        "pair_id": [f"{prefix}{i}" for i in range(first, first + rows)],
        "status": ["image_missing" if i % 10 == 3 else "ok" for i in range(rows)],
        "soft_label": [None if i % 10 == 3 else (i * 37 % 100) / 100 for i in range(rows)],
        "score": [None if i % 10 == 3 else float(i * 37 % 100) for i in range(rows)],
    }
    arrays = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(rows, f.type) for f in SCORE]
    table = pa.Table.from_arrays(arrays, schema=SCORE).append_column("raw", pa.array([os.urandom(payload)] * rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table if payload else table.drop_columns("raw"), path, use_dictionary=False)
    return path


def piped(*commands, given=None):
    """Standard output of the last command, and the exit codes of all."""
    running = []
    for words in commands:
        source = running[-1].stdout if running else subprocess.PIPE
        running.append(processes.Popen([*COMMAND, *map(str, words)], stdin=source, stdout=subprocess.PIPE))
        if len(running) > 1:
            source.close()  # this process must not hold the pipe open
    if given is not None:
        running[0].stdin.write(given)
    running[0].stdin.close()
    told = running[-1].stdout.read()
    return told, [process.wait() for process in running]


@pytest.mark.parametrize("kind", ["arrow", "jsonl"])
def test_scores_go_through_a_pipe_unharmed(tmp_path, kind):
    path = scores_in(tmp_path / "s.parquet", 500)
    first = ("filter", path, "--where", "soft_label >= 0", "--out", "-", "--format", kind)
    told, codes = piped(first, ("filter", "-", "--keep-share", ".5", "--out", "-", "--format", "arrow"))
    assert codes == [0, 0]
    table, whole = pa.ipc.open_stream(told).read_all(), pq.read_table(path)
    assert table.schema.equals(whole.schema)
    ok = [row for row in whole.to_pylist() if row["status"] == "ok"]
    best = sorted(ok, key=lambda row: (-row["score"], row["pair_id"]))[:225]
    assert sorted(table.to_pylist(), key=str) == sorted(best, key=str)


def test_what_score_streams_can_be_filtered_and_a_reader_that_leaves_ends_both(write_embeddings):
    folder = write_embeddings("00000", n=300, dims=8, failed=5)
    table = pq.read_table(folder / "00000.parquet")
    captions = pa.array([f"{i} {100 * LONG}" for i in range(300)])  # more than any pipe holds
    pq.write_table(
        table.set_column(table.schema.get_field_index("caption"), "caption", captions), folder / "00000.parquet"
    )
    commands = [
        ("score", folder, "--out", "-", "--no-check", "--format", "jsonl"),
        ("filter", "-", "--min-soft-label", "0", "--out", "-", "--format", "jsonl"),
    ]
    running = []
    for words in commands:
        source = running[-1].stdout if running else None
        running.append(
            processes.Popen([*COMMAND, *map(str, words)], stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )
    running[0].stdout.close()
    row = json.loads(running[1].stdout.readline())
    assert 0 <= row["soft_label"] <= 1
    running[1].stdout.close()
    assert [process.wait() for process in running] == [141, 141]
    assert [process.stderr.read() for process in running] == [b"", b""]


def test_from_images_to_kept_pairs_in_one_line_is_as_by_files(tmp_path):
    from ncaudit import EmbedOptions, FilterOptions, ScoreOptions, embed, filter_pairs, score  # torch: not for all here

    sample = Path(__file__).parents[2] / "sample_data"
    pq.write_table(pq.read_table(sample / "train.parquet").slice(0, 80), tmp_path / "data.parquet")
    model = ("--model", sample / "tiny-clip", "--device", "cpu", "--precision", "float32", "--workers", "0")
    told, codes = piped(
        ("embed", tmp_path / "data.parquet", *model, "--out", "-"),
        ("score", "-", "--scorer", "clip-score", "--no-check", "--out", "-"),
        ("filter", "-", "--min-soft-label", ".5", "--out", "-"),
    )
    assert codes == [0, 0, 0]
    folders = [str(tmp_path / name) for name in ("data.parquet", "e", "s", "k")]
    asked = {"model": str(model[1]), "device": "cpu", "precision": "float32", "workers": 0}
    embed(EmbedOptions(sources=folders[:1], out=folders[1], **asked))
    score(ScoreOptions(embeddings=[folders[1]], out=folders[2], scorer="clip-score", check=False))
    filter_pairs(FilterOptions(scores=[folders[2]], out=folders[3], min_soft_label=0.5))
    kept, streamed = pq.read_table(tmp_path / "k/data.parquet"), pa.ipc.open_stream(told).read_all()
    assert 0 < len(kept) < 80
    assert streamed.schema.equals(kept.schema)
    assert streamed.to_pylist() == kept.to_pylist()


@pytest.mark.parametrize("form", [("--format", "arrow"), ("--format", "csv"), ("--as", "ids")])
def test_head_ends_it_quietly(tmp_path, form):
    path = scores_in(tmp_path / "s.parquet", 30_000, prefix=LONG)  # more than any pipe holds
    words = [*COMMAND, "filter", str(path), "--min-soft-label", "0", "--out", "-", *form]
    raw = {**os.environ, "PYTHONUNBUFFERED": "1"}  # then a write that is cut short does not raise by itself
    running = processes.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=raw)
    assert running.stdout.read(10)
    running.stdout.close()
    assert running.wait() == 141
    assert running.stderr.read() == b""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"", "standard input is empty"),
        (b"PAR1....", "neither an Arrow stream nor JSON lines"),
        (b'{"pair_id": "a", "status": "ok"}\n{"pair_id":', "line 2 is no JSON"),
        (b'{"pair_id": "a"}\n', "no column status"),
    ],
)
def test_a_stream_that_is_none_is_told_in_two_lines(given, told):
    words = [*COMMAND, "filter", "-", "--min-soft-label", "0", "--out", "-"]
    ran = processes.run(words, input=given, capture_output=True)
    assert ran.returncode == 1
    assert told in ran.stderr.decode()
    assert len(ran.stderr.splitlines()) == 2


def test_json_counts_every_row_and_no_torch_is_loaded(tmp_path):
    path = scores_in(tmp_path / "s.parquet", 100)
    words = ["filter", str(path), "--min-soft-label", ".5", "--out", str(tmp_path / "k"), "--json"]
    code = (
        "import sys\nfrom ncaudit.cli.app import app\n"
        "try:\n    app(sys.argv[1:], prog_name='ncaudit')\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code, "-q", *words], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["rows"], found["kept"], found["dropped"]) == (100, 45, 55)
    assert found["reasons"] == {"image_missing": 10, "min_soft_label": 45}


def test_a_killed_run_resumes_to_the_same_bytes(tmp_path):
    for shard in range(4):
        scores_in(tmp_path / f"s/{shard}.parquet", 2_000, 2_000 * shard, payload=5_000)

    def command(out):
        places = ["--out", str(tmp_path / out / "k"), "--dropped", str(tmp_path / out / "d")]
        return [*COMMAND, "filter", str(tmp_path / "s"), "--keep-share", ".5", *places]

    assert subprocess.run(command("whole")).returncode == 0
    whole = made_in(tmp_path / "whole")
    assert len(whole) == 8 + 2  # the records
    killed = 0
    for number, moment in enumerate(["k/.0.parquet.*.partial", "d/.1.parquet.*.partial", "k/2.parquet"]):
        running = processes.Popen(command(str(number)))
        while not list((tmp_path / str(number)).glob(moment)) and running.poll() is None:
            time.sleep(0.0005)
        running.send_signal(signal.SIGKILL)
        killed += running.wait() == -signal.SIGKILL
        assert processes.run(command(str(number))).returncode == 0
        assert made_in(tmp_path / str(number)) == whole
    assert killed >= 2  # the others may have been quicker than the eye

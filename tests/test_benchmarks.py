"""The scripts behind the figures run: with tiny sizes here, so that none of them rots unseen."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "benchmarks"


def ran(script: str, *words: str) -> str:
    """What it prints; it must end well."""
    place = {**os.environ, "PYTHONPATH": str(SCRIPTS.parents[1])}
    command = [sys.executable, str(SCRIPTS / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=place, timeout=1_200, check=False)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
    return done.stdout


@pytest.mark.slow
def test_the_gpu_script_measures_and_compares_all_without_a_gpu(tmp_path):
    report = tmp_path / "report.json"
    printed = ran("gpu.py", "--device", "cpu", "--tiny", "--json", str(report), "--work", str(tmp_path))
    found = json.loads(report.read_text())
    assert list(found["skipped"]) == ["memory_runs_out"], found["skipped"]
    assert {"float16 TFLOP/s", "to the device GB/s"} < set(found["peaks"])
    shares = {figure["what"]: figure["share"] for figure in found["figures"]}
    assert {"embed the sample's", "score, apply", "labels of 400 pairs", "train towers, float32"} <= {
        name.replace("bfloat16", "float32") for name in shares
    }
    assert found["equal"]["embed the sample's"]["lowest cosine to the CPU's float32"] > 0.999
    assert found["equal"]["score"] == {"largest difference of score": 0, "largest difference of soft_label": 0}
    assert found["equal"]["train heads"] == {"largest difference of a weight": 0}
    assert found["equal"]["embed --devices"]["same bytes"]
    assert "skipped: memory_runs_out: only a GPU" in printed


def test_without_a_gpu_the_gpu_script_says_why_it_skips():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert ran("gpu.py").startswith("skipped: this machine or this torch has no CUDA device")


@pytest.mark.slow
def test_the_table_goes_on_where_it_stopped(tmp_path):
    if not (SCRIPTS.parents[1] / ".git").exists():
        pytest.skip("no git checkout to make a worktree of")
    state = tmp_path / "state.jsonl"
    asked = ("--light", "--before", "HEAD", "--only", "look", "--work", str(tmp_path))
    words = ("table.py", "--state", str(state), *asked)
    assert ran(*words, "--repeats", "1").count("round 1") == 2
    lines = state.read_text().splitlines()
    state.write_text(lines[0] + "\n" + lines[1][:40])  # ended as the last line was written
    printed = ran(*words, "--repeats", "2")
    assert [line for line in printed.splitlines() if "round" in line and "look" in line] != []
    assert printed.count(", round 1:") == 1
    assert printed.count(", round 2:") == 2
    row = printed.splitlines()[-1]
    assert row.startswith("| the exact look at 26 candidates each, 512 queries | ")
    assert "–" not in row
    assert ran(*words, "--repeats", "2").startswith("before: ")  # nothing is left to measure


@pytest.mark.slow
def test_light_figures_are_printed_and_what_cannot_be_measured_is_told(tmp_path):
    report = tmp_path / "report.json"
    ran("run.py", "--light", "--only", "look", "apply", "--json", str(report), "--work", str(tmp_path))
    found = json.loads(report.read_text())
    assert found["failed"] == {}
    assert [figure["unit"] for figure in found["figures"]] == ["s", "rows/s"]
    assert all(0 < figure["share"] for figure in found["figures"])


@pytest.mark.slow
def test_the_training_by_class_is_measured_with_and_without_classes():
    printed = ran("label_training.py", "--worlds", "digits", "--rates", "0.4", "--seeds", "1", "--rows", "nirnl", "cmp")
    assert "digits: MAP % on clean pairs, 1 seeds" in printed
    assert "best at 0.4: nirnl" in printed

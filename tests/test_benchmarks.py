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

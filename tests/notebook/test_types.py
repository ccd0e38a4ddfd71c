"""What an editor and a type checker know of `import ncaudit`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.make_stub import STUB, stub

RIGHT = '''
from pathlib import Path
import ncaudit
import numpy as np

made = ncaudit.embed(Path("data"), out="embeddings", model="local-dir:tiny", precision="float32", progress=True)
rows: int = made.accounting.ok
scored = ncaudit.score("embeddings", out=Path("scores"), check=False, variant="paper", columns=["width", "lang"])
rate: float | None = scored.noise_rate
again = ncaudit.score(ncaudit.ScoreOptions(embeddings=["embeddings"], out="scores"))
kept = ncaudit.filter_pairs(["a", "b"], out="kept", verdict="clean", min_soft_label=0.5)
labels = ncaudit.soft_labels(np.zeros((3, 4)), np.zeros((3, 4)), scorer="csls")
pairs: int = len(labels)
try:
    ncaudit.train(out="model", data="data", scores="scores", objective="infonce")
except ncaudit.NcauditError as error:
    text: str = error.fix
'''
WRONG = [
    'ncaudit.score("embeddings", out="scores", chek=False)',
    'ncaudit.score("embeddings", out="scores", variant="papre")',
    'ncaudit.score("embeddings")',
    'ncaudit.filter_pairs("scores", out="kept", min_soft_label="a half")',
    'ncaudit.embed("data", out="e").noise_rate',
]


@pytest.fixture
def here(tmp_path) -> Path:
    """A user's folder: what is right, and what a checker must find."""
    (tmp_path / "right.py").write_text(RIGHT)
    for number, line in enumerate(WRONG):
        (tmp_path / f"wrong_{number}.py").write_text(f"import ncaudit\n{line}\n")
    return tmp_path


def test_the_stub_is_what_its_script_writes():
    assert STUB.read_text(encoding="utf-8") == stub(), "run: python docs/make_stub.py"


@pytest.mark.slow
def test_mypy_knows_the_verbs(here):
    said = checked(here, "mypy", "--strict", "--no-error-summary", "--cache-dir", str(here / "cache"))
    assert "right.py" not in said, said
    assert all(f"wrong_{number}.py" in said for number in range(len(WRONG))), said


@pytest.mark.slow
def test_pyright_knows_the_verbs(here):
    pytest.importorskip("pyright", reason="pyright is not installed")
    said = checked(here, "pyright", "--pythonpath", sys.executable)
    if "error: " not in said:
        pytest.skip(f"pyright could not be fetched: {said[-200:]}")
    assert "right.py:" not in said, said
    assert all(f"wrong_{number}.py:" in said for number in range(len(WRONG))), said


def checked(here: Path, *words: str) -> str:
    files = sorted(path.name for path in here.glob("*.py"))
    kept = {**os.environ, "PYRIGHT_PYTHON_CACHE_DIR": f"{sys.prefix}/pyright"}  # what it fetches stays beside it
    ran = subprocess.run(
        [sys.executable, "-m", *words, *files], cwd=here, env=kept, capture_output=True, text=True, check=False
    )
    return ran.stdout + ran.stderr

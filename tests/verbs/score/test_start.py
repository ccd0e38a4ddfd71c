"""What scoring does not load before it is needed. How long it takes: tests/benchmarks/start.py."""

import subprocess
import sys

from ncaudit import ScoreOptions, score

# seconds each, or a good part of one; scipy's own parts are loaded where a fit of many pairs needs them
HEAVY = {"scipy", "sklearn", "pandas", "matplotlib", "open_clip", "torchvision", "PIL", "transformers", "tensorboard"}
WITH_A_FIT = """
import sys
from ncaudit import ScoreOptions, score
score(ScoreOptions(embeddings=[{0!r}], out={1!r}, device="cpu"))
"""
FROM_A_FIT = """
import sys
from ncaudit import ScoreOptions, score
score(ScoreOptions(embeddings=[{0!r}], scorer="bicro", fit={1!r}, out={2!r}, device="cpu"))
"""


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh process has loaded after this code."""
    told = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(ran.stdout.split())


PARTS = ("posterior", "folds", "same_photo")
IMPORTS = "\n".join(
    [
        *(f"import ncaudit.scoring.{part}" for part in PARTS),
        "import sys; assert not {'scipy', 'sklearn'} & {*sys.modules}, 'parts of scorers'",
        "import ncaudit.verbs.score.score",
    ]
)


def test_parts_of_scorers_load_no_scipy_and_importing_score_loads_torch_and_none_of_the_heavy_ones():
    modules = loaded(IMPORTS)
    assert "torch" in modules
    assert not modules & HEAVY


def test_applying_a_saved_fit_loads_neither_scipy_nor_scikit_learn(write_embeddings, tmp_path):
    tables, fit, out = str(write_embeddings()), str(tmp_path / "fit"), str(tmp_path / "out")
    first = ScoreOptions(embeddings=[tables], check=False, save_fit=fit, out=str(tmp_path / "first"), device="cpu")
    score(first)
    assert not loaded(FROM_A_FIT.format(tables, fit, out)) & {"scipy", "sklearn"}


def test_a_few_pairs_are_fitted_and_checked_without_scipy_and_scikit_learn(write_embeddings, tmp_path):
    tables = str(write_embeddings(n=100))
    assert not loaded(WITH_A_FIT.format(tables, str(tmp_path / "out"))) & {"scipy", "sklearn", "matplotlib"}

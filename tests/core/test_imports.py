"""The core stays a drawing of itself: tensors in, tensors out."""

import ast
from pathlib import Path

import pytest

import ncaudit.core

MODULES = sorted(Path(ncaudit.core.__file__).parent.rglob("*.py"))
ALLOWED = {
    *("torch", "numpy", "collections", "dataclasses", "functools", "math", "statistics", "time", "typing", "warnings"),
    *("contextlib", "threading"),
}
MORE = {"clusters": {"faiss"}, "parallel": {"concurrent", "itertools", "threadpoolctl"}}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_core_imports_tensors_and_our_errors_only(path):
    ours = {name for name in imported(path) if name.startswith(("ncaudit", "."))}
    others = {name.split(".")[0] for name in imported(path) - ours}
    assert all(name == "ncaudit.errors" or name.startswith("ncaudit.core.") for name in ours), ours
    assert others <= ALLOWED | MORE.get(path.stem, set())

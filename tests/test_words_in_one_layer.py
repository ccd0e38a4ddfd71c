"""Results are data below `cli/`; what people read is made there, and one module there prints."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ncaudit"
PRINTER = "cli/shared/output.py"
# Where a line is one of a user's file, or of an index: nothing that is told.
LINES_OF_FILES = {
    "own_json.py",
    "shards/readers/text/json_lines.py",
    "shards/readers/text/records.py",
    "shards/streams/standard_input.py",
}
DRAWS_AND_PARSES = {"rich", "typer"}
STREAMS = {"stdout", "stderr"}
SOURCES = {str(path.relative_to(PACKAGE)): path for path in sorted(PACKAGE.rglob("*.py"))}
BELOW = [name for name in SOURCES if not name.startswith("cli/")]
ABOVE = [name for name in SOURCES if name.startswith("cli/")]


def nodes(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def makes_lines(source: str) -> set[str]:
    """Functions and methods that are called after lines."""
    names = {node.name for node in nodes(source) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return {name for name in names if name == "lines" or name.endswith("_lines")}


def imported(source: str) -> set[str]:
    """The packages that a module imports, inside functions too."""
    found = set()
    for node in nodes(source):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def prints(source: str) -> bool:
    """Whether it calls print, or what `rich` prints with."""
    calls = [node.func for node in nodes(source) if isinstance(node, ast.Call)]
    return any(isinstance(called, ast.Name) and called.id in {"print", "Console"} for called in calls)


def writes(source: str) -> Iterator[str]:
    """The standard streams that are written to as text: `sys.stdout.write`; data in bytes go through their buffer."""
    for node in nodes(source):
        if isinstance(node, ast.Attribute) and node.attr in {"write", "writelines"}:
            owner = node.value
            if isinstance(owner, ast.Attribute) and owner.attr in STREAMS:
                yield owner.attr


@pytest.mark.parametrize("name", BELOW)
def test_below_the_command_line_nothing_makes_words_for_people(name):
    source = SOURCES[name].read_text(encoding="utf-8")
    assert name in LINES_OF_FILES or not makes_lines(source)
    assert not imported(source) & DRAWS_AND_PARSES
    assert not prints(source)
    assert not list(writes(source))


@pytest.mark.parametrize("name", ABOVE)
def test_one_module_prints(name):
    source = SOURCES[name].read_text(encoding="utf-8")
    assert (prints(source) or bool(list(writes(source)))) is (name == PRINTER)


@pytest.mark.parametrize("name", [name for name in ABOVE if name.startswith("cli/words/")])
def test_words_are_made_without_what_prints_draws_and_parses(name):
    source = SOURCES[name].read_text(encoding="utf-8")
    assert not imported(source) & (DRAWS_AND_PARSES | {"sys"})
    assert "ncaudit.cli.shared.output" not in source
    assert "import output" not in source


def test_whatever_would_tell_something_is_found():
    assert makes_lines("class A:\n def lines(self): ...\ndef power_lines(): ...\ndef line(): ...") == {
        "lines",
        "power_lines",
    }
    assert imported("def f():\n import rich.table\n from typer import Exit") == {"rich", "typer"}
    assert prints("print(1)")
    assert prints("Console(file=x).print(1)")
    assert list(writes("import sys\nsys.stderr.write('')\nsys.stdout.buffer.write(b'')")) == ["stderr"]

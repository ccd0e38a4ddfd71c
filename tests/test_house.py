"""The map in `ncaudit/README.md` is true: layers, folders, and the way imports point."""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ncaudit"
# below, for everyone
AT_THE_ROOT = {
    *("schema", "errors", "progress", "hashing", "own_json", "interruption", "version", "counts"),
    *("nearest", "readable", "planned", "budget", "stores"),
}
ABOVE_ALL = {"", "__main__"}  # the package itself, as users see it: nothing inside may ask it for anything
# folders that are a list
MANY_BY_NATURE = {"", "cli", "cli/words", "verbs", "options", "objectives", "objectives/by_class", "scorers"}
MOST_ENTRIES = 14
MAY_RUN_OTHER_VERBS = {"audit", "demo"}
SHARED_BY_VERBS = {"outputs", "planning"}  # files beside them: where any verb's rows go, and what its plan tells


def mapped_folders() -> list[str]:
    """The folders that the map names, in its order, as paths below the package."""
    block = (PACKAGE / "README.md").read_text(encoding="utf-8").split("```")[1]
    found, above = [], []
    for indent, name in re.findall(r"^( *)(\w+)/ ", block, flags=re.MULTILINE):
        above = [*above[: len(indent) // 2], name]
        found.append("/".join(above))
    return found


def modules() -> dict[str, Path]:
    """Every module's dotted name below the package ("" for the package itself), and its file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
LAYERS = [folder for folder in mapped_folders() if "/" not in folder]


@cache
def imports(module: str) -> frozenset[str]:
    """What of ours a module imports, inside functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {below(alias.name) for alias in node.names if is_ours(alias.name)}
        elif isinstance(node, ast.ImportFrom) and is_ours(node.module or ""):
            parent = below(node.module or "")
            names = {f"{parent}.{alias.name}".lstrip(".") for alias in node.names}
            found |= {name if name in MODULES else parent for name in names}
    return frozenset(found - {module})


def is_ours(name: str) -> bool:
    return name == "ncaudit" or name.startswith("ncaudit.")


def below(name: str) -> str:
    return name.removeprefix("ncaudit").removeprefix(".")


def level(module: str) -> int:
    """How far up: 0 at the root's modules, then the layers from the lowest."""
    if module in ABOVE_ALL:
        return len(LAYERS) + 1
    top = module.split(".")[0]
    return 0 if top in AT_THE_ROOT else len(LAYERS) - LAYERS.index(top)


def arrows() -> Iterator[tuple[str, str]]:
    return ((module, other) for module in MODULES for other in imports(module))


def room(module: str) -> str:
    """The folder of a module. Registries (`__init__`), what stands at the root and verbs of one file have their own."""
    folder = module.rpartition(".")[0]
    return f"{module}:" if MODULES[module].name == "__init__.py" or folder in {"", "verbs"} else folder


def in_a_circle(edges: Iterable[tuple[str, str]]) -> set[str]:
    """Whoever can be reached from itself: what is left when those without a way on are taken out, again and again."""
    left = {(a, b) for a, b in edges if a != b}
    while True:
        kept = {(a, b) for a, b in left if b in {start for start, _ in left} and a in {end for _, end in left}}
        if kept == left:
            return {a for a, _ in left}
        left = kept


def test_the_map_names_every_folder_and_no_other():
    folders = {str(path.parent.relative_to(PACKAGE)) for path in MODULES.values()} - {"."}
    assert sorted(mapped_folders()) == sorted(folders)


def test_whatever_stands_at_the_root_is_named():
    at_root = {module for module in MODULES if module and "." not in module and MODULES[module].name != "__init__.py"}
    assert at_root == AT_THE_ROOT | {"__main__"}
    told = (PACKAGE / "README.md").read_text(encoding="utf-8").rpartition("```")[2]
    assert all(f"`{module}`" in told for module in AT_THE_ROOT)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_downwards(module):
    upwards = {other for other in imports(module) if level(other) > level(module)}
    assert not upwards


def test_no_module_and_no_folder_imports_itself_on_a_way_round():
    assert not in_a_circle(arrows())
    assert not in_a_circle((room(a), room(b)) for a, b in arrows())


def test_a_circle_is_found():
    assert in_a_circle([("a", "b"), ("b", "c"), ("c", "b"), ("d", "a")]) == {"b", "c"}
    assert not in_a_circle([("a", "b"), ("b", "c"), ("a", "c")])


def test_no_verb_imports_another():
    def verb(module: str) -> str | None:
        layer, _, rest = module.partition(".")
        return rest.split(".")[0] or None if layer == "verbs" else None

    across = {(a, b) for a, b in arrows() if verb(a) and verb(b) not in {None, verb(a)} | SHARED_BY_VERBS}
    assert {verb(a) for a, _ in across} <= MAY_RUN_OTHER_VERBS, across


def test_no_folder_is_too_full():
    full = {}
    for folder in {path.parent for path in MODULES.values()}:
        entries = {path.relative_to(folder).parts[0] for path in MODULES.values() if folder in path.parents}
        full[str(folder.relative_to(PACKAGE)).replace(".", "")] = len(entries - {"__init__.py"})
    assert {name: count for name, count in full.items() if count > MOST_ENTRIES and name not in MANY_BY_NATURE} == {}


def test_every_file_that_the_walk_names_is_there():
    walk = (PACKAGE / "README.md").read_text(encoding="utf-8").partition("## The walk of a row")[2]
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", walk)
    assert len(named) > 10
    assert [name for name in named if not (PACKAGE / name).exists() and name != "data/"] == []

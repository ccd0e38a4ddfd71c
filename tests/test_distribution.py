"""What a stranger installs: the wheel and the source archive, built from this tree and tried outside it."""

import ast
import email
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
import yaml

from ncaudit.version import __version__

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# imported only where another library has already brought it, or by whoever installs the extra that needs it
BROUGHT_ALONG = {"markupsafe", "transformers", "tensorboard", "torchvision", "huggingface_hub", "s3fs", "gcsfs"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the source archive."""
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("the source tree is not here")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", str(out), str(ROOT))
    return out


@pytest.fixture(scope="module")
def wheel(built) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def metadata(wheel) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory) -> Path:
    """The `bin` of a fresh environment that has ncaudit from the wheel, and the libraries that it needs."""
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel))
    site = Path(told(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # a folder that a .pth names has its own .pth files left unread: the source tree is not found through it
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def run(*words: str, cwd: Path | None = None) -> str:
    ran = subprocess.run(words, capture_output=True, text=True, cwd=cwd, check=False)
    assert ran.returncode == 0, (words, ran.stdout[-2000:], ran.stderr[-2000:])
    return ran.stdout


def told(python: Path, *words: str, cwd: Path | None = None) -> str:
    return run(str(python), "-I", *words, cwd=cwd)


@pytest.mark.slow
def test_both_archives_pass_the_strict_check(built):
    archives = sorted(str(path) for path in built.iterdir())
    assert len(archives) == 2
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *archives)
    assert said.count("PASSED") == 2


@pytest.mark.slow
def test_the_wheel_runs_the_demo_outside_the_source_tree(elsewhere, tmp_path):
    home = told(elsewhere / "python", "-c", "import ncaudit; print(ncaudit.__file__)", cwd=tmp_path)
    assert Path(home.strip()).is_relative_to(elsewhere.parent)
    said = run(str(elsewhere / "ncaudit"), "demo", "--fast", "--out", "sample", cwd=tmp_path)
    assert "report.html" in said
    assert (tmp_path / "sample" / "report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_the_wheel_is_typed_and_holds_the_sample_but_no_tests(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"ncaudit/py.typed", "ncaudit/sample_data/train.parquet", "ncaudit/verbs/report/page/page.html"} <= names
    assert {name.split("/")[0] for name in names} == {"ncaudit", f"ncaudit-{__version__}.dist-info"}


@pytest.mark.slow
def test_the_source_archive_is_enough_to_test_it(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    wanted = {"README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CITATION.cff", "Makefile"}
    assert wanted | {".ci/run", "tests/conftest.py", "docs/python.md", "sample_data/make.py"} <= names


@pytest.mark.slow
def test_the_metadata_tell_where_it_runs_and_what_it_stands_on(metadata):
    assert (metadata["Name"], metadata["Version"], metadata["Requires-Python"]) == ("ncaudit", __version__, ">=3.11")
    versions = [one.rpartition(" ")[-1] for one in metadata.get_all("Classifier") if re.search(r":: 3\.\d+$", one)]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert all(link.partition(", ")[2].startswith("https://") for link in metadata.get_all("Project-URL"))
    assert "arxiv.org/abs/2303.12419" in str(metadata.get_all("Project-URL"))


def test_whatever_is_imported_is_asked_for():
    extras = [one for name, more in PROJECT["optional-dependencies"].items() if name != "dev" for one in more]
    every = [*PROJECT["dependencies"], *extras]
    asked = {re.split(r"[\s><=\[;]", one)[0].lower().replace("_", "-") for one in every}
    known = importlib.metadata.packages_distributions()
    missing = {
        name
        for name in set(imported()) - set(sys.stdlib_module_names) - BROUGHT_ALONG - {"ncaudit"}
        if not asked & {one.lower().replace("_", "-") for one in known.get(name, [])}
    }
    assert not missing


def imported() -> Iterator[str]:
    """The first word of everything that the package imports."""
    for path in (ROOT / "ncaudit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from (one.name.split(".")[0] for one in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def test_the_citation_names_this_version_and_both_papers():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["cff-version"], cited["version"], cited["license"]) == ("1.2.0", __version__, PROJECT["license"])
    urls = {one["url"] for one in cited["references"]}
    assert urls == {"https://arxiv.org/abs/2303.12419", "https://arxiv.org/abs/2512.24064"}
    assert all(one["authors"] and one["title"] and one["year"] for one in cited["references"])


def test_contributing_takes_ten_lines():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) <= 10

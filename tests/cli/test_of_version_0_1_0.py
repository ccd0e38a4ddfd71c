"""What version 0.1.0 wrote is read, and counts as finished: see tests/fixtures/0.1.0."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ncaudit import version
from ncaudit.cli.app import app
from ncaudit.shards.files.provenance import provenance_of, read_schema
from ncaudit.verbs.embed import model_here
from tests.worlds.sample import SAMPLE

OF_0_1_0 = Path(__file__).parents[1] / "fixtures/0.1.0"
LINES = [line for line in (OF_0_1_0 / "README.md").read_text("utf-8").splitlines() if line.startswith("ncaudit ")]
EMBED = "--device cpu --precision float32 --workers 0"
READ = [
    "inspect embeddings",
    "inspect scores",
    "inspect labels",
    "inspect few-classes",
    "inspect few-partitions",
    "inspect tars-kept",
    "inspect scores/_fit",
    "inspect heads",
    "inspect towers",
    f"embed data --out new --model towers {EMBED}",
    f"embed data --out new --model heads --pretrained small-clip {EMBED}",
    "score embeddings --out new --scorer csls --no-check --device cpu",
    "score tar-embeddings --out new --fit scores/_fit --device cpu",
    "score few-embeddings --out new --scorer clip-score --model heads --device cpu",
    "score few-partitions --out new --scorer clip-score --device cpu",
    "score embeddings --data data --out new --fit scores/_fit --device cpu",
    "labels few-classes --out new --label-column kind --device cpu",
    "filter scores --out new --verdict clean --verdict unsure",
    "filter scores --out new --data data --min-soft-label 0.5",
    "filter kept --out new --keep-share 0.5",
    "sample scores --out new.csv --n 10",
    "eval scores scores --against similarity",
    "eval retrieval embeddings --device cpu",
    "eval retrieval few-embeddings --model heads --device cpu",
    "corrupt data --out new --rate 0.2 --kind topic --clusters 4 --embeddings embeddings",
    f"train --data data --scores scores --model towers --out new --epochs 1 --batch-pairs 16 {EMBED}",
    "train --tune heads --embeddings embeddings --scores scores --val-share 0.2 --out new --epochs 1 --batch-pairs 16",
]


OTHER = 9


def of_other_results(monkeypatch, verb):
    """From now on the verb's results are others than any before."""
    monkeypatch.setitem(version.FORMATS, verb, OTHER)
    monkeypatch.setitem(version.RESULTS_SINCE, verb, OTHER)


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A copy of all that is there, which is where commands run."""
    shutil.copytree(OF_0_1_0, tmp_path / "all")
    os.symlink(SAMPLE / "tiny-clip", tmp_path / "all/tiny-clip")
    monkeypatch.chdir(tmp_path / "all")
    return tmp_path / "all"


def ran(line: str, *more: str, code: int = 0):
    done = CliRunner().invoke(app, [*shlex.split(line.removeprefix("ncaudit ")), *more])
    assert done.exit_code == code, done.output
    return done


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def out_of(line: str) -> str:
    words = shlex.split(line)
    return words[words.index("--out") + 1]


def format_told(path: Path) -> int | None:
    return (provenance_of(read_schema(str(path))) or {}).get("format")


def test_all_of_it_is_small():
    assert sum(map(len, contents(OF_0_1_0).values())) < 300_000


@pytest.mark.parametrize("now", [version.__version__, "9.8.7"])
def test_every_command_finds_its_work_done_whatever_version_runs_it(there, now, monkeypatch):
    monkeypatch.setattr(version, "__version__", now)
    before = contents(there)
    for line in LINES:
        told = json.loads(ran(line, "--json").stdout)
        if line.startswith("ncaudit train"):
            assert told["finished_earlier"], line
        else:
            accounts = told.get("accounting", told)
            assert accounts["shards_resumed"] == accounts["shards"] > 0, line
    after = contents(there)
    # which rate the rows have that the fit never saw was not kept then
    kept = {name for name in after.keys() - before.keys() if name.startswith("tar-scores/")}
    assert kept == {"tar-scores/.ncaudit.json", "tar-scores/_fit/rates.json"}
    assert {name: after[name] for name in after.keys() - kept} == before


@pytest.mark.parametrize("line", READ)
def test_every_verb_reads_it(there, line):
    before = contents(there)
    ran(line)
    assert {name: after for name, after in contents(there).items() if name in before} == before


@pytest.mark.parametrize("line", [line for line in LINES if not line.startswith("ncaudit train")])
def test_of_another_format_it_is_told_and_done_again(there, line, monkeypatch):
    verb, out = line.split()[1], there / out_of(line)
    of_other_results(monkeypatch, verb)
    if " --fit " in line:  # a fit of another format is refused: it is made again first
        ran(next(other for other in LINES if "--out scores" in other))
    told = ran(line)
    assert told.stderr.count(f"is in format 1 of {verb}, of ncaudit 0.1.0") == 1
    tables = [path for path in out.rglob("*.parquet") if path.parent.name != "_fit"]
    assert [format_told(path) for path in tables] == [OTHER] * len(tables)
    assert "is in format" not in ran(line).stderr


def test_a_run_record_of_another_format_is_not_gone_by(there, monkeypatch):
    of_other_results(monkeypatch, "embed")
    monkeypatch.setattr(model_here, "automatic_batch_pairs", lambda encoder: 7)
    ran(LINES[0].replace(" --batch-pairs 16", ""))
    record = json.loads((there / "embeddings/_run.json").read_text("utf-8"))
    assert (record["format"], record["batch_pairs"]) == (OTHER, 7)


def test_an_audit_of_another_format_is_made_anew(there, monkeypatch):
    of_other_results(monkeypatch, "labels")
    ran(next(line for line in LINES if line.startswith("ncaudit labels")))
    assert json.loads((there / "labels/audit.json").read_text("utf-8"))["format"] == OTHER


def test_a_fit_of_another_format_is_made_anew_and_refused_where_it_was_asked_for(there, monkeypatch):
    of_other_results(monkeypatch, "score")
    told = ran("score tar-embeddings --out new --fit scores/_fit --device cpu", code=1)
    assert "the fit in scores/_fit is in format 1" in told.stderr
    ran("score embeddings --out scores --no-check --device cpu")
    assert json.loads((there / "scores/_fit/fit.json").read_text("utf-8"))["format"] == OTHER


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("ncaudit train")])
def test_a_training_run_of_another_format_is_kept_until_it_is_discarded(there, line, monkeypatch):
    of_other_results(monkeypatch, "train")
    assert "holds another run, which differs in: format" in ran(line, code=1).stderr
    ran(line, "--restart")
    assert json.loads(ran(line, "--json").stdout)["finished_earlier"]


def test_a_saved_fit_is_not_written_again_by_another_version(there, monkeypatch):
    monkeypatch.setattr(version, "__version__", "9.8.7")
    before = contents(there / "scores/_fit")
    ran("score embeddings --out new --fit scores/_fit --save-fit scores/_fit --device cpu")
    assert contents(there / "scores/_fit") == before

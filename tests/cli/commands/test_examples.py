"""The examples in a command's help run as they stand; only models and sizes are small ones where a line names none."""

import shlex
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer

from ncaudit.cli.app import app
from ncaudit.cli.commands.help import examples_of
from tests.docs.world import COLOURS, fill_in
from tests.shell import peekable, run_line
from tests.worlds.sample import SAMPLE, TINY

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
PAIRS = 256
EMBED = {"--model": TINY, "--device": "cpu", "--precision": "float32", "--workers": "0", "--batch-pairs": "32"}
SMALL = {
    "audit": {**EMBED, "--no-check": None},
    "embed": EMBED,
    "score": {"--device": "cpu", "--no-check": None},
    "labels": {"--device": "cpu"},
    "bench": {"--kinds": "random", "--seeds": "1"},
    "train": {"--device": "cpu", "--epochs": "1", "--batch-pairs": "32"},
}
MODELS = {"ViT-L-14": TINY}
TOWERS = {"--model": TINY, "--precision": "float32", "--workers": "0"}


def every_example():
    def walk(name, command):
        for example in examples_of(command):
            yield pytest.param(example.line, id=f"{name} {example.what}".strip())
        for word, below in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {word}".strip(), below)

    return list(walk("", typer.main.get_command(app)))


EXAMPLES = every_example()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder that has all that the examples start from."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing.make_input_stream", peekable)
        patch.chdir(folder)
        (folder / "data").mkdir()
        rows = pq.read_table(SAMPLE / "train.parquet").drop_columns(["noise_type"]).slice(0, PAIRS)
        classes = [next((word for word in COLOURS if word in told), "other") for told in rows["caption"].to_pylist()]
        rows = rows.append_column("class", pa.array(classes))
        pq.write_table(rows.append_column("input_similarity", rows["truth"]), folder / "data/00000.parquet")
        run_line("ncaudit embed data/ --out embeddings", SMALL)
        run_line("ncaudit score embeddings/ --out scores", SMALL)
        run_line("ncaudit sample scores/ --n 40 --out review.csv", SMALL)
        fill_in("review.csv")
        yield folder


def without_output(words):
    """What the line would write is not there yet, if it is no input of the same line."""
    if "--out" in words:
        out = words[words.index("--out") + 1]
        assert f"{out}/" not in words, "an example that writes over what it reads"
        shutil.rmtree(out) if Path(out).is_dir() else Path(out).unlink(missing_ok=True)


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_of_the_help_runs(line, world, tmp_path, monkeypatch):
    shutil.copytree(world, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    words = shlex.split(line)
    without_output(words)
    if words[1] == "corrupt":  # it refuses captions that are told to be swapped already
        plain = pq.read_table("data/00000.parquet").drop_columns(["is_match"])
        pq.write_table(plain, "data/00000.parquet")
    if words[1] == "demo":
        monkeypatch.setattr("ncaudit.verbs.demo.demo", lambda *_: pytest.skip("its own test runs it"))
    flags = {**SMALL, "train": {**SMALL["train"], **TOWERS}} if "--data" in words else SMALL
    run_line(line, flags, MODELS)
    if "--out" in words and "-" not in words and words[1] != "config":
        assert (tmp_path / "here" / words[words.index("--out") + 1]).exists()


def test_every_command_has_two_or_three_examples():
    def walk(name, command):
        if not hasattr(command, "commands"):
            yield name, len(examples_of(command))
        for word, below in getattr(command, "commands", {}).items():
            yield from walk(word, below)

    assert all(2 <= count <= 3 or name == "help" for name, count in walk("", typer.main.get_command(app)))

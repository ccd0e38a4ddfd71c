"""Whatever names, columns, keys, captions and options hold, a terminal only shows it: every command is asked."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.cli.layout.vocabulary import Table
from ncaudit.cli.shared import output
from tests.worlds import processes
from tests.worlds.commands import MODEL
from tests.worlds.sample import SAMPLE

pytestmark = pytest.mark.slow

# sets the clipboard, clears the screen, turns the line round, hides, deletes, C1's own escape, a line of another kind
EVIL = "\x1b]52;c;RVZJTA==\x07\x1b[2J\u202e\u200b\x7f\x9b31m\u2028[red]\n"
IN_A_NAME = EVIL.replace("\n", "")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A dataset whose every word is hostile, with a damaged shard; its embeddings and scores."""
    root = tmp_path_factory.mktemp("hostile")
    rows = pq.read_table(SAMPLE / "train.parquet").slice(0, 120)
    columns = {
        "key": [f"k{i}{EVIL}" for i in range(120)],
        "jpg": rows["jpg"],
        "caption": [f"{caption}{EVIL}" for caption in rows["caption"].to_pylist()],
        f"cls{EVIL}": [f"c{i % 3}{EVIL}" for i in range(120)],
        f"truth{EVIL}": [i % 2 == 0 for i in range(120)],
        f"prior{EVIL}": [float(i % 7) for i in range(120)],
    }
    data = root / f"data{IN_A_NAME}"
    data.mkdir()
    pq.write_table(pa.table(columns), data / f"a{EVIL}.parquet")
    (data / f"b{EVIL}.parquet").write_bytes(b"PAR1 nothing")
    emb, scores = root / f"emb{IN_A_NAME}", root / f"sc{IN_A_NAME}"
    assert said("embed", data, "--out", emb, *MODEL)[0] == 3
    assert said("score", emb, "--out", scores, "--scorer", "clip-score")[0] == 0
    return {"ROOT": root, "DATA": data, "EMB": emb, "SC": scores, "EVIL": EVIL}


def said(*words):
    ran = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(ran.exception, (SystemExit, type(None))), ran.exception
    return ran.exit_code, ran.stdout, ran.stderr


def is_harmless(text):
    return all(c.isprintable() or c == "\n" for c in text)


COMMANDS = [
    "inspect DATA", "inspect EMB", "inspect SC", "inspect DATA --json", "inspect EMB --json", "inspect ROOT",
    "inspect DATA --key EVIL", "inspect DATA --caption-column EVIL", "inspect EVIL",
    "embed DATA --out OUT", "embed DATA --out OUT --key EVIL", "embed DATA --out OUT --columns EVIL",
    "embed DATA --out OUT --model EVIL", "embed DATA --out OUT --image-column EVIL --json", "embed EVIL --out OUT",
    "score EMB --out OUT", "score EMB --out OUT --json", "score EMB --out OUT --scorer EVIL",
    "score EMB --out OUT --data DATA", "score EMB --out OUT --verdicts EVIL", "score EVIL --out OUT",
    "labels EMB --out OUT --label-column clsEVIL", "labels EMB --out OUT --label-column EVIL",
    "labels EMB --out OUT --label-column clsEVIL --json",
    "filter SC --out OUT --keep-share .5", "filter SC --out OUT --where EVIL", "filter SC --out OUT --where EVIL=1",
    "filter SC --out OUT --keep-share .5 --keep-share-by EVIL", "filter SC --data DATA --out OUT --min-soft-label 0",
    "filter SC --out OUT --keep-share .5 --as ids --key EVIL", "filter EVIL --out OUT --keep-share .5",
    "sample SC --out OUT.csv --n 10", "sample SC --out EVIL --n 10", "sample EVIL --out OUT.csv",
    "show SC", "show SC --against similarity --json", "show SC --data DATA --images OUT", "show EVIL",
    "show SC --data DATA --key EVIL", "show SC --data EVIL", "audit DATA --out OUT --scorer clip-score",
    "audit DATA --out OUT --label-column clsEVIL --scorer clip-score", "audit DATA --out OUT --label-column EVIL",
    "corrupt DATA --out OUT --rate .2", "corrupt DATA --out OUT --rate .2 --caption-column EVIL",
    "corrupt DATA --out OUT --rate .2 --kind label-symmetric --label-column clsEVIL",
    "bench EMB --seeds 1 --pairs 100 --rates .2 --kinds random --scorers clip-score",
    "bench EMB --scorers EVIL", "bench EMB --kinds EVIL", "bench EVIL",
    "eval retrieval EMB", "eval retrieval EMB --label-column clsEVIL", "eval retrieval EMB --label-column EVIL",
    "eval scores SC --truth truthEVIL", "eval scores SC --truth EVIL", "eval scores SC --against priorEVIL",
    "eval scores SC --against EVIL", "eval scores SC --truth EVIL --truth-table EVIL",
    "train --embeddings EMB --scores SC --tune heads --epochs 1 --batch-pairs 32 --out OUT",
    "train --embeddings EMB --tune heads --objective EVIL --out OUT", "train --embeddings EVIL --tune heads --out OUT",
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_terminal_only_shows_what_a_command_tells(world, tmp_path, command):
    words = []
    for word in command.split():
        out = word.startswith("OUT")
        whole = str(tmp_path / f"o{IN_A_NAME}{word.removeprefix('OUT')}") if out else str(world.get(word, word))
        words.append(whole.replace("EVIL", EVIL) if not out else whole)
    more = MODEL if words[0] in ("audit", "embed") and "--model" not in words else ()
    _, told, words_told = said(*words, *more)
    assert is_harmless(told), told
    assert is_harmless(words_told), words_told
    assert told + words_told


def test_tables_errors_and_notes_are_one_line_each_whatever_they_hold(capsys):
    output.say(f"a{EVIL}b")
    output.result(None, [f"a{EVIL}b", Table(f"t{EVIL}", [EVIL, "n"], [[EVIL, EVIL]])], as_json=False)
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1
    assert len(told.out.splitlines()) == 4
    assert is_harmless(told.out + told.err)


@pytest.mark.skipif(sys.platform == "win32", reason="names with line ends")
def test_words_that_are_not_ours_are_harmless_too(tmp_path):
    for words in (["embed", f"--{IN_A_NAME}"], [IN_A_NAME], ["sample", "s", "--out", "o", "--n", IN_A_NAME]):
        ran = processes.run(
            [sys.executable, "-m", "ncaudit", *words], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert ran.returncode == 2
        assert is_harmless(ran.stderr)
    crash = "from ncaudit.cli.shared import output; output.take_streams(); raise ValueError(" + ascii(EVIL) + ")"
    ran = subprocess.run([sys.executable, "-c", crash], capture_output=True, text=True, check=False)
    assert "Traceback" in ran.stderr
    assert is_harmless(ran.stderr)

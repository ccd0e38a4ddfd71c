"""Words on a real terminal: no line is too long, no word is broken, commands can be pasted; pipes get lines whole.

What is told is the same at every width: only where lines end differs, and how much of a caption is shown.
"""

import json
import re
import subprocess
import sys

import pytest
from rich.cells import cell_len

from tests.worlds import shown
from tests.worlds.datasets import write
from tests.worlds.embeddings import embedding_table
from tests.worlds.terminals import NCAUDIT, watched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals as Linux has them"),
]
SCORE = ("-q", "score", "embeddings", "--out", "scores", "--device", "cpu", "--scorer", "clip-score", "--no-check")
SHOW = ("-q", "show", "known.parquet")  # no torch is loaded for that
CAPTION = "[red]漢字 \U0001f600 a caption of {} words [/i] that goes on and on, and on again as many captions do"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Embeddings and scores of pairs whose captions are long, in other scripts, and no markup."""
    folder = tmp_path_factory.mktemp("words on terminals")
    table = embedding_table(120)
    columns = {name: table[name] for name in table.schema.names}
    columns["caption"] = [CAPTION.format(f"{i:,}") for i in range(120)]
    write(folder / "embeddings/00000.parquet", columns)
    shown.table(folder / "known.parquet", caption=[CAPTION.format(i) for i in range(8)])
    return folder


def piped(words, here):
    ran = subprocess.run([*NCAUDIT, *words], cwd=here, check=True, capture_output=True, text=True)
    assert ran.stderr == ""
    return ran.stdout


def unwrapped(text):
    """The words alone, wherever lines end; without the table of captions, which are shown as far as there is room."""
    lines = [line.removesuffix(" \\") for line in text.splitlines() if "[red]" not in line]
    return " ".join(" ".join(lines).split())


@pytest.fixture(scope="module")
def of_score(here):
    """What a pipe gets of `score`."""
    return piped(SCORE, here)


@pytest.mark.parametrize("columns", [60, 120])
def test_what_a_terminal_shows_of_a_score_is_what_a_pipe_gets(here, of_score, columns):
    seen = watched(SCORE, columns=columns, rows=60, cwd=here)
    assert (seen.code, seen.cursor_visible) == (0, True)
    assert max(map(cell_len, seen.lines)) <= columns
    assert unwrapped(seen.text).removesuffix(", 1 finished earlier)") == unwrapped(of_score).removesuffix(")")
    captions = [line for line in seen.lines if "[red]漢字" in line]
    assert len(captions) == 5
    assert all(line.endswith("…") for line in captions) is (columns == 60)


def test_pipes_get_neither_colours_nor_folded_lines(of_score):
    assert "\x1b" not in of_score
    assert re.search(r"(?m)^clip-score: soft_label = 1 .* under-counted$", of_score)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_longest_words_fit_at_every_width(here, columns):
    seen = watched(SHOW, columns=columns, rows=200, cwd=here)
    assert max(map(cell_len, seen.lines)) <= columns
    assert " ".join(seen.text.split()) == " ".join(piped(SHOW, here).split())


def test_verdicts_have_colours_and_captions_have_none(here):
    lines = watched(SHOW, cwd=here, rows=200).raw.decode().splitlines()
    for word, colour in (("clean", 32), ("unsure", 33), ("noisy", 31)):
        assert any(f"\x1b[{colour}m{word}\x1b[0m" in line for line in lines)
    assert not any("\x1b" in line for line in lines if "[red]" in line)


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colours_gets_none(here, env):
    seen = watched(SHOW, cwd=here, rows=200, env=env)
    assert b"\x1b" not in seen.raw
    assert max(map(cell_len, seen.lines)) <= 80


def test_json_is_one_line_whatever_the_terminal_is(here):
    raw = watched([*SHOW, "--json"], columns=60, cwd=here).raw.decode()
    assert json.loads(raw)["rows"] == 8
    assert raw.count("\n") == 1


def test_a_terminal_may_say_that_it_is_narrower(here):
    seen = watched(SHOW, columns=120, rows=200, cwd=here, env={"COLUMNS": "60"})
    assert 50 < max(map(cell_len, seen.lines)) <= 60


def test_an_error_is_wrapped_below_its_head_and_a_path_stays_whole(here):
    path = f"{'a-long-name-of-a-folder/' * 4}scores.parquet"
    seen = watched(["-q", "show", path], columns=60, rows=40, cwd=here)
    assert seen.code == 1
    assert path in seen.raw.decode().replace("\r\n", "\n")
    fix = next(number for number, line in enumerate(seen.lines) if line.startswith("  fix: "))
    assert all(line.startswith(" " * len("  fix: ")) for line in seen.lines[fix + 1 :])


def test_the_next_command_can_be_pasted_as_it_stands(here):
    deep = "a folder/that has a rather long name"
    shown.table(here / deep / "scores.parquet")
    lines = watched(["-q", "inspect", deep], columns=60, rows=60, cwd=here).raw.decode().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith("next: "))
    end = next(number for number, line in enumerate(lines) if number >= begin and not line.endswith(" \\"))
    pasted = "\n".join(lines[begin : end + 1]).removeprefix("next: ")
    assert " \\\n" in pasted
    read = subprocess.run(["sh", "-c", f"printf '%s\\n' {pasted}"], capture_output=True, text=True, check=True)
    assert read.stdout.splitlines() == [
        *("ncaudit", "filter", deep, "--min-soft-label", "0.5", "--out", "kept/"),
    ]

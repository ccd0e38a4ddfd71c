"""What a user sees of long commands in a terminal while they work: two lines at most, whole at any width."""

import os
import re
import sys

import pyarrow.parquet as pq
import pytest

from tests.worlds.sample import SAMPLE, TINY
from tests.worlds.terminals import opened, watched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals as Linux has them"),
]
EMBED = ["embed", "train.parquet", "--out", "OUT", "--model", TINY, "--workers", "0", "--batch-pairs", "32"]
COMMANDS = {
    "embed": EMBED,
    "score": ["score", "e", "--out", "OUT"],
    "labels": ["labels", "e", "--label-column", "noise_type", "--out", "OUT"],
    "train": [
        *("train", "--data", "train.parquet", "--scores", "s", "--out", "OUT", "--model", TINY, "--workers", "0"),
        *("--epochs", "3", "--batch-pairs", "32"),
    ],
}
AUDIT = ["audit", "train.parquet", "--out", "OUT", "--model", TINY, "--workers", "0"]
CLOCK = r"\d+:\d\d(:\d\d)?"
LEFT = r"(about|~)( ?\d+ (s|min|h))+ left"
FIRST = re.compile(rf"(?P<job>[a-z]+): (?P<stage>.+?)  (({CLOCK})(, {LEFT})?|{LEFT})")
SECOND = re.compile(rf"  ([━╸╺ ]+  )?(\s*[\d,]+/[\d,]+ [a-z ]+)?.*({CLOCK})?.*")
BROKEN = re.compile(r"\d[…]|:…|\?|-:--|\x1b")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A small dataset, embedded and scored."""
    folder = tmp_path_factory.mktemp("here")
    pq.write_table(pq.read_table(SAMPLE / "train.parquet").slice(0, 160), folder / "train.parquet")
    for name, words in (("e", COMMANDS["embed"]), ("s", [*COMMANDS["score"], "--no-check"])):
        assert watched(into(words, name), cwd=folder).code == 0
    return folder


def into(words, out):
    return [out if word == "OUT" else word for word in words]


def live_lines(seen):
    """The rows of a snapshot that are the display: from the job's line on."""
    lines = [line for line in seen.screen if line]
    starts = [place for place, line in enumerate(lines) if FIRST.fullmatch(line)]
    return lines[starts[0] :] if starts else []


def stages(terminal):
    """What the first lines told, one after the other."""
    told = [FIRST.fullmatch(live_lines(seen)[0])["stage"] for seen in terminal.snapshots if live_lines(seen)]
    return list(dict.fromkeys(told))


def check(terminal, columns):
    assert terminal.code == 0, terminal.text
    assert terminal.cursor_visible
    displays = [(seen, live_lines(seen)) for seen in terminal.snapshots if live_lines(seen)]
    assert displays
    for seen, lines in displays:
        assert len(lines) <= 2, seen.text
        assert all(len(line) <= columns - 2 for line in lines)
        assert not any(BROKEN.search(line) for line in lines), seen.text
        assert len(lines) == 1 or SECOND.fullmatch(lines[1]), seen.text
    assert not any("━" in line or FIRST.fullmatch(line) for line in terminal.lines), terminal.text


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_two_lines_at_most_tell_the_job_and_its_stage_and_nothing_is_left(here, name, columns):
    words = into(COMMANDS[name], f"{name}{columns}")
    loading = (name, columns) == ("train", 80)  # the others have what takes time loaded already
    terminal = watched(words, columns=columns, cwd=here, loading=loading)
    check(terminal, columns)
    told = stages(terminal)
    if loading:
        assert told[0] == "starting"
    expected = {
        "embed": ["3 of 3, images and captions"],
        "score": ["3 of 5, power check"],
        "labels": ["2 of 3, judge"],
        "train": ["epoch 1 of 3", "epoch 3 of 3"],
    }
    assert set(expected[name]) <= set(told)


def test_an_audit_tells_its_steps(here):
    terminal = watched(into(AUDIT, "audit"), cwd=here)
    check(terminal, 80)
    assert {"1 of 3, embed: images and captions", "2 of 3, score: power check"} <= set(stages(terminal))


def test_the_first_line_stands_there_before_torch_is_loaded(here, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("import time\n\ntime.sleep(600)\n")  # it never comes
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    with opened(into(COMMANDS["score"], "never"), cwd=here, env={"PYTHONPATH": path}, loading=True) as terminal:
        seen = terminal.until(lambda seen: bool(live_lines(seen)))
    assert live_lines(seen)[0].startswith("score: starting  0:0")


def test_ctrl_c_leaves_two_lines_of_words_and_a_cursor(here):
    with opened(into(EMBED, "cut"), cwd=here) as terminal:
        terminal.until(lambda seen: "images and captions" in seen.text)
        terminal.press()
        terminal.to_the_end()
    assert terminal.code == 130
    assert terminal.cursor_visible
    assert terminal.lines[0].startswith("ncaudit: interrupted")
    assert "━" not in terminal.text


def test_an_error_leaves_its_two_lines_and_a_cursor(here):
    terminal = watched(["score", "nowhere", "--out", "n"], cwd=here, columns=120)
    assert terminal.code == 1
    assert terminal.cursor_visible
    assert [line[:9] for line in terminal.lines] == ["ncaudit: ", "  fix: gi"] or len(terminal.lines) == 2


def test_another_width_in_the_middle_of_a_run_leaves_nothing_behind(here):
    with opened(into(COMMANDS["score"], "resized"), cwd=here, columns=120) as terminal:
        for columns, stage in ((50, "fit"), (30, "power"), (100, "power")):
            terminal.until(lambda seen, stage=stage: stage in seen.text)
            terminal.resize(columns)
            seen = terminal.until(lambda seen, columns=columns: fits(seen, columns))
            assert len([line for line in seen.screen if line]) <= 2
        terminal.to_the_end()
    assert terminal.code == 0
    assert not any("━" in line for line in terminal.lines)


def fits(seen, columns):
    """Whether it has been drawn at this width, and not only folded."""
    lines = [line for line in seen.screen if line]
    return seen.columns == columns and len(lines) <= 2 and all(len(line) <= columns - 2 for line in lines) and lines


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1", "COLUMNS": "40"}], ids=["dumb", "COLUMNS"])
def test_poor_terminals_hold(here, env):
    terminal = watched(into(COMMANDS["labels"], f"poor{len(env)}"), cwd=here, env=env)
    assert terminal.code == 0
    if env.get("TERM") == "dumb":
        assert b"\x1b" not in terminal.raw
        assert "judge: 4/4 steps" in terminal.text
    else:
        check(terminal, 40)
        assert not re.search(rb"\x1b\[[\d;]*(3|9)\d[;\d]*m", terminal.raw)


def test_rows_go_to_a_file_and_the_display_stays_on_the_terminal(here, tmp_path):
    words = [*into(COMMANDS["labels"], "-"), "--format", "jsonl"]
    terminal = watched(words, cwd=here, stdout=tmp_path / "rows")
    check(terminal, 80)
    rows = (tmp_path / "rows").read_text().splitlines()
    assert len(rows) == 160
    assert all(row.startswith("{") for row in rows)

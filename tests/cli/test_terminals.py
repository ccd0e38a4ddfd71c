"""The terminal that other tests look at: what stands on it is what a user would see."""

import sys

import pytest

from tests.worlds.terminals import opened, watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pseudo-terminals as Linux has them")
PYTHON = (sys.executable, "-c")


def run(program, **how):
    return watched([program], command=PYTHON, **how)


def test_it_has_the_size_and_keeps_what_scrolls_away():
    seen = run("import os; print(*os.get_terminal_size()); [print(n) for n in range(9)]", columns=60, rows=5)
    assert seen.lines == ["60 5", *map(str, range(9))]
    assert (seen.code, seen.scrolled[0]) == (0, "60 5")


def test_what_was_drawn_over_is_seen_in_snapshots_alone():
    seen = run("import time; print('one', end='', flush=True); time.sleep(0.2); print('\\r\\x1b[2Ktwo')")
    assert [each.text for each in seen.snapshots] == ["one", "two"]
    assert seen.snapshots[0].at < seen.snapshots[1].at
    assert seen.lines == ["two"]


def test_a_cursor_that_is_left_hidden_is_noticed():
    assert not run("print('\\x1b[?25l')").cursor_visible
    assert run("print('\\x1b[?25l\\x1b[?25h')").cursor_visible


def test_ctrl_c_reaches_the_command_and_so_does_another_size():
    waits = """
import os, signal, time
signal.signal(signal.SIGWINCH, lambda *_: print(os.get_terminal_size().columns, flush=True))
print("a" * 70, flush=True)
time.sleep(60)
"""
    with opened([waits], command=PYTHON, columns=80) as terminal:
        terminal.until(lambda seen: "a" * 70 in seen.screen)
        terminal.resize(50)
        assert terminal.lines == ["a" * 50, "a" * 20]  # as most terminals do it
        terminal.until(lambda seen: "50" in seen.screen)
        terminal.press()
        terminal.to_the_end()
    assert terminal.code == -2
    assert "KeyboardInterrupt" in terminal.text


def test_what_goes_to_a_file_is_not_seen(tmp_path):
    seen = run("import sys; print('rows'); print('words', file=sys.stderr)", stdout=tmp_path / "out")
    assert seen.lines == ["words"]
    assert (tmp_path / "out").read_text() == "rows\n"

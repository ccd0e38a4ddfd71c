"""Shell lines as a page shows them, run in this process: `ncaudit … | ncaudit … | head -3 > FILE`.

Other programs between the bars are run as they are; the stream between two commands is held in memory.
"""

import io
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from typer.testing import CliRunner

from ncaudit.cli.app import app

Flags = Mapping[str, Mapping[str, str | None]]  # by command: flags with their values, for lines that lack them


def run_line(line: str, flags: Flags | None = None, words: Mapping[str, str] | None = None) -> bytes:
    """What the line, which must end well, writes to standard output or to the file behind `>`.

    words: what to put for some of its words.
    """
    command, _, file = line.partition(" > ")
    told = b""
    for part in command.split(" | "):
        called = [(words or {}).get(word, word) for word in shlex.split(part, comments=True)]
        told = run_ncaudit(called[1:], flags or {}, told) if called[0] == "ncaudit" else run_other(called, told)
    if file:
        Path(file.strip()).write_bytes(told)
    return told


def run_ncaudit(words: Sequence[str], flags: Flags, given: bytes) -> bytes:
    more = {flag: value for flag, value in flags.get(words[0], {}).items() if flag not in words}
    added = [word for flag in more.items() for word in flag if word is not None]
    ran = CliRunner().invoke(app, ["-q", *words, *added], input=given)
    assert ran.exit_code == 0, (words, ran.stderr, ran.exception)
    return ran.stdout_bytes


def run_other(words: Sequence[str], given: bytes) -> bytes:
    return subprocess.run(words, input=given, capture_output=True, check=True).stdout


def peekable(given: bytes | None, charset: str) -> io.BufferedReader:
    """As a real process's standard input is, and the runner's own is not: for `typer.testing.make_input_stream`."""
    return io.BufferedReader(io.BytesIO(given or b""))

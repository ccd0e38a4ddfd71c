"""The command in this process, on the smallest model: its words, exit codes and errors, without a new process each."""

from typing import Any

from typer.testing import CliRunner

from ncaudit.cli.app import app
from tests.worlds.sample import TINY

MODEL = ("--model", TINY, "--device", "cpu", "--precision", "float32", "--workers", "0")


def run(*words: object) -> Any:
    """`ncaudit -q …`: its result, whatever it is."""
    return CliRunner().invoke(app, ["-q", *map(str, words)])


def embedded(source: object, out: object, *more: object, code: int = 0) -> Any:
    """`ncaudit embed` with the smallest model, which must end with `code`."""
    ran = run("embed", source, "--out", out, *MODEL, "--batch-pairs", "8", *more)
    assert ran.exit_code == code, ran.output
    return ran


def told(*words: object) -> str:
    """The two lines of a command that could not do it, as one."""
    ran = run(*words)
    assert ran.exit_code == 1, ran.output
    what, fix = ran.stderr.splitlines()
    assert what.startswith("ncaudit: ")
    assert fix.startswith("  fix: ")
    return f"{what} | {fix}"

"""`--help` at 80 columns: whole words and sentences, everyday options first, rare ones with `--help-all`."""

import os
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.cli.commands.anywhere import NAMES
from ncaudit.cli.commands.help import RARE
from ncaudit.cli.commands.spec import spec_of
from ncaudit.options.shared.about import Panel, options_of
from tests.cli.test_every_flag import COMMANDS

MOST_LINES = 110
GROUPS = ("", "eval")
SECTIONS = re.compile(r"^(?:[A-Z][\w ]*(?:: [\w ]+)?)$", re.MULTILINE)


def shown(*words, columns=80):
    ran = CliRunner().invoke(app, [*words], env={"COLUMNS": str(columns), "TERMINAL_WIDTH": str(columns)})
    assert (ran.exit_code, ran.stderr) == (0, ""), ran.output
    return ran.stdout


def help_of(name, *more, columns=80):
    return shown(*name.split(), *(more or ("--help",)), columns=columns)


def options(name):
    spec = spec_of(COMMANDS[name].callback)
    return [] if spec is None else [one for one in options_of(spec.options) if one.name not in spec.options.UNASKED]


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_no_line_is_too_long_and_no_help_too(name):
    lines = help_of(name).splitlines()
    assert max(map(len, lines)) < 80
    assert len(lines) <= MOST_LINES


@pytest.mark.parametrize("name", COMMANDS)
def test_everyday_options_are_shown_with_all_their_words(name):
    page = flat(help_of(name))
    for one in COMMANDS[name].params:
        if one.name not in RARE | {each.name for each in options(name) if each.about.rare}:
            assert flat(one.help) in page, one.name
            assert all(flag in page for flag in (*one.opts, *one.secondary_opts) if flag.startswith("-"))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("help", "config")])
def test_the_whole_help_has_every_option(name):
    page, everyday = flat(help_of(name, "--help-all")), help_of(name)
    for one in COMMANDS[name].params:
        assert flat(one.help) in page, one.name
    for each in options(name):
        if each.about.rare:
            assert f"\n  {each.flag} " not in everyday, each.name


@pytest.mark.parametrize("name", COMMANDS)
def test_panels_stand_in_their_order_and_hold_what_is_theirs(name):
    headings = [one.partition(":")[0] for one in SECTIONS.findall(help_of(name, "--help"))]
    of_options = [one for one in headings if one in list(Panel)]
    assert of_options == sorted(of_options, key=list(Panel).index)


@pytest.mark.parametrize("name", COMMANDS)
def test_helps_are_sentences_and_tell_a_default_once(name):
    for one in COMMANDS[name].params:
        assert re.search(r"^\S.*[.]$", flat(one.help)), f"{one.name}: {one.help}"
        assert not re.match(r"(bicro|csls|topic|near|label kinds):", one.help), one.name
    lines = help_of(name, "--help-all" if options(name) else "--help").splitlines()
    for one in options(name):
        if one.told_default:
            assert any(f"[default: {one.told_default}]" in line for line in lines), one.name  # never across two
            assert "by default" not in one.about.help.lower(), one.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_number_tells_its_range_or_its_unit(name):
    ranged = re.compile(r"or more|above|\bto\b|at most|whole number|bytes")
    for one in options(name):
        if one.core in (int, float):
            assert ranged.search(one.about.help), one.name


@pytest.mark.parametrize("columns", [60, 120])
def test_the_longest_help_fits_other_widths(columns):
    assert max(map(len, help_of("train", "--help-all", columns=columns).splitlines())) < max(columns, 80)
    assert max(map(len, help_of("train", columns=60).splitlines())) < 60


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_short_and_long_flag_and_the_command_help_show_the_same(name):
    assert help_of(name, "-h") == help_of(name) == shown("help", *name.split())


def test_the_command_help_shows_rare_options_too():
    assert shown("help", "--all", "score") == help_of("score", "--help-all")


def test_the_list_of_commands_has_whole_sentences():
    page = flat(help_of(""))
    for name, command in typer.main.get_command(app).commands.items():
        assert f"{name} {flat(command.help.partition(chr(10) * 2)[0])}" in page


def test_markup_in_a_help_stays_text(monkeypatch):
    command = typer.main.get_command(app).commands["demo"]
    monkeypatch.setattr(command, "help", "[red]no colour[/red] [/i]")
    with command.make_context("demo", [], resilient_parsing=True) as context:
        assert "[red]no colour[/red] [/i]" in command.get_help(context)


def test_the_flags_of_every_command_are_those_that_stand_anywhere():
    for command in COMMANDS.values():
        if spec_of(command.callback):
            assert {one.name for one in command.params} >= NAMES.keys()


def test_a_real_process_at_80_columns():
    ran = subprocess.run(
        [sys.executable, "-m", "ncaudit", "train", "-h"],
        capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert ran.stderr == ""
    assert max(map(len, ran.stdout.splitlines())) < 80
    assert ran.stdout.startswith("Usage: ncaudit train --out PATH [options]\n")

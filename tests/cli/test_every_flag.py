"""Every flag of every command reaches the field of its name, and no other field.

The commands are walked, so that a new flag is tested, and fails, before anybody names it here. The verb is replaced by
one that only tells which options it was given.
"""

import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints
from unittest.mock import MagicMock

import pytest
import typer
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.cli.shared import output

# What runs a command, and what makes its words.
VERBS = {
    "audit": ("ncaudit.verbs.audit.audit.audit",),
    "inspect": ("ncaudit.verbs.inspect.inspect.inspect",),
    "embed": ("ncaudit.verbs.embed.embed.embed",),
    "score": ("ncaudit.verbs.score.score.score",),
    "filter": ("ncaudit.verbs.filter.filter.filter_pairs",),
    "train": ("ncaudit.verbs.train.train.train",),
    "labels": ("ncaudit.verbs.labels.labels.labels",),
    "sample": ("ncaudit.verbs.sample.sample",),
    "report": ("ncaudit.verbs.report.report.report",),
    "show": ("ncaudit.verbs.show.show.show",),
    "status": ("ncaudit.verbs.status.status",),
    "corrupt": ("ncaudit.verbs.corrupt.captions.corrupt", "ncaudit.verbs.corrupt.classes.corrupt_labels"),
    "bench": ("ncaudit.verbs.bench.bench",),
    "demo": ("ncaudit.verbs.demo.demo",),
    "eval retrieval": ("ncaudit.verbs.evaluate.retrieval.eval_retrieval",),
    "eval scores": ("ncaudit.verbs.evaluate.scores.eval_scores",),
}
WORDS = {
    "eval retrieval": "ncaudit.cli.words.evaluate.retrieval_lines",
    "eval scores": "ncaudit.cli.words.evaluate.scores_lines",
}
# Flags of no field, and where they go instead: each has a test of its own below.
TO_THE_PRINTER = {"as_json"}
TO_THE_PLANNER = {"dry_run"}
OF_STORES = {"storage_option", "scratch"}
OF_THE_ROOT = {"version", "config", "install_completion", "show_completion", "quiet", "verbose", "log", *OF_STORES}
ANYWHERE = {"quiet", "verbose", "log", "help_all", *OF_STORES}  # before or after a verb: commands/test_anywhere.py
OF_NO_VERB = {"scorers": TO_THE_PRINTER | ANYWHERE, "config": {"words", "every"}, "help": {"command", "everything"}}

# What a command cannot do without, beyond what it requires by itself.
NEEDED: Mapping[str, dict[str, Any]] = {
    "filter": {"min_soft_label": 0.5},  # a rule
    "sample": {"out": "pairs.csv"},  # one of three formats
    "eval scores": {"truth": "is_match"},  # something to compare with
    "train": {"data": ["images"]},  # towers are tuned unless said otherwise
}
# What goes with one flag only, as the options refuse it alone. None takes away what is needed otherwise.
AS_CSV = {"out": "-", "format": "csv"}
STREAMED = {"out": "-"}
OF_DATA = {"data": ["images"]}
PAPER = {"variant": "paper"}
JOINED = {"join": ["table"], "join_key": "key"}
PICTURES = {"data": ["images"]}
RAY = {"engine": "ray"}
ON_RAY = dict.fromkeys(("ray_address", "actors", "gpus_per_actor"), RAY)
HEADS = {"tune": "heads", "embeddings": ["tables"], "data": None}
STAGES = {**HEADS, "recipe": "bicro"}
COMPANIONS: Mapping[str, dict[str, dict[str, Any]]] = {
    "show": {
        **dict.fromkeys(("key", "image_column", "caption_column", "caption_lines", "image_root"), OF_DATA),
        **dict.fromkeys(("images", "max_row_bytes"), OF_DATA),
        "overwrite": {**OF_DATA, "images": "pictures"},
    },
    "audit": ON_RAY,
    "embed": {"csv_safe": AS_CSV, "format": STREAMED, **ON_RAY},
    "labels": {"csv_safe": AS_CSV, "format": STREAMED, **ON_RAY},
    "score": {
        **dict.fromkeys(("loss", "mixture", "center", "bank_pairs"), PAPER),
        "temperature": {"scorer": "ncr"},
        "correlation": {"scorer": "structure"},
        "format": STREAMED,
        "csv_safe": AS_CSV,
        "join": JOINED,
        "join_key": JOINED,
        **ON_RAY,
    },
    "bench": {
        "overwrite": {"out": "runs.csv"},
        **dict.fromkeys(("loss", "mixture"), PAPER),
        "temperature": {"scorers": ["ncr"]},
        "correlation": {"scorers": ["structure"]},
    },
    "filter": {
        "csv_safe": AS_CSV,
        "format": STREAMED,
        "keep_share_by": {"keep_share": 0.5},
        "key": {"data": ["images"]},
        "write_as": {"out": "uids.npy"},
        "repeat_by_weight": {"write_as": "datacomp-uids", "out": "uids.npy"},
        **{name: RAY for name in ON_RAY if name != "gpus_per_actor"},
    },
    "report": {
        **dict.fromkeys(("image_column", "caption_column", "image_root", "max_image_pixels"), PICTURES),
        **dict.fromkeys(("key", "caption_lines", "max_row_bytes", "workers"), PICTURES),
        "truth_table": {"truth": "is_match"},
        **{name: RAY for name in ON_RAY if name != "gpus_per_actor"},
    },
    "corrupt": {
        "label_column": {"kind": "label-symmetric", "label_column": "class"},
        "embeddings": {"kind": "topic"},
        "clusters": {"kind": "topic"},
        "nearest": {"kind": "near"},
    },
    "eval retrieval": {"map_at": {"label_column": "kind"}},
    "train": {
        **dict.fromkeys(("embeddings", "features", "head", "head_start", "dims", "recipe", "relabel_every"), HEADS),
        **dict.fromkeys(("split_loss", "warmup_epochs", "warmup_keep", "split_threshold", "noisy_from"), STAGES),
        "anchor_k": STAGES,
        "objective": {"scores": ["scores"]},
        "key": {"scores": ["scores"]},
        "hidden": {**HEADS, "head": "mlp"},
        "match_share": {"negatives": "allowed"},
    },
}
# Values that are checked for more than their type.
VALUES: Mapping[str, dict[str, Any]] = {
    "audit": {"devices": "one,two", "scorer": "csls", "ray_address": "local"},
    "embed": {"devices": "one,two", "slice": "1/2", "ray_address": "local"},
    "train": {"tune": "last:2", "margin_base": 2.5},
    "bench": {"out": "runs.csv", "kinds": ["near", "topic"], "scorers": ["bicro", "lemon"]},
    "score": {"scorer": "csls", "slice": "1/2", "ray_address": "local"},
    "labels": {"ray_address": "local"},
    "filter": {"slice": "1/2", "ray_address": "local"},
    "sample": {"out": "review.csv"},
    "report": {"out": "page.html", "ray_address": "local"},
}
SPLIT_AT_COMMAS = {"devices"}  # one word for several


class Told(Exception):
    """What the verb or the printer was given."""

    def __init__(self, given: Any) -> None:
        self.given = given


def commands() -> dict[str, Any]:
    """Every command that can be run, by its words."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        if not hasattr(command, "commands"):
            yield name, command
        for word, below in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {word}".strip(), below)

    return dict(walk("", typer.main.get_command(app)))


COMMANDS = commands()
CASES = [
    pytest.param(name, parameter.name, id=f"{name} {parameter.opts[0]}")
    for name, command in COMMANDS.items()
    for parameter in command.params
    if parameter.name not in TO_THE_PRINTER | TO_THE_PLANNER | ANYWHERE and name in VERBS
]


def kind_of(name: str, parameter: str) -> Any:
    """The type that the command declares, without the None that stands for not given."""
    kind = get_type_hints(inspect.unwrap(COMMANDS[name].callback))[parameter]
    return next(one for one in get_args(kind) if one is not type(None)) if isinstance(kind, types.UnionType) else kind


def another(kind: Any, default: Any) -> Any:
    """A value that is not the default: another member, another number, a word, two of them."""
    if get_origin(kind) is list:
        first = another(get_args(kind)[0], default)
        return [first, another(get_args(kind)[0], first)]
    if kind is bool:
        return not default
    if issubclass(kind, Enum):
        return next(member for member in kind if member != default)
    if kind is int:
        return 3 if default is None else default + 1
    if kind is float:
        return 0.25 if default != 0.25 else 0.75
    return "word" if default != "word" else "other"


def argv(name: str, given: Mapping[str, Any]) -> list[str]:
    """The command line that gives these parameters these values."""
    words = name.split()
    for parameter in COMMANDS[name].params:
        value = given.get(parameter.name)
        if value is None:
            continue
        if isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
            continue
        for each in value if isinstance(value, list) else [value]:
            flag = [parameter.opts[0]] if parameter.opts[0].startswith("-") else []
            words += [*flag, str(each.value if isinstance(each, Enum) else each)]
    return words


def required(name: str) -> dict[str, Any]:
    """Values for what the command cannot be called without."""
    asked = {one.name: another(kind_of(name, one.name), "word") for one in COMMANDS[name].params if one.required}
    return {**asked, **NEEDED.get(name, {})}


def values_of(name: str, parameter: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The least that makes sense without this parameter, and the same with another value of it than the default."""
    without = {**required(name), **COMPANIONS.get(name, {}).get(parameter, {})}
    default = next(one.default for one in COMMANDS[name].params if one.name == parameter)
    value = VALUES.get(name, {}).get(parameter) or another(kind_of(name, parameter), without.get(parameter, default))
    return without, {**without, parameter: value}


def tell(given: Any, *_: Any) -> None:
    raise Told(given)


def told(words: list[str]) -> Any:
    """What a command told before it was stopped."""
    ran = CliRunner().invoke(app, ["-q", *words])
    assert isinstance(ran.exception, Told), f"{words}: {ran.output}"
    return ran.exception.given


@pytest.fixture
def verb_only_tells(monkeypatch):
    for place in (place for places in VERBS.values() for place in places):
        monkeypatch.setattr(place, tell)


def changed(one: Any, other: Any) -> dict[str, Any]:
    """The fields in which two options differ, as the second has them."""
    assert type(one) is type(other)
    both = {field.name: (getattr(one, field.name), getattr(other, field.name)) for field in fields(one)}
    return {name: new for name, (old, new) in both.items() if old != new}


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_a_flag_reaches_its_field_and_no_other(name, parameter, verb_only_tells):
    without, with_it = values_of(name, parameter)
    value = with_it[parameter]
    before, after = told(argv(name, without)), told(argv(name, with_it))
    found = changed(before, after)
    assert list(found) == [parameter]
    (field,) = found.values()
    wanted = value.split(",") if parameter in SPLIT_AT_COMMAS else value
    assert (list(field) if isinstance(wanted, list) else field) == wanted


@pytest.mark.parametrize("name", VERBS)
def test_json_reaches_the_printer(name, monkeypatch):
    words = WORDS.get(name, f"ncaudit.cli.words.{name}.lines")
    for place in (*VERBS[name], words):
        monkeypatch.setattr(place, lambda *_: MagicMock())
    monkeypatch.setattr(output, "result", lambda value, words, *, as_json, **_: tell(as_json))
    assert [told(argv(name, {**required(name), "as_json": asked})) for asked in (None, True)] == [False, True]


def test_every_command_is_run_by_a_verb_or_asks_for_nothing():
    others = {name: {one.name for one in COMMANDS[name].params} for name in COMMANDS.keys() - VERBS.keys()}
    assert others == OF_NO_VERB


def test_the_flags_before_a_command_are_those_of_the_whole_program():
    assert {one.name for one in typer.main.get_command(app).params} == OF_THE_ROOT


def test_version_is_told_alone():
    ran = CliRunner().invoke(app, ["--version", "scorers"])
    assert (ran.exit_code, len(ran.stdout.splitlines())) == (0, 1)
    assert ran.stdout.startswith("ncaudit ")


@pytest.mark.parametrize(("name", "parameter"), CASES)
def test_a_command_line_as_a_file_of_options_gives_the_same(name, parameter, verb_only_tells, tmp_path):
    words = argv(name, values_of(name, parameter)[1])
    printed = CliRunner().invoke(app, ["config", *words])
    assert printed.exit_code == 0, printed.output
    (tmp_path / "options.toml").write_text(printed.stdout, encoding="utf-8")
    assert told(["--config", str(tmp_path / "options.toml"), *name.split()]) == told(words)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_a_dry_run_reaches_the_planner_where_a_command_writes(name, monkeypatch):
    monkeypatch.setattr("ncaudit.verbs.plan.plan", tell)
    has = any(one.name == "dry_run" for one in COMMANDS[name].params)
    assert has == (name not in ("inspect", "status", "eval retrieval", "eval scores"))
    if has:
        assert told([*argv(name, required(name)), "--dry-run"]) is not None

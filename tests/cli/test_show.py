"""What `show` prints: known transcripts, one JSON object; hostile words are only shown, and in 80 columns."""

import json
import re

import pyarrow as pa
import pytest
from rich.cells import cell_len

from ncaudit.cli.shared import output
from tests.worlds import shown as world
from tests.worlds.commands import run, told
from tests.worlds.shown import CLASSES

EVIL = "\x1b]52;c;RVZJTA==\x07\x1b[2J\u202e\u200b\x7f\x9b31m\u2028[red]\n</script> " + "漢字" * 60


@pytest.fixture
def scores(tmp_path):
    data = world.dataset(tmp_path / "in")
    return world.table(tmp_path / "scores/data.parquet", of=data)


def shown(*words):
    ran = run("show", *words)
    assert ran.exit_code == 0, ran.output
    return ran.stdout.splitlines()


def test_a_pair_is_a_few_lines(scores):
    assert shown(scores, "--worst", "2") == [
        "Worst pairs, 2 of 7. The lowest soft labels of all; without labels, the lowest scores.",
        "",
        " 1  soft label 0.010, cosine 0.050, noisy, mismatch",
        "    caption          caption of c",
        "    picture is like  caption of b",
        "    caption is like  caption of f",
        "    repeats          this picture occurs 3 times",
        "    pair             c (data.parquet row 2)",
        "",
        " 2  soft label 0.300, cosine 0.300, noisy, duplicate",
        "    caption          caption of e",
        "    picture is like  caption of b",
        "    caption is like  caption of f",
        "    pair             e (data.parquet row 4)",
        "",
        "is like: the caption of the trusted pair (anchor) whose picture, or caption, is nearest; they judged the pair",
    ]


def test_two_lists_are_numbered_as_one_and_an_empty_one_says_so(tmp_path, scores):
    lines = shown(scores, "--against", "similarity", "--worst", "1")
    assert [line[:2] for line in lines if line[:2].strip().isdigit()] == [" 1", " 2"]
    assert lines[0].startswith("Noisy though similar, 1 of 3. ")
    none = shown(world.table(tmp_path / "none.parquet", reason=pa.nulls(8, pa.string())), "--reason", "mismatch")
    assert none == ["mismatch: none of 8 rows. Rows whose reason is mismatch, the lowest soft labels first."]


def test_a_class_is_told_with_what_the_neighbours_say(tmp_path):
    labels = world.table(tmp_path / "labels.parquet", rows=CLASSES)
    assert shown(labels, "--worst", "1") == [
        "Worst classes, 1 of 7. The lowest label_quality of all: the given class is least likely to be right.",
        "",
        " 1  label_quality 0.100: given cat, better dog, noisy",
        "    pictures nearby  dog (80% of the votes)",
        "    captions nearby  dog (80% of the votes)",
        "    why              b, d",
        "    pair             c (data.parquet row 2)",
        "",
        "note: these tables carry no captions: name the dataset with --data to see them",
    ]


def test_where_the_pictures_are_is_told_last(tmp_path, scores):
    out = tmp_path / "p"
    lines = shown(scores, "--worst", "1", "--data", tmp_path / "in", "--images", out)
    assert lines[-1] == f"1 picture is in {out}"
    assert "".join(line.strip() for line in lines).count("c.jpg") == 1


def test_json_is_exactly_one_object_with_the_pairs(scores):
    (line,) = shown(scores, "--worst", "3", "--json")
    told = json.loads(line)
    assert [(pair["pair_id"], round(pair["soft_label"], 3)) for pair in told["pairs"]] == [
        ("c", 0.01), ("e", 0.3), ("a", 0.3),
    ]  # fmt: skip
    assert (told["rows"], told["lists"][0]["count"]) == (8, 7)
    assert told["pairs"][0]["text_anchor_caption"] == "caption of f"


@pytest.mark.parametrize("more", [(), ("--against", "similarity"), ("--reason", "mismatch")])
def test_hostile_words_are_shown_in_80_columns(tmp_path, more, monkeypatch):
    monkeypatch.setattr(output, "_width", lambda stream: 80)
    hostile = [f"{EVIL}{name}" for name in world.IDS]
    table = world.table(
        tmp_path / "s.parquet", caption=hostile, pair_id=hostile, shard=hostile, image_anchor=hostile,
        suggested_caption=hostile, suggested_probability=pa.array([0.5] * 8, pa.float32()),
    )  # fmt: skip
    lines = shown(table, *more)
    assert all(line.isprintable() and cell_len(line) <= 80 for line in lines)
    assert any("</script>" in line for line in lines)
    (line,) = shown(table, *more, "--json")
    assert line.isprintable()
    assert json.loads(line)["pairs"][0]["caption"] in hostile


def test_hostile_names_make_harmless_files(tmp_path):
    names = ["../up", "/root", "a/b", "a_b", "CON", "x" * 300, "\x1b[2J", "ä"]
    data = world.dataset(tmp_path / "in")
    table = world.table(tmp_path / "s.parquet", of=data, pair_id=names, status=["ok"] * 8,
                        soft_label=pa.array([i / 10 for i in range(8)], pa.float32()))  # fmt: skip
    shown(table, "--data", data, "--images", tmp_path / "pics")
    made = [path.name for path in (tmp_path / "pics").iterdir() if path.name != ".ncaudit.json"]
    assert len(made) == len({name.casefold() for name in made}) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9._-]*(~[0-9a-f]{8})?\.(jpg|png)", name) for name in made), made
    assert "a_b.png" in made
    assert {path.name for path in tmp_path.iterdir()} == {"in", "s.parquet", "pics"}


def test_what_is_no_score_table_is_told_with_what_helps(tmp_path):
    data = world.dataset(tmp_path / "in")
    assert "ncaudit score" in told("show", data)
    assert "does not exist" in told("show", tmp_path / "nothing")


@pytest.mark.parametrize(
    ("flag", "value", "words"), [("--worst", "0", "--worst is 0"), ("--reason", "ugly", "mismatch")]
)
def test_a_wrong_flag_is_a_usage_error_that_names_what_can_be_given(scores, flag, value, words):
    ran = run("show", scores, flag, value)
    assert ran.exit_code == 2
    assert words in ran.stderr

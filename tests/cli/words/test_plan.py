"""What `--dry-run` tells people, and programs; and that it ends as the command would."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words.plan import lines as words
from ncaudit.planned import Plan, Reading
from tests.worlds.bombs import IMAGE
from tests.worlds.commands import MODEL, embedded, run

SOURCES = Reading(what="sources", names=("data",), shards=3, rows=12_000, bytes=3_000_000, unreadable=1)
WHOLE = Plan(
    verb="embed", out="emb", reads=(SOURCES,), columns={"image": "jpg", "caption": "text"}, shards=3, finished=1,
    rows_left=8_000, work=("load the model ViT-B-32", "embed 8,000 rows"), writes=("emb/1.parquet",),
    replaces=tuple(f"emb/{number}.parquet" for number in range(6)), overwrites=("emb/x.parquet",),
    may_replace=("emb/m",), removes=("emb/old.parquet",), rows_per_s=40.0, seconds=200.0, notes=("mind the gap",),
)  # fmt: skip
TOLD = """embed, dry run: nothing is written
reads      sources data: 3 shards, 12,000 rows, 2.9 MiB, 1 shard cannot be read
columns    image: jpg, caption: text
done       1 of 3 shards, which would stay as they are
to do      load the model ViT-B-32
           embed 8,000 rows
writes     1 file: emb/1.parquet
replaces   6 files, of an earlier run: emb/0.parquet, emb/1.parquet,
           emb/2.parquet, emb/3.parquet, and 2 more
may renew  1 file, of an earlier run: emb/m
overwrites 1 file, not of ncaudit: emb/x.parquet
removes    1 file: emb/old.parquet
time       about 0:03:20, at the 40.0 rows/s by which the tables there were made
note: mind the gap"""


def lines(plan):
    """On a terminal of 80."""
    return plain(words(plan), 80)


def test_all_that_a_plan_knows_is_told_in_lines_of_80():
    assert lines(WHOLE) == TOLD.splitlines()
    assert max(map(len, lines(WHOLE))) <= 80


def test_a_plan_of_nothing_says_so():
    told = lines(Plan(verb="score", out="s", shards=2, finished=2, rows_left=0))
    assert told == ["score, dry run: nothing is written", "done       all of 2 shards", "to do      nothing"]


def test_what_cannot_be_known_is_said_to_be_so():
    told = "\n".join(lines(Plan(verb="score", out="s", shards=2, finished=None, rows_left=5, work=("score",))))
    assert "done       shows once the work has begun, of 2 shards" in told
    assert "time       not known before some shards are done: ask again then" in told


def test_steps_stand_below_with_their_notes_at_the_end():
    later = Plan(verb="score", out="s", notes=("a note",))
    told = lines(Plan(verb="audit", out="a", reads=(SOURCES,), shards=3, finished=0, rows_left=9, steps=(WHOLE, later)))
    assert told[1] == "embed"
    assert [line[:40] for line in told if line.lstrip().startswith("reads")] == [f"  {TOLD.splitlines()[1]}"[:40]]
    assert max(map(len, told)) <= 80
    assert "  to do      after the steps before it" in told
    assert told[-2:] == ["note: mind the gap", "note: a note"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    for number in range(2):
        pq.write_table(pa.table({"jpg": [IMAGE] * 3, "caption": ["a", "b", "c"]}), tmp_path / f"data/{number}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dry_run_writes_nothing_and_tells_what_the_run_then_does(here):
    told = run("embed", "data", "--out", "emb", *MODEL, "--dry-run", "--json")
    assert (told.exit_code, os.listdir()) == (0, ["data"])
    plan = json.loads(told.stdout)
    (read,) = plan["reads"]
    size = sum(path.stat().st_size for path in Path("data").iterdir())
    assert read == {"what": "sources", "names": ["data"], "shards": 2, "rows": 6, "bytes": size, "unreadable": 0}
    embedded("data", "emb")
    assert sorted(plan["writes"]) == sorted(str(path) for path in Path("emb").iterdir())
    again = run("embed", "data", "--out", "emb", *MODEL, "--batch-pairs", "8", "--dry-run")
    assert "done       all of 2 shards" in again.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("embed", "nothing", "--out", "emb", *MODEL), 1),
        (("embed", "data", "--out", "emb", "--model", "no-such-model"), 1),
        (("embed", "data", "--out", "emb", "--batch-pairs", "0"), 2),
        (("embed", "data", "--out", "emb", "--csv-safe"), 2),
        (("score", "data", "--out", "s", "--scorer", "csls", "--csls-k", "10", "--k", "1"), 2),
        (("filter", "data", "--out", "f", "--keep-share", "0.5"), 1),
        (("embed", "data", "--out", "mine", *MODEL), 1),
    ],
)
def test_a_dry_run_is_refused_as_the_run_is(here, words, code):
    (here / "mine").mkdir()
    (here / "mine/0.parquet").write_text("mine")
    both = [run(*words, *more) for more in (("--dry-run",), ())]
    assert [one.exit_code for one in both] == [code, code]
    assert both[0].stderr == both[1].stderr != ""


def test_words_of_a_stream_go_to_people_and_not_into_the_pipe(here):
    told = run("embed", "data", "--out", "-", *MODEL, "--dry-run")
    assert (told.exit_code, told.stdout) == (0, "")
    assert "embed 6 rows of 2 shards" in told.stderr
    assert json.loads(run("embed", "data", "--out", "-", *MODEL, "--dry-run", "--json").stdout)["out"] == "-"


def test_rows_on_standard_input_are_left_alone(here):
    told = run("embed", "-", "--out", "emb", *MODEL, "--dry-run")
    assert (told.exit_code, "--dry-run reads no rows" in told.stderr) == (2, True)

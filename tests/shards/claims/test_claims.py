"""Whose files are they: ours are redone, others' and inputs are refused before anything is touched."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import Displaced, Interrupted, NcauditError
from ncaudit.options import SampleOptions
from ncaudit.shards.claims.claims import Follower, Place, asked, claim
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.files.provenance import attach
from ncaudit.shards.files.writer import atomic_file, watched
from ncaudit.shards.places.partials import partial_name

RECORD = ".ncaudit.json"


def table(path, *, rows=1, **told):
    """A table that says this of itself; of another tool where that is nothing."""
    schema = pa.schema([("x", pa.int64())])
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"x": range(rows)}, attach(schema, told) if told else schema), path)
    return str(path)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def place(folder, *names, **more):
    return Place("--out", str(folder), names, **more)


def write(path, data=b"ours"):
    with atomic_file(str(path)) as file:
        file.write(data)


def refused(folder, *places, inputs=(), verb="score", overwrite=False):
    """What is said; nothing is touched."""
    before = files(folder)
    with pytest.raises(NcauditError) as told:
        claim(verb, places, inputs, overwrite=overwrite)
    assert files(folder) == before
    return told.value


def test_what_this_verb_wrote_is_its_own_whatever_its_options_were(tmp_path):
    table(tmp_path / "0.parquet", verb="score", k=1)
    table(tmp_path / "1.parquet", shards=[{"verb": "score"}, {"verb": "score"}])
    claim("score", [place(tmp_path, "0.parquet", "1.parquet")])


@pytest.mark.parametrize(
    "told",
    [{}, {"verb": "embed"}, {"ncaudit": "9"}, {"shards": []}, {"shards": [{"verb": "score"}, {"verb": "embed"}]}],
)
def test_a_table_that_does_not_say_so_is_somebodys(tmp_path, told):
    path = table(tmp_path / "0.parquet", **told)
    error = refused(tmp_path, place(tmp_path, "0.parquet", "1.parquet"))
    assert error.message == f"{path} is there already, and `score` did not write it"
    assert error.fix == "give another --out, or --overwrite to replace it"
    claim("score", [place(tmp_path, "0.parquet")], overwrite=True)


def test_how_many_files_are_in_the_way_is_told(tmp_path):
    for name in ("a/0.parquet", "a/1.parquet", "2.parquet"):
        table(tmp_path / name)
    error = refused(tmp_path, place(tmp_path, "a/0.parquet", "a/1.parquet", "2.parquet", "3.parquet"))
    assert error.message.endswith("2.parquet is there already, and `score` did not write it (3 such files)")
    assert "replace them" in error.fix


def test_metadata_that_is_no_json_says_nothing(tmp_path):
    schema = pa.schema([("x", pa.int64())], {b"ncaudit": b"{cut"})
    pq.write_table(schema.empty_table(), tmp_path / "0.parquet")
    refused(tmp_path, place(tmp_path, "0.parquet"))


@pytest.mark.parametrize("damaged", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"<html>"])
def test_an_unreadable_table_is_ours_only_where_a_record_names_it(tmp_path, damaged):
    (tmp_path / "0.parquet").write_bytes(damaged)
    refused(tmp_path, place(tmp_path, "0.parquet"))
    for files_named, verb, ours in ((["0.parquet"], "score", True), (["1.parquet"], "score", False),
                                    (["0.parquet"], "filter", False)):  # fmt: skip
        (tmp_path / RECORD).write_text(json.dumps({"verb": verb, "files": files_named}))
        if ours:
            claim("score", [place(tmp_path, "0.parquet")])
        else:
            refused(tmp_path, place(tmp_path, "0.parquet"))


def test_a_record_does_not_make_a_table_ours_that_can_be_read_and_says_otherwise(tmp_path):
    table(tmp_path / "0.parquet")
    (tmp_path / RECORD).write_text(json.dumps({"verb": "score", "files": ["0.parquet"]}))
    refused(tmp_path, place(tmp_path, "0.parquet"))


@pytest.mark.parametrize(
    "record", ["", "[1]", '{"verb": 3}', '{"files": ["0.tar"]}', '{"verb": "score", "files": {"0.tar": 1}}']
)
def test_what_is_no_record_names_nothing(tmp_path, record):
    (tmp_path / "0.tar").touch()
    (tmp_path / RECORD).write_text(record)
    refused(tmp_path, place(tmp_path, "0.tar"))


def test_a_place_of_another_verb_or_with_a_strange_record_is_refused(tmp_path):
    (tmp_path / RECORD).write_text(json.dumps({"verb": "filter", "files": []}))
    assert f"{tmp_path} is where `filter` writes" in refused(tmp_path, place(tmp_path, "0.parquet")).message
    (tmp_path / RECORD).write_text('{"runs": 12}')
    assert "is no record of ncaudit" in refused(tmp_path, place(tmp_path, "0.parquet")).message
    claim("score", [place(tmp_path, "0.parquet")], overwrite=True)
    table(tmp_path / "0.parquet", verb="score")  # then the record is ours, and was damaged
    claim("score", [place(tmp_path, "0.parquet")])


def test_what_lies_beside_a_file_may_prove_whose_it_is(tmp_path):
    (tmp_path / "0.tar").touch()
    asked = []
    claim("score", [place(tmp_path, "0.tar", proven=lambda path: not asked.append(path))])
    assert asked == [str(tmp_path / "0.tar")]
    refused(tmp_path, place(tmp_path, "0.tar"))


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("kind", ["same", "link", "hard link", "spelling", "folder link", "file://"])
def test_an_input_is_never_written_over_by_whatever_name(tmp_path, kind, overwrite, monkeypatch):
    given = table(tmp_path / "data/0.parquet", verb="score")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    out = {"same": "data", "spelling": "out/../data", "folder link": "to", "file://": "data"}.get(kind, "out")
    if kind == "folder link":
        os.symlink("data", "to")
    elif kind == "link":
        os.symlink(given, "out/0.parquet")
    elif kind == "hard link":
        os.link(given, "out/0.parquet")
    given = f"file://{given}" if kind == "file://" else given
    error = refused(tmp_path, place(out, "0.parquet"), inputs=["memory://a/b", "nowhere", given], overwrite=overwrite)
    assert error.message == f"{given} is an input and would be written over"


@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_pipes_and_devices_are_never_replaced(tmp_path, overwrite):
    (tmp_path / "0.parquet").mkdir()
    assert "0.parquet is a folder" in refused(tmp_path, place(tmp_path, "0.parquet"), overwrite=overwrite).message
    os.mkfifo(tmp_path / "pipe")
    assert (
        "is no ordinary file"
        in refused(tmp_path, Place.of_file("--out", f"{tmp_path}/pipe"), overwrite=overwrite).message
    )


def test_a_link_that_leads_nowhere_is_somebodys(tmp_path):
    os.symlink("nowhere", tmp_path / "0.parquet")
    refused(tmp_path, place(tmp_path, "0.parquet"))


def test_what_people_fill_in_is_never_replaced_unasked(tmp_path):
    table(tmp_path / "review.parquet", verb="sample")
    review = Place.of_file("--out", str(tmp_path / "review.parquet"), kept="verdicts")
    assert refused(tmp_path, review, verb="sample").message.endswith("is there already and may hold verdicts")
    claim("sample", [review], overwrite=True)


def test_the_record_is_there_before_the_first_file_and_says_the_same_after_a_kill(tmp_path):
    held = claim("score", [place(tmp_path / "a", "1.parquet", "B/0.parquet"), place(tmp_path / "b", "0.parquet")])
    with held.held({"k": 1}):
        assert files(tmp_path) == {}
        with atomic_file(str(tmp_path / "a/B/0.parquet")):
            record = json.loads((tmp_path / "a" / RECORD).read_text())
            assert not (tmp_path / "b").exists()
    assert (record["verb"], record["files"]) == ("score", ["1.parquet", "B/0.parquet"])
    before = (tmp_path / "a" / RECORD).read_bytes()
    again = claim("score", [place(tmp_path / "a", "1.parquet", "B/0.parquet")])
    with again.held({"k": 1}):
        write(tmp_path / "a/1.parquet")
    assert (tmp_path / "a" / RECORD).read_bytes() == before


def test_a_run_with_nothing_to_do_leaves_no_record(tmp_path):
    table(tmp_path / "0.parquet", verb="score")
    before = files(tmp_path)
    with claim("score", [place(tmp_path, "0.parquet")]).held({}):
        pass
    assert files(tmp_path) == before


def test_other_shards_of_the_same_folder_stay_in_its_record(tmp_path):
    for name in ("0.parquet", "1.parquet"):
        with claim("embed", [place(tmp_path, name)]).held({}):
            table(tmp_path / name, verb="embed")
            write(tmp_path / name)
    assert json.loads((tmp_path / RECORD).read_text())["files"] == ["0.parquet", "1.parquet"]


def test_a_single_file_that_says_nothing_of_itself_has_a_record_beside_it(tmp_path):
    ids = Place.of_file("--out", str(tmp_path / "ids.txt"))
    with claim("filter", [ids]).held({}):
        write(tmp_path / "ids.txt")
    assert sorted(files(tmp_path)) == [".ids.txt.ncaudit.json", "ids.txt"]
    with claim("filter", [ids]).held({}):
        write(tmp_path / "ids.txt", b"other")
    (tmp_path / "ids.txt").write_bytes(b"edited by hand")
    error = refused(tmp_path, ids, verb="filter")
    assert error.message.endswith("ids.txt is there already, and `filter` did not write it as it is now")


def test_a_single_table_needs_no_record(tmp_path):
    with claim("filter", [Place.of_file("--out", str(tmp_path / "a.parquet"))]).held({}):
        write(tmp_path / "a.parquet")
    assert sorted(files(tmp_path)) == ["a.parquet"]


def test_of_two_runs_with_other_options_the_first_ends_at_its_next_file(tmp_path):
    places = [place(tmp_path, "0.parquet", "1.parquet")]

    def run():
        with claim("score", places).held({"k": 1}):
            write(tmp_path / "0.parquet", b"first")
            with claim("score", places).held({"k": 2}):
                write(tmp_path / "0.parquet", b"second")
            write(tmp_path / "1.parquet", b"first")

    with pytest.raises(Displaced, match="another run of ncaudit score has begun to write"):
        run()
    assert files(tmp_path).keys() == {RECORD, "0.parquet"}
    assert (tmp_path / "0.parquet").read_bytes() == b"second"


def test_a_run_that_came_and_went_while_another_was_at_work_is_not_written_over(tmp_path):
    slow, quick = (claim("score", [place(tmp_path, "0.parquet")]) for _ in range(2))

    def run():
        with slow.held({"k": 1}):
            with quick.held({"k": 2}):
                write(tmp_path / "0.parquet", b"quick")
            write(tmp_path / "0.parquet", b"slow")

    with pytest.raises(Displaced, match="another run of ncaudit score has begun to write"):
        run()
    assert (tmp_path / "0.parquet").read_bytes() == b"quick"


def test_what_an_earlier_run_has_left_is_written_over_with_other_options_when_that_run_is_over(tmp_path):
    for options in ({"k": 1}, {"k": 2}):
        own = claim("score", [place(tmp_path, "0.txt")])
        with own.held(options):
            own.departs(own.places[0], ["gone.txt"])
            write(tmp_path / "0.txt", str(options).encode())
    assert (tmp_path / "0.txt").read_bytes() == b"{'k': 2}"


def test_two_runs_of_the_same_write_side_by_side(tmp_path):
    first, second = (claim("score", [place(tmp_path, "0.parquet")]) for _ in range(2))
    with first.held({"k": 1}), second.held({"k": 1}):
        write(tmp_path / "0.parquet", b"second")
    with first.held({"k": 1}):
        write(tmp_path / "0.parquet", b"first")
    assert (tmp_path / "0.parquet").read_bytes() == b"first"


def test_a_worker_goes_by_its_parents_record(tmp_path):
    with claim("embed", [place(tmp_path, "0.parquet")]).held({"k": 1}):
        write(tmp_path / "0.parquet")
    with watched(Follower(str(tmp_path / RECORD))):
        write(tmp_path / "0.parquet")
        with claim("embed", [place(tmp_path, "0.parquet")], overwrite=True).held({"k": 2}):
            write(tmp_path / "0.parquet", b"other")
        with pytest.raises(Displaced):
            write(tmp_path / "0.parquet", b"worker's")
    assert (tmp_path / "0.parquet").read_bytes() == b"other"


LIVES = """
import sys, time
from ncaudit.shards.claims.claims import Place, claim
from ncaudit.shards.files.writer import atomic_file
held = claim("score", [Place("--out", sys.argv[1], ("0.parquet",))])
with held.held({"k": 1}), atomic_file(sys.argv[1] + "/0.parquet"):
    print("begun", flush=True)
    time.sleep(600)
"""


def test_a_live_run_with_other_options_is_waited_for_and_a_dead_ones_is_swept(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", LIVES, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"begun\n"
    held = claim("score", [place(tmp_path, "0.parquet")])
    with held.held({"k": 1}):
        pass
    with pytest.raises(NcauditError, match=rf"is writing to .* \(process {other.pid}\)"), held.held({"k": 2}):
        pass
    other.kill()
    other.wait()
    assert len(files(tmp_path)) == 2
    with claim("score", [place(tmp_path, "0.parquet")]).held({"k": 2}):
        write(tmp_path / "0.parquet")
    assert sorted(files(tmp_path)) == [RECORD, "0.parquet"]


def test_beside_a_single_file_only_its_own_left_overs_are_looked_at(tmp_path):
    (tmp_path / partial_name("a.txt")).touch()
    (tmp_path / partial_name("b.txt")).touch()
    assert [
        os.path.basename(p.path)[:7] for p in claim("filter", [Place.of_file("--out", f"{tmp_path}/a.txt")]).partials
    ] == [".a.txt."]


@pytest.mark.parametrize("kept", [False, True])
def test_ctrl_c_tells_whether_anything_is_kept(tmp_path, kept):
    def run():
        with claim("score", [place(tmp_path, "0.parquet")]).held({}):
            if kept:
                write(tmp_path / "0.parquet")
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as told:
        run()
    assert told.value.kept is kept


def test_to_ask_touches_nothing_and_to_take_sweeps(tmp_path):
    left = tmp_path / "out" / partial_name("a.parquet").replace(str(os.getpid()), "999999")
    left.parent.mkdir()
    left.write_bytes(b"half")
    there = asked("embed", [place(tmp_path / "out", "a.parquet"), place(tmp_path / "new", "b.parquet")])
    assert sorted(files(tmp_path)) == [f"out/{left.name}"]
    there.take()
    assert not left.exists()
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_takes_nothing_is_told_by_asking(tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(NcauditError, match="cannot be written"):
        asked("embed", [place(tmp_path / "out", "a.parquet")])


def test_a_file_in_place_of_the_folder_is_told_by_asking(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(NcauditError, match="is no folder"):
        asked("embed", [place(tmp_path / "out", "a.parquet")])


def held_by(tmp_path, command_n, told):
    """A run with these options into one folder; the command line that its record tells."""
    with made_by(SampleOptions(scores=["s"], out="o.csv", n=command_n)):
        with claim("embed", [place(tmp_path, "a.parquet", record=RECORD)]).held(told):
            table(tmp_path / "a.parquet", verb="embed")
            write(tmp_path / RECORD.replace("json", "txt"))
    return json.loads((tmp_path / RECORD).read_text()).get("command")


def test_the_record_tells_the_command_that_began_and_a_rerun_leaves_it(tmp_path):
    assert held_by(tmp_path, 5, {"x": 1}) == "ncaudit sample s --out o.csv --n 5"
    assert held_by(tmp_path, 6, {"x": 1}) == "ncaudit sample s --out o.csv --n 5"
    assert held_by(tmp_path, 7, {"x": 2}) == "ncaudit sample s --out o.csv --n 7"


def test_a_record_of_an_earlier_version_stays_as_it_is(tmp_path):
    held_by(tmp_path, 5, {"x": 1})
    record = json.loads((tmp_path / RECORD).read_text())
    del record["command"]
    (tmp_path / RECORD).write_text(json.dumps(record))
    assert held_by(tmp_path, 5, {"x": 1}) is None


def test_of_a_command_that_runs_others_its_own_line_is_told(tmp_path):
    with made_by(SampleOptions(scores=["all"], out="o.csv")):
        assert held_by(tmp_path, 5, {"x": 1}) == "ncaudit sample all --out o.csv"

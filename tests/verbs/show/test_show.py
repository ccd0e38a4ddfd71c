"""Which rows are shown, in which order, with which captions and pictures: known by hand."""

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

import ncaudit
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import Reason, ShowOptions
from ncaudit.schema import REASONS
from ncaudit.verbs.show.show import show
from tests.worlds import shown as world
from tests.worlds.datasets import write
from tests.worlds.shown import CAPTIONS, CLASSES, IDS, PICTURES, WORST


def shown(path, **options):
    return show(ShowOptions(scores=[str(path)], **options))


def ids(result, name=None):
    return "".join(pair.pair_id for pair in result.pairs if name in (None, pair.list))


@pytest.fixture
def data(tmp_path):
    return world.dataset(tmp_path / "in")


@pytest.fixture
def scores(tmp_path, data):
    return world.table(tmp_path / "scores/data.parquet", of=data)


def test_the_worst_come_first_and_failed_rows_not_at_all(scores):
    result = shown(scores)
    assert (ids(result), result.rows) == (WORST, 8)
    assert [(one.name, one.count) for one in result.lists] == [("worst", 7)]
    assert ids(shown(scores, worst=2)) == WORST[:2]


def test_each_list_has_its_rows_in_its_order(scores):
    assert ids(shown(scores, unsure=True)) == "gd"  # .48 is nearer to one half than .60
    assert ids(shown(scores, reason="mismatch")) == "ca"
    assert ids(shown(scores, reason=Reason.duplicate)) == "e"
    against = shown(scores, against="similarity")
    assert (ids(against, "noisy-but-close"), ids(against, "clean-but-far")) == ("aec", "bf")
    assert [pair.pair_id for pair in shown(scores, against="similarity", worst=1).pairs] == ["a", "b"]


def test_a_pair_is_shown_with_all_that_the_table_knows(scores):
    (pair,) = shown(scores, worst=1).pairs
    assert (pair.pair_id, pair.shard, pair.row, pair.status) == ("c", "data.parquet", 2, "ok")
    assert (pair.caption, pair.verdict, pair.reason) == ("caption of c", "noisy", "mismatch")
    assert (pair.soft_label, pair.similarity, pair.score) == pytest.approx((0.01, 0.05, -5))
    assert (pair.image_anchor, pair.image_anchor_caption) == ("b", "caption of b")
    assert (pair.text_anchor, pair.text_anchor_caption) == ("f", "caption of f")
    assert (pair.caption_count, pair.image_count, pair.image, pair.image_problem) == (1, 3, None, None)


def test_several_tables_are_one_list(tmp_path, scores):
    low = pa.array([0.001, *[0.9] * 7], pa.float32())
    world.table(scores.parent / "more.parquet", pair_id=[f"m{i}" for i in range(8)], soft_label=low)
    result = shown(scores.parent, worst=2)
    assert ([pair.pair_id for pair in result.pairs], result.rows) == (["m0", "c"], 16)


def test_what_no_fit_here_knows_of_an_anchor_is_left_out(tmp_path):
    scores = world.table(tmp_path / "s.parquet", image_anchor=["elsewhere"] * 8)
    (pair,) = shown(scores, worst=1).pairs
    assert (pair.image_anchor, pair.image_anchor_caption) == ("elsewhere", None)


@pytest.mark.parametrize("lacks", [("soft_label", "verdict"), ("soft_label", "verdict", "score", "image_anchor")])
def test_without_labels_the_next_number_ranks(tmp_path, lacks):
    table = world.table(tmp_path / "s.parquet", **dict.fromkeys(lacks))
    wanted = "ceagdbf" if len(lacks) == 2 else "cbdgefa"  # by score, by cosine
    assert ids(shown(table)) == wanted


def test_captions_that_the_tables_lack_come_from_the_dataset(tmp_path, data):
    scores = world.table(tmp_path / "s.parquet", of=data, caption=None)
    told = shown(scores, worst=3)
    assert [pair.caption for pair in told.pairs] == [None] * 3
    assert "--data" in told.notes[0]
    found = shown(scores, worst=3, data=[str(data)])
    assert [pair.caption for pair in found.pairs] == ["caption of c", "caption of e", "caption of a"]
    assert [(pair.image_anchor_caption, pair.text_anchor_caption) for pair in found.pairs] == [
        ("caption of b", "caption of f")
    ] * 3
    assert found.notes == ()


def test_pictures_are_written_as_they_are_under_the_names_of_their_pairs(tmp_path, scores, data):
    result = shown(scores, worst=3, data=[str(data)], images=str(tmp_path / "pics"))
    wanted = {"c.jpg": PICTURES[2], "e.jpg": PICTURES[4], "a.jpg": PICTURES[0]}
    there = {path.name: path.read_bytes() for path in (tmp_path / "pics").iterdir() if path.suffix != ".json"}
    assert there == wanted
    assert [Path(pair.image).name for pair in result.pairs] == list(wanted)
    assert result.images == str(tmp_path / "pics")


def test_pictures_are_found_by_the_row_whatever_the_order_and_the_name_of_the_dataset(tmp_path, scores, data):
    moved = data.rename(tmp_path / "renamed.parquet")
    world.dataset(tmp_path, "other.parquet", caption=["other"] * 8)
    for source in ([str(moved)], [str(tmp_path / "renamed.parquet"), str(tmp_path / "other.parquet")]):
        out = tmp_path / f"pics{len(source)}"
        shown(scores, against="similarity", data=source, images=str(out))
        assert {p.stem: p.read_bytes() for p in out.glob("[a-h].*")} == {n: PICTURES[IDS.index(n)] for n in "aecbf"}


def test_a_rerun_replaces_its_own_pictures_and_nobody_elses(tmp_path, scores, data):
    out = tmp_path / "pics"
    shown(scores, worst=2, data=[str(data)], images=str(out))
    (out / "a.jpg").write_bytes(b"mine")
    shown(scores, worst=2, data=[str(data)], images=str(out))
    with pytest.raises(NcauditError, match=r"a\.jpg is there already"):
        shown(scores, worst=3, data=[str(data)], images=str(out))
    assert (out / "a.jpg").read_bytes() == b"mine"
    shown(scores, worst=3, data=[str(data)], images=str(out), overwrite=True)
    assert (out / "a.jpg").read_bytes() == PICTURES[0]


def test_pairs_without_a_picture_say_why(tmp_path, data):
    lacking = world.dataset(tmp_path / "lacking", jpg=[*PICTURES[:2], None, *PICTURES[3:]])
    scores = world.table(tmp_path / "s.parquet", of=lacking)
    result = shown(scores, worst=2, data=[str(lacking)], images=str(tmp_path / "pics"))
    assert [(pair.pair_id, pair.image is None) for pair in result.pairs] == [("c", True), ("e", False)]
    assert result.pairs[0].image_problem == "image_missing: null"
    assert result.notes == ("1 of 2 pairs have no picture",)


def test_the_pictures_of_tars_and_of_paths_are_found(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, picture in zip(IDS, PICTURES, strict=True):
        (tmp_path / f"photos/{name}.jpg").write_bytes(picture)
    paths = write(tmp_path / "paths.csv.parquet", {"image_path": [f"{n}.jpg" for n in IDS], "caption": CAPTIONS})
    with tarfile.open(tmp_path / "data.tar", "w") as tar:
        for name, picture, caption in zip(IDS, PICTURES, CAPTIONS, strict=True):
            for suffix, content in (("jpg", picture), ("txt", caption.encode())):
                entry = tarfile.TarInfo(f"{name}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    for source, more in ((tmp_path / "data.tar", {}), (paths, {"image_root": str(tmp_path / "photos")})):
        scores = world.table(tmp_path / f"{source.name}-scores.parquet", of=source, shard=[source.name] * 8)
        out = tmp_path / f"{source.name}-pics"
        shown(scores, worst=2, data=[str(source)], images=str(out), **more)
        assert {p.stem: p.read_bytes() for p in out.glob("[a-h].*")} == {"c": PICTURES[2], "e": PICTURES[4]}


def test_of_a_row_with_several_captions_each_pair_gets_its_own(tmp_path):
    data = world.dataset(tmp_path, caption=[[f"first {n}", f"second {n}"] for n in IDS])
    scores = world.table(
        tmp_path / "s/data.parquet", of=data, caption=None, pair_id=[f"{n}/1" for n in IDS], image_anchor=None
    )
    result = shown(scores, worst=2, data=[str(data)])
    assert [pair.caption for pair in result.pairs] == ["second c", "second e"]


def test_another_dataset_is_refused(tmp_path, scores, data):
    other = world.dataset(tmp_path / "other", caption=[f"another {n}" for n in IDS])
    with pytest.raises(BadTable, match="its content differs") as refused:
        shown(scores, data=[str(other)])
    assert "--key" in refused.value.fix
    assert ids(shown(scores, data=[str(other)], key="key", worst=2)) == "ce"


def test_a_dataset_that_lacks_the_shard_is_refused(tmp_path, data):
    scores = world.table(tmp_path / "s.parquet", of=data, shard=["elsewhere.parquet"] * 8)
    world.dataset(tmp_path / "two", "1.parquet", key=None, caption=["x"] * 8)
    world.dataset(tmp_path / "two", "2.parquet", key=None, caption=["y"] * 8)
    with pytest.raises(BadTable, match=r"has no shard elsewhere\.parquet"):
        shown(scores, data=[str(tmp_path / "two")])


def test_a_table_that_does_not_say_what_it_was_made_from_is_held_against_the_captions(tmp_path, data):
    scores = world.table(tmp_path / "s.parquet")
    assert ids(shown(scores, data=[str(data)], worst=2)) == "ce"
    other = world.dataset(tmp_path / "other", caption=[f"another {n}" for n in IDS])
    with pytest.raises(BadTable, match="has another caption for"):
        shown(scores, data=[str(other)])
    short = write(tmp_path / "short.parquet", {"jpg": PICTURES[:2], "caption": CAPTIONS[:2]})
    with pytest.raises(BadTable, match="has no row 2, which"):
        shown(scores, data=[str(short)])


def test_tables_without_places_are_found_by_the_datasets_own_key(tmp_path, data):
    scores = world.table(tmp_path / "s.parquet", shard=None, row=None)
    shown(scores, worst=1, data=[str(data)], images=str(tmp_path / "pics"))
    assert (tmp_path / "pics/c.jpg").read_bytes() == PICTURES[2]


def test_of_judged_classes_the_least_likely_come_first(tmp_path, data):
    labels = world.table(tmp_path / "labels.parquet", of=data, rows=CLASSES)
    result = shown(labels, worst=3, data=[str(data)])
    assert ids(result) == "cad"
    first = result.pairs[0]
    assert (first.given_label, first.suggested_label, first.partition) == ("cat", "dog", "noisy")
    assert (first.caption, list(first.why)) == ("caption of c", ["b", "d"])
    for mode in ({"unsure": True}, {"reason": "mismatch"}, {"against": "similarity"}):
        with pytest.raises(BadTable, match="holds judged classes"):
            shown(labels, **mode)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"worst": 0}, "--worst is 0"),
        ({"worst": -3}, "--worst is -3"),
        ({"reason": "ugly"}, "--reason is ugly"),
        ({"against": "colour"}, "--against is colour"),
        ({"unsure": True, "reason": "mismatch"}, "lists of their own"),
        ({"images": "pics"}, "--images needs the dataset"),
        ({"image_root": "photos"}, "--image-root says how the dataset is read"),
        ({"overwrite": True}, "--overwrite is about files"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(UsageError) as refused:
        ShowOptions(scores=["scores"], **options)
    assert words in refused.value.message


def test_the_reasons_that_can_be_asked_for_are_those_that_score_gives():
    assert [reason.value for reason in Reason] == list(REASONS)
    with pytest.raises(UsageError) as refused:
        ShowOptions(scores=["scores"], reason="ugly")
    assert all(reason in refused.value.fix for reason in REASONS)


@pytest.mark.parametrize(
    ("lacks", "options", "word"),
    [
        (("soft_label", "score", "similarity"), {}, "soft_label"),
        (("reason",), {"reason": "mismatch"}, "reason"),
        (("similarity",), {"against": "similarity"}, "similarity"),
        (("verdict", "soft_label"), {"unsure": True}, "soft_label"),
        (("pair_id",), {}, "pair_id"),
    ],
)
def test_a_table_that_lacks_what_a_list_goes_by_is_refused(tmp_path, lacks, options, word):
    table = world.table(tmp_path / "s.parquet", **dict.fromkeys(lacks))
    with pytest.raises(BadTable, match=f"has no column {word}"):
        shown(table, **options)


def test_embeddings_are_refused_with_what_to_do(tmp_path, write_embeddings):
    folder = write_embeddings("data", n=8)
    with pytest.raises(BadTable, match="no scores yet") as refused:
        shown(folder)
    assert "ncaudit score" in refused.value.fix
    world.table(folder / "scores/data.parquet")
    with pytest.raises(BadTable) as refused:
        shown(folder)
    assert str(folder / "scores") in refused.value.fix


def test_all_failed_rows_are_an_empty_list(tmp_path):
    failed = {"status": ["image_missing"] * 8, "soft_label": pa.nulls(8, pa.float32())}
    result = shown(world.table(tmp_path / "s.parquet", **failed))
    assert (result.pairs, result.lists[0].count, result.rows) == ((), 0, 8)


def test_one_row_is_shown(tmp_path):
    one = {name: pa.array(column).slice(0, 1) for name, column in world.TABLE.items()}
    assert ids(shown(world.table(tmp_path / "s.parquet", rows=one))) == "a"


def test_a_caption_of_a_million_letters_is_cut_with_its_length(tmp_path):
    table = world.table(tmp_path / "s.parquet", caption=["x" * 1_000_000] * 8)
    (pair,) = shown(table, worst=1).pairs
    assert (len(pair.caption), pair.caption_characters) == (20_000, 1_000_000)


def test_no_torch_is_loaded(tmp_path, scores, data):
    script = (
        "import sys; from ncaudit.cli.app import main; sys.argv = ['ncaudit', *sys.argv[1:]]\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules, 'torch'"
    )
    words = ["show", str(scores), "--data", str(data), "--images", str(tmp_path / "pics"), "--against", "similarity"]
    ran = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_python_has_it():
    assert ncaudit.show.__wrapped__ is show

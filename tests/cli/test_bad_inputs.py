"""Data that is damaged, mislabelled or hostile: its rows have a status, or two lines say what is wrong and what to do.

Truncated tars are in `tests/shards/readers/test_tar.py`, all that a file can be instead of data in `test_formats.py`.
"""

import io
import json
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from tests.worlds.commands import MODEL, embedded, run, told
from tests.worlds.datasets import write
from tests.worlds.sample import SAMPLE

pytestmark = pytest.mark.usefixtures("tiny_model")

MILLION = 1_000_000


@pytest.fixture(scope="module")
def photos():
    return pq.read_table(SAMPLE / "train.parquet", columns=["jpg"])["jpg"].to_pylist()[:3]


def table(folder, stem="x"):
    return pq.read_table(folder / f"{stem}.parquet", partitioning=None)


def refused(source, *more):
    return told("embed", source, "--out", source.parent / "out", *MODEL, *more)


@pytest.mark.parametrize("end", [-1, -100, 20, 4])
def test_a_truncated_parquet(end, tmp_path, photos):
    whole = write(tmp_path / "x.parquet", {"jpg": photos, "caption": ["a", "b", "c"]}).read_bytes()
    (tmp_path / "x.parquet").write_bytes(whole[:end])
    assert "x.parquet cannot be read as parquet: it was cut short, its end is missing | " in refused(
        tmp_path / "x.parquet"
    )


def test_a_truncated_parquet_among_others(tmp_path, photos):
    whole = write(tmp_path / "d/x.parquet", {"jpg": photos, "caption": ["a", "b", "c"]}).read_bytes()
    (tmp_path / "d/y.parquet").write_bytes(whole[:-100])
    ran = embedded(tmp_path / "d", tmp_path / "out", "--json", code=3)
    accounts = json.loads(ran.stdout)["accounting"]
    assert (accounts["ok"], [error["shard"] for error in accounts["shard_errors"]]) == (3, ["y.parquet"])


def test_a_zip_archive_named_parquet(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("00000.parquet", "PAR1")
    (tmp_path / "x.parquet").write_bytes(file.getvalue())
    assert "x.parquet is a zip archive, not parquet |   fix: unpack it" in refused(tmp_path / "x.parquet")


def test_a_page_saved_as_an_image_and_an_image_of_no_bytes(tmp_path, photos):
    page = b"<!DOCTYPE html><html><body>404</body></html>"
    write(tmp_path / "x.parquet", {"jpg": [photos[0], page, b""], "caption": ["a", "b", "c"]})
    for name, content in (("0.jpg", photos[0]), ("1.jpg", page), ("2.jpg", b"")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "y.csv").write_text("file_name,caption\n0.jpg,a\n1.jpg,b\n2.jpg,c\n")
    for name in ("x.parquet", "y.csv"):
        embedded(tmp_path / name, tmp_path / "out")
        written = table(tmp_path / "out", name[0])
        assert written["status"].to_pylist() == ["ok", "image_undecodable", "image_undecodable"]
        assert written["detail"][1].as_py().startswith("a web page (HTML), no image")
        assert written["detail"][2].as_py() == "0 bytes"


def test_the_same_key_twice(tmp_path, photos):
    write(tmp_path / "d/x.parquet", {"jpg": photos, "caption": ["a", "b", "c"], "uid": ["1", "2", "3"]})
    write(tmp_path / "d/y.parquet", {"jpg": photos, "caption": ["a", "b", "c"], "uid": ["4", "2", "5"]})
    said = refused(tmp_path / "d")
    assert (
        "y.parquet row 1 has the uid '2' again, after x.parquet row 1 |   fix: name a unique column with --key" in said
    )
    (tmp_path / "z.jsonl").write_text('{"image": "a", "caption": "a", "uid": 7}\n' * 2)
    assert "z.jsonl row 1 has the uid '7' again, after z.jsonl row 0" in refused(tmp_path / "z.jsonl", "--key", "uid")
    embedded(tmp_path / "d", tmp_path / "out", "--key", "")
    assert table(tmp_path / "out", "y")["pair_id"].to_pylist() == ["y/0", "y/1", "y/2"]


def test_captions_of_a_million_characters(tmp_path, photos):
    long = "a red circle, " * (MILLION // 14)
    (tmp_path / "0.jpg").write_bytes(photos[0])
    lines = [{"image": "0.jpg", "caption": long}, {"image": "0.jpg", "caption": "a red circle"}]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "x.csv").write_text(f'image,caption\n0.jpg,"{long}"\n0.jpg,a red circle\n')
    embedded(tmp_path / "x.jsonl", tmp_path / "out")
    written = table(tmp_path / "out")
    assert written["status"].to_pylist() == ["ok", "ok"]
    assert written["caption"].to_pylist() == [long, "a red circle"]
    cells = pa.Table.from_batches(open_shard(Shard.of_file(str(tmp_path / "x.csv"))).batches(64))
    assert cells["caption"].to_pylist() == [long, "a red circle"]


@pytest.mark.parametrize(
    ("columns", "flags", "said"),
    [
        ({"jpg": [b"i"], "caption": [7]}, (), "x.parquet has no caption column (found: jpg, caption)"),
        ({"jpg": [b"i"], "n": [7]}, ("--caption-column", "n"), "column n is int64, which holds no caption"),
        ({"jpg": [7], "caption": ["a"]}, (), "x.parquet has no image column (found: jpg, caption)"),
        ({"n": [0.5], "caption": ["a"]}, ("--image-column", "n"), "column n is double, which holds no image"),
        ({"jpg": [b"i"], "caption": ["a"], "uid": [0.5]}, ("--key", "uid"), "no column uid that can name pairs"),
    ],
)
def test_a_column_of_the_wrong_type(columns, flags, said, tmp_path):
    write(tmp_path / "x.parquet", columns)
    answer = refused(tmp_path / "x.parquet", *flags)
    assert said in answer
    assert "fix: name it with --" in answer


def test_a_carried_column_of_two_types_stays_what_each_shard_has(tmp_path, photos):
    """Tables are one per shard, so nothing has to fit; one stream of all is refused with the way out."""
    for name, n in (("x", [1, 2, 3]), ("y", ["1", "two", "3"])):
        write(tmp_path / f"d/{name}.parquet", {"jpg": photos, "caption": ["a", "b", "c"], "n": n})
    embedded(tmp_path / "d", tmp_path / "out")
    assert [table(tmp_path / "out", name).schema.field("n").type for name in "xy"] == [pa.int64(), pa.string()]
    said = told("embed", tmp_path / "d", "--out", "-", *MODEL)
    assert "y.parquet has a column of another type than the shards before it" in said
    assert "--columns" in said
    scoring = ("score", tmp_path / "out", "--scorer", "clip-score", "--no-check", "--out")
    for out in (tmp_path / "one.parquet", "-"):
        said = told(*scoring, out)
        assert "y.parquet do not fit into one table: Unable to merge: Field n has incompatible types" in said
    assert run(*scoring, tmp_path / "scores").exit_code == 0
    assert [table(tmp_path / "scores", name).schema.field("n").type for name in "xy"] == [pa.int64(), pa.string()]


def test_a_shard_without_captions_among_others_fails_alone(tmp_path, photos):
    write(tmp_path / "d/x.parquet", {"jpg": photos, "caption": ["a", "b", "c"]})
    write(tmp_path / "d/y.parquet", {"jpg": photos, "words": ["a", "b", "c"]})
    ran = embedded(tmp_path / "d", tmp_path / "out", code=3)
    assert "failed shard: y.parquet has no caption column (found: jpg, words)" in ran.stdout


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "in/../../secret.jpg", "link.jpg"])
@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_an_image_path_that_leads_outside(path, form, tmp_path, photos):
    (tmp_path / "data/in").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(photos[0])
    os.symlink(tmp_path / "secret.jpg", tmp_path / "data/link.jpg")
    source = tmp_path / f"data/x.{form}"
    if form == "parquet":
        write(source, {"image_path": [path], "caption": ["a"]})
    else:
        row = json.dumps({"image_path": path, "caption": "a"})
        source.write_text(f"image_path,caption\n{path},a\n" if form == "csv" else row)
    embedded(source, tmp_path / "out")
    written = table(tmp_path / "out")
    assert written["status"].to_pylist() == ["image_missing"]
    assert "outside the image folder; see --image-root" in written["detail"][0].as_py()


def test_two_shards_of_one_name_from_two_folders(tmp_path, photos):
    for folder in "AB":
        write(tmp_path / folder / "x.parquet", {"jpg": photos, "caption": [folder] * 3})
    ran = run("embed", tmp_path / "A", tmp_path / "B", "--out", tmp_path / "out", *MODEL)
    assert ran.exit_code == 0, ran.output
    for folder in "AB":
        written = table(tmp_path / "out", f"{folder}/x")
        assert (written["caption"][0].as_py(), written["pair_id"][0].as_py()) == (folder, f"{folder}/x/0")


def test_two_formats_of_one_name_in_one_folder(tmp_path, photos):
    write(tmp_path / "x.parquet", {"jpg": photos, "caption": ["a", "b", "c"]})
    (tmp_path / "x.jsonl").write_text('{"image": "0.jpg", "caption": "a"}\n')
    said = told("embed", tmp_path / "x.parquet", tmp_path / "x.jsonl", "--out", tmp_path / "out", *MODEL)
    assert "two inputs have the same output" in said

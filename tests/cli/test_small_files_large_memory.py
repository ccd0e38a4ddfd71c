"""Small files that stand for gigabytes are read within bounds, or refused in two lines: in measured processes."""

import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds import bombs
from tests.worlds.commands import embedded, run

MOST_MIB = 1_024  # each took 2 to 16 GiB
REFUSED = {
    "page.parquet": r"a page of column caption (row group 0) unpacks from",
    "nulls.parquet": r"column caption (row group 0) says 100,000,000 values in a few bytes",
    "packed.arrow": r"packed.arrow: record batch 0 unpacks from",
    "packed_stream.arrow": r"packed_stream.arrow: a record batch unpacks from",
    "line.jsonl.gz": r"line.jsonl.gz, line 1 is longer than 67,108,864 bytes (--max-row-bytes)",
    "values.jsonl.gz": r"values.jsonl.gz, line 1 holds some 33,554,438 values",
    "cell.csv.gz": r"cell.csv.gz line 3: a row is longer than 67,108,864 bytes",
    "quote.csv.gz": r"quote.csv.gz line 2: a row is longer than 67,108,864 bytes",
    "header.csv.gz": r"header.csv.gz holds no header",
}
READ = {
    "dictionary.parquet": "1,200 rows",
    "prefixes.parquet": "300 rows",
    "nested.parquet": "501 rows",
    "dictionary.arrow": "1,200 rows",
    "views.arrow": "1,200 rows",
    "runs.arrow": "1,200 rows",
    "members.tar.gz": "5 rows",
    "features.parquet": "1,500 rows",
}
TOO_LARGE = {
    "nested.parquet": "1 row is too large, which embed fails (",
    "members.tar.gz": "2 rows are too large, which embed fails (",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a process of its own says of every file, and the memory that it took."""
    folder = tmp_path_factory.mktemp("bombs")
    bombs.write_all(str(folder))
    words = [sys.executable, "-m", "tests.worlds.bombs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ)
    return json.loads(done.stdout)


def test_no_file_of_kilobytes_takes_gigabytes(told):
    assert {*told} == {*REFUSED, *READ}
    assert {name: took for name, (*_, took) in told.items() if took > MOST_MIB} == {}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_within_bounds_is_refused_in_two_lines(told, name):
    code, stderr, *_ = told[name]
    assert code == 1
    what, fix = stderr.splitlines()[-2:]
    assert (what.startswith("ncaudit: "), fix.startswith("  fix: ")) == (True, True)
    assert REFUSED[name] in what


@pytest.mark.parametrize("name", READ)
def test_what_can_be_read_in_pieces_is(told, name):
    code, stderr, stdout, _ = told[name]
    assert (code, READ[name] in stdout) == (0, True), stderr
    assert TOO_LARGE.get(name, "") in stderr


def test_embed_fails_the_rows_that_are_too_large_and_no_others(tmp_path, tiny_model):
    bombs.write_tar(str(tmp_path / "x.tar.gz"), 65 * bombs.MIB)
    embedded(tmp_path / "x.tar.gz", tmp_path / "out")
    table = pq.read_table(tmp_path / "out/x.parquet")
    assert table["status"].to_pylist() == ["ok", "row_too_large", "row_too_large", "row_too_large", "ok"]
    limit = "68,157,440 bytes, allowed are 67,108,864 (--max-row-bytes)"
    assert table["detail"].to_pylist()[1:4] == [f".txt: {limit}", f".jpg: {limit}", f".json: {limit}"]
    embedded(tmp_path / "x.tar.gz", tmp_path / "more", "--max-row-bytes", 70 * bombs.MIB, code=1)  # zeros are no JSON


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream"])
def test_a_cell_that_is_too_large_fails_its_row_in_every_column(tmp_path, tiny_model, form):
    captions = ["a dog", "b" * 5_000, "a cat", "a cow"]
    images = [bombs.IMAGE, bombs.IMAGE, bombs.IMAGE + bytes(5_000), bombs.IMAGE]
    table = pa.table({"jpg": images, "caption": captions, "more": ["x", "y", "z", "w" * 5_000]})
    path = tmp_path / ("x.parquet" if form == "parquet" else "x.arrow")
    if form == "parquet":
        pq.write_table(table, path, row_group_size=3)
    else:
        bombs.write_arrow(str(path), table.combine_chunks().to_batches()[0], stream=form == "stream")
    embedded(path, tmp_path / "out", "--max-row-bytes", 4_096)
    found = pq.read_table(tmp_path / "out/x.parquet")
    assert found["status"].to_pylist() == ["ok", *["row_too_large"] * 3]
    assert [told and told.split(":")[0] for told in found["detail"].to_pylist()] == [None, "caption", "jpg", "more"]
    assert found["more"].to_pylist() == ["x", "y", "z", None]
    embedded(path, tmp_path / "out", "--max-row-bytes", 8_192)
    assert pq.read_table(tmp_path / "out/x.parquet")["status"].to_pylist() == ["ok"] * 4


def test_an_image_file_that_is_too_large_is_not_read(tmp_path, tiny_model):
    (tmp_path / "a.png").write_bytes(bombs.IMAGE)
    with open(tmp_path / "b.png", "wb") as sparse:
        sparse.truncate(65 * bombs.MIB)
    (tmp_path / "x.csv").write_text("image_path,caption\na.png,a dog\nb.png,a cat\n")
    embedded(tmp_path / "x.csv", tmp_path / "out")
    table = pq.read_table(tmp_path / "out/x.parquet")
    assert table["status"].to_pylist() == ["ok", "image_too_large"]
    assert table["detail"][1].as_py() == "b.png: 68,157,440 bytes, allowed are 67,108,864 (--max-row-bytes)"


def test_the_default_limit_is_no_part_of_what_a_table_says_of_itself(tmp_path, tiny_model):
    pq.write_table(pa.table({"jpg": [bombs.IMAGE], "caption": ["a dog"]}), tmp_path / "x.parquet")
    for out, more in (("one", ()), ("two", ("--max-row-bytes", 64 * bombs.MIB)), ("three", ("--max-row-bytes", 9_999))):
        embedded(tmp_path / "x.parquet", tmp_path / out, *more)
    one, two, three = ((tmp_path / out / "x.parquet").read_bytes() for out in ("one", "two", "three"))
    assert one == two
    assert b'"max_row_bytes": 9999' in three


def test_a_limit_that_nothing_fits_is_refused(tmp_path):
    ran = run("inspect", tmp_path, "--max-row-bytes", 100)
    assert (ran.exit_code, "--max-row-bytes is 100" in ran.stderr) == (2, True)

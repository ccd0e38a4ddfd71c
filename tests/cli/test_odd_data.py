"""Data as strangers keep them, through the real command: every pair once, or an answer that names what helps."""

import base64
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worlds.commands import MODEL, embedded, run, told
from tests.worlds.datasets import write
from tests.worlds.images import drawn
from tests.worlds.tars import write_tar

PHOTOS = [drawn(seed, (24, 24)) for seed in range(4)]
CAPTIONS = [f"caption {i}" for i in range(4)]
TABLE = {"image": pa.array(PHOTOS, pa.binary()), "caption": CAPTIONS}


def rows_in(folder):
    tables = [pq.read_table(path, partitioning=None) for path in sorted(folder.rglob("*.parquet"))]
    return [row for table in tables for row in table.to_pylist()]


def captions_in(folder):
    return [row["caption"] for row in rows_in(folder) if row["status"] == "ok"]


def test_left_overs_and_links_double_no_pair(tmp_path):
    for name in ("0.parquet", "_temporary/0/0.parquet", ".ipynb_checkpoints/0.parquet"):
        write(tmp_path / "data" / name, TABLE)
    (tmp_path / "data/again").symlink_to(".")
    (tmp_path / "data/up").symlink_to("..")
    embedded(tmp_path / "data", tmp_path / "e")
    assert captions_in(tmp_path / "e") == CAPTIONS
    embedded(tmp_path / "data/_temporary", tmp_path / "named")
    assert captions_in(tmp_path / "named") == CAPTIONS


def test_a_pipe_in_the_folder_is_one_failed_shard(tmp_path):
    write(tmp_path / "data/0.parquet", TABLE)
    os.mkfifo(tmp_path / "data/1.parquet")
    ran = embedded(tmp_path / "data", tmp_path / "e", code=3)
    assert "1.parquet is no regular file, but a named pipe" in ran.output
    assert captions_in(tmp_path / "e") == CAPTIONS


def test_a_pipe_by_its_own_name_is_refused_and_not_waited_for(tmp_path):
    read, write_end = os.pipe()
    command = [sys.executable, "-m", "ncaudit", "-q", "inspect", f"/dev/fd/{read}"]
    done = subprocess.run(command, capture_output=True, text=True, pass_fds=[read], timeout=60, check=False)
    os.close(read)
    os.close(write_end)
    assert done.returncode == 1
    assert "is no regular file, but a named pipe" in done.stderr
    assert len(done.stderr.splitlines()) == 2


NAMES = [b"caf\xe9.parquet", b"caf\xe8.parquet", b"new\nline.parquet", b"[a] b%20#?.parquet", b"\x1b[31m.parquet"]


def test_names_of_every_kind_are_read_and_told_apart(tmp_path):
    folder = os.fsencode(tmp_path / "data") + b"\xff"
    os.makedirs(folder)
    for name in NAMES:
        os.rename(write(tmp_path / "0.parquet", TABLE), os.path.join(folder, name))
    embedded(os.fsdecode(folder), tmp_path / "e")
    embedded(os.fsdecode(folder), tmp_path / "e")  # all finished earlier
    assert {row["shard"] for row in rows_in(tmp_path / "e")} == {
        "caf\\xe9.parquet", "caf\\xe8.parquet", "new\nline.parquet", "[a] b%20#?.parquet", "\x1b[31m.parquet",
    }  # fmt: skip
    ran = run("score", tmp_path / "e", "--scorer", "clip-score", "--out", tmp_path / "s")
    assert ran.exit_code == 0
    assert len(rows_in(tmp_path / "s")) == 4 * len(NAMES)
    assert run("inspect", os.fsdecode(folder)).exit_code == 0


def test_images_in_base64_are_read_and_not_carried(tmp_path):
    text = [base64.b64encode(photo).decode() for photo in PHOTOS]
    lines = "".join(f"{i}\t{each}\t{CAPTIONS[i]}\n" for i, each in enumerate(text))
    (tmp_path / "b.tsv").write_text(f"index\timage\tcaption\n{lines}")
    objects = [{"image": f"data:image/png;base64,{each}", "caption": c} for each, c in zip(text, CAPTIONS, strict=True)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(each) + "\n" for each in objects))
    for name in ("b.tsv", "d.jsonl"):
        embedded(tmp_path / name, tmp_path / f"e_{name}")
        assert captions_in(tmp_path / f"e_{name}") == CAPTIONS
    embedded(tmp_path / "b.tsv", tmp_path / "clip", "--layout", "clip-retrieval")
    (metadata,) = (tmp_path / "clip/metadata").iterdir()
    assert pq.read_table(metadata)["image_path"].to_pylist() == [None] * 4


def test_lines_and_fields_are_captions_where_that_is_asked_for(tmp_path):
    files = [f for i in range(4) for f in ((f"{i}.png", PHOTOS[i]), (f"{i}.txt", f"one {i}\ntwo {i}\n".encode()))]
    write_tar(tmp_path / "t.tar", files)
    assert "4 hold several lines" in run("inspect", tmp_path / "t.tar").output
    embedded(tmp_path / "t.tar", tmp_path / "e", "--caption-lines")
    assert captions_in(tmp_path / "e") == [f"{word} {i}" for i in range(4) for word in ("one", "two")]
    nested = pa.array([{"en": c, "de": "x"} for c in CAPTIONS])
    write(tmp_path / "n.parquet", image=TABLE["image"], caption=nested)
    assert "caption.en or caption.de" in told("embed", tmp_path / "n.parquet", *MODEL, "--out", tmp_path / "n")
    embedded(tmp_path / "n.parquet", tmp_path / "n", "--caption-column", "caption.en")
    assert captions_in(tmp_path / "n") == CAPTIONS
    found = json.loads(run("inspect", tmp_path / "n.parquet", "--caption-column", "caption.de", "--json").stdout)
    assert found["captions"]["examples"] == ["x"]


@pytest.mark.parametrize("verb", ["inspect", "embed"])
def test_shards_without_images_are_not_called_damaged(tmp_path, verb):
    write(tmp_path / "data/0.parquet", TABLE)
    write(tmp_path / "data/1.parquet", url=["http://x"], caption=["a"])
    more = (*MODEL, "--out", tmp_path / "e") if verb == "embed" else ()
    ran = run(verb, tmp_path / "data", *more)
    assert ran.exit_code == 3
    assert "1.parquet has no image column" in ran.output
    assert "still at the addresses in column url" in ran.output
    assert "damaged" not in ran.output
    assert "fetch" not in ran.output


HELD = [("text", "base64 text"), ("data", "base64 text"), ("path", "paths of files")]


@pytest.mark.parametrize(("cell", "told"), HELD)
def test_inspect_says_how_text_holds_images(tmp_path, cell, told):
    text = base64.b64encode(PHOTOS[0]).decode()
    (tmp_path / "a.png").write_bytes(PHOTOS[0])
    cells = {"text": text, "data": f"data:image/png;base64,{text}", "path": "a.png"}
    pq.write_table(pa.table({"image": [None, cells[cell]], "caption": ["a", "b"]}), tmp_path / "x.parquet")
    assert f"images: column image ({told})" in run("inspect", tmp_path / "x.parquet").output

"""Links in a tar: read as the file before them that they lead to; one that leads nowhere is a row that says so."""

import io
import tarfile

import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.readers.tars.tar import TarShard
from ncaudit.shards.readers.tars.tar_samples import read_samples
from tests.worlds.bombs import IMAGE
from tests.worlds.commands import embedded, run


def write(path, *files, mode="w", form=tarfile.GNU_FORMAT):
    """files: (name, bytes), or (name, kind of link, what it leads to)."""
    with tarfile.open(path, mode, format=form) as tar:
        for name, *rest in files:
            info = tarfile.TarInfo(name)
            if len(rest) == 1:
                info.size = len(rest[0])
                tar.addfile(info, io.BytesIO(rest[0]))
            else:
                info.type, info.linkname = rest
                tar.addfile(info)
    return str(path)


HARD, SYMBOLIC = tarfile.LNKTYPE, tarfile.SYMTYPE
LONG = "d" * 120  # names that have headers of their own


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    ("first", "link", "kind", "leads_to"),
    [
        ("a/0.jpg", "a/1.jpg", HARD, "a/0.jpg"),
        ("./a/0.jpg", "./a/1.jpg", HARD, "./a/0.jpg"),
        ("a/0.jpg", "a/1.jpg", HARD, "./a/0.jpg"),
        ("a/0.jpg", "a/1.jpg", SYMBOLIC, "0.jpg"),
        ("b/0.jpg", "a/1.jpg", SYMBOLIC, "../b/0.jpg"),
        ("0.jpg", "1.jpg", SYMBOLIC, "./0.jpg"),
        (f"{LONG}/0.jpg", f"{LONG}/1.jpg", HARD, f"{LONG}/0.jpg"),
    ],
)
def test_a_link_is_the_file_before_it_that_it_leads_to(tmp_path, mode, form, first, link, kind, leads_to):
    if form == tarfile.USTAR_FORMAT and len(leads_to) > 100:
        pytest.skip("ustar has no such names")
    words = link.replace(".jpg", ".txt")
    files = [(first, b"a photo"), (first.replace(".jpg", ".txt"), b"zero"), (link, kind, leads_to), (words, b"one")]
    path = write(tmp_path / "x.tar", *files, mode=mode, form=form)
    found = list(read_samples(path, lambda suffix: True))
    assert [sample.contents for sample in found] == [
        {"jpg": b"a photo", "txt": b"zero"}, {"jpg": b"a photo", "txt": b"one"},
    ]  # fmt: skip


def test_a_link_to_a_link_is_the_file_behind_both(tmp_path):
    path = write(tmp_path / "x.tar", ("0.jpg", b"photo"), ("1.jpg", SYMBOLIC, "0.jpg"), ("2.jpg", HARD, "1.jpg"))
    assert [sample.contents["jpg"] for sample in read_samples(path, lambda suffix: True)] == [b"photo"] * 3


def test_a_link_to_a_link_that_leads_nowhere_leads_nowhere(tmp_path):
    path = write(tmp_path / "x.tar", ("1.jpg", SYMBOLIC, "gone.jpg"), ("2.jpg", HARD, "1.jpg"), ("2.txt", b"two"))
    assert [(*sample.members, *sample.lost) for sample in read_samples(path)] == [("jpg",), ("txt", "jpg")]


def test_the_limit_holds_for_what_a_link_leads_to(tmp_path):
    path = write(tmp_path / "x.tar", ("0.jpg", bytes(4_000)), ("1.jpg", HARD, "0.jpg"), ("1.txt", b"one"))
    shard = TarShard(path, max_row_bytes=3_000)
    assert shard.beyond(["image"]) == dict.fromkeys((0, 1), ".jpg: 4,000 bytes, allowed are 3,000 (--max-row-bytes)")


@pytest.mark.parametrize(
    ("kind", "leads_to"),
    [
        (HARD, "gone.jpg"), (HARD, "2.jpg"), (SYMBOLIC, "/etc/passwd"), (SYMBOLIC, "../../etc/passwd"),
        (SYMBOLIC, "1.jpg"),
    ],
)
def test_a_link_that_leads_elsewhere_is_a_failed_row_with_the_reason(tmp_path, tiny_model, kind, leads_to):
    files = [("0.jpg", IMAGE), ("0.txt", b"zero"), ("1.jpg", kind, leads_to), ("2.jpg", IMAGE), ("2.txt", b"two")]
    write(tmp_path / "x.tar", *files)
    embedded(tmp_path / "x.tar", tmp_path / "out")
    table = pq.read_table(tmp_path / "out/x.parquet")
    assert table["status"].to_pylist() == ["ok", "image_missing", "ok"]
    assert table["detail"][1].as_py() == (
        f"no image; the sample has jpg (a link to {leads_to!r}, which is not before it in the tar)"
    )


def test_a_tar_of_nothing_but_links_says_what_it_has(tmp_path):
    write(tmp_path / "x.tar", ("0.jpg", SYMBOLIC, "/data/0.jpg"), ("1.jpg", SYMBOLIC, "/data/1.jpg"))
    ran = run("embed", tmp_path / "x.tar", "--out", tmp_path / "out")
    assert (ran.exit_code, "links that lead nowhere in the tar: jpg in 2" in ran.output) == (1, True), ran.output


def test_a_link_and_a_file_of_one_suffix_are_refused_as_two_files_are(tmp_path):
    path = write(tmp_path / "x.tar", ("0.jpg", SYMBOLIC, "gone.jpg"), ("0.jpg", b"photo"))
    with pytest.raises(BadTable, match=r"has two files \.jpg in the sample '0'"):
        list(read_samples(path))


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz"])
def test_filter_writes_the_file_in_place_of_a_link_whose_file_it_drops(tmp_path, tiny_model, name):
    (tmp_path / "data").mkdir()
    files = [("0.jpg", IMAGE), ("0.txt", b"zero"), ("1.jpg", HARD, "0.jpg"), ("1.txt", b"one")]
    write(tmp_path / "data" / name, *files, mode="w:gz" if name.endswith("gz") else "w")
    embedded(tmp_path / "data", tmp_path / "emb")
    embeddings = pq.read_table(tmp_path / "emb/x.parquet")
    (tmp_path / "scores").mkdir()
    pq.write_table(
        embeddings.append_column("score", [[0.1, 0.9]]).append_column("soft_label", [[0.1, 0.9]]),
        tmp_path / "scores/x.parquet",
    )
    words = ("filter", tmp_path / "scores", "--where", "soft_label > .5", "--data", tmp_path / "data")
    ran = run(*words, "--out", tmp_path / "kept")
    assert ran.exit_code == 0, ran.output
    with tarfile.open(tmp_path / "kept" / name) as tar:
        assert {one.name: tar.extractfile(one).read() for one in tar} == {"1.jpg": IMAGE, "1.txt": b"one"}

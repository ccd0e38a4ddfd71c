"""Samples are what webdataset makes of a tar, whoever wrote it; what is damaged is said, and where."""

import gzip
import io
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.readers.tars.tar_samples import read_samples
from tests.worlds.tars import contents, img2dataset, pair, samples, write_tar

# the oldest dialect has room for 100 bytes
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0."), min_size=1, max_size=20)


def read(path, wanted=lambda suffix: True):
    return [(sample.key, sample.contents) for sample in read_samples(str(path), wanted)]


def test_adjacent_files_with_one_key_are_a_sample(tmp_path):
    path = write_tar(tmp_path / "s.tar", samples([pair("a", b"A", "one"), pair("b", b"B"), pair("c", b"C", n=1)]))
    found = list(read_samples(str(path), lambda suffix: suffix == "txt"))
    assert [(s.row, s.key, list(s.members), s.contents) for s in found] == [
        (0, "a", ["jpg", "txt"], {"txt": b"one"}),
        (1, "b", ["jpg"], {}),
        (2, "c", ["jpg", "json"], {}),
    ]


def test_the_key_ends_at_the_first_dot_of_the_base_name_and_the_folder_stays(tmp_path):
    names = ["a.b/x.seg.PNG", "a.b/x.JPG", "./y.jpg", "z/._x.jpg", "z/.jpg", "z/README", "../../etc/passwd.jpg"]
    path = write_tar(tmp_path / "s.tar", [(name, name.encode()) for name in names])
    assert read(path) == [
        ("a.b/x", {"seg.png": b"a.b/x.seg.PNG", "jpg": b"a.b/x.JPG"}),
        ("./y", {"jpg": b"./y.jpg"}),
        ("../../etc/passwd", {"jpg": b"../../etc/passwd.jpg"}),
    ]


def test_a_key_that_comes_back_is_another_sample_and_a_suffix_twice_in_one_is_refused(tmp_path):
    path = write_tar(tmp_path / "s.tar", samples([pair("a", b"1"), pair("b", b"2"), pair("a", b"3")]))
    assert read(path) == [("a", {"jpg": b"1"}), ("b", {"jpg": b"2"}), ("a", {"jpg": b"3"})]
    twice = write_tar(tmp_path / "t.tar", samples([pair("x", b"0"), pair("a", b"1", "t"), [("a.JPG", b"2")]]))
    with pytest.raises(BadTable, match=r"t\.tar has two files \.jpg in the sample 'a' \(row 1\)"):
        read(twice)


def test_folders_are_no_files_and_links_to_later_files_are_samples_without_them(tmp_path):
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, kind in [("a.d", tarfile.DIRTYPE), ("b.jpg", tarfile.SYMTYPE), ("c.jpg", tarfile.LNKTYPE)]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "x.jpg"
            tar.addfile(member)
        member = tarfile.TarInfo("x.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    assert read(tmp_path / "s.tar") == [("b", {}), ("c", {}), ("x", {"jpg": b"abc"})]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mtime", [0, 1_700_000_000.25], ids=["whole", "fraction"])
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(
        st.tuples(st.sampled_from(["", "d/", f"{'long' * 12}/{'long' * 12}/"]), NAMES, st.binary(max_size=1100)),
        max_size=6,
        unique_by=lambda file: file[1],
    ),
    packed=st.booleans(),
)
def test_every_dialect_reads_as_tarfile_reads_it(tmp_path, format, mtime, files, packed):
    path = tmp_path / "s.tar"
    named = [(f"{folder}{name}-{i}.jpg", content) for i, (folder, name, content) in enumerate(files)]
    with tarfile.open(path, "w:gz" if packed else "w", format=format) as tar:
        for name, content in named:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), mtime
            tar.addfile(member, io.BytesIO(content))
    assert contents(path) == named
    assert read(path) == [(name.removesuffix(".jpg"), {"jpg": content}) for name, content in named]


def test_headers_of_two_dialects_before_one_file_are_both_heeded(tmp_path):
    timed, named = tarfile.TarInfo("short.jpg"), tarfile.TarInfo("long" * 40 + ".jpg")
    timed.mtime, named.size = 1.5, 3
    times = timed.tobuf(tarfile.PAX_FORMAT)[:1024]
    raw = times + named.tobuf(tarfile.GNU_FORMAT) + b"abc".ljust(512, b"\0") + bytes(1024)
    (tmp_path / "s.tar").write_bytes(raw)
    assert read(tmp_path / "s.tar") == [("long" * 40, {"jpg": b"abc"})]


def test_a_header_for_the_whole_archive_is_no_file(tmp_path):
    files = samples(pair(key, b"i") for key in "ab")
    with tarfile.open(tmp_path / "s.tar", "w", pax_headers={"comment": "commit 1"}) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    assert read(tmp_path / "s.tar") == [("a", {"jpg": b"i"}), ("b", {"jpg": b"i"})]


def test_sparse_files_are_refused_and_those_larger_than_allowed_passed_over(tmp_path):
    member = tarfile.TarInfo("a.jpg")
    member.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "sparse.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(BadTable, match=r"sparse\.tar holds a sparse file"):
        read(tmp_path / "sparse.tar")
    path = write_tar(tmp_path / "s.tar", img2dataset(1, image_bytes=3_000))
    assert [len(sample.contents["jpg"]) for sample in read_samples(str(path), every, max_row_bytes=3_000)] == [3_000]
    assert ["jpg" in sample.contents for sample in read_samples(str(path), every, max_row_bytes=2_999)] == [False]


def every(suffix):
    return True


def test_each_samples_blocks_are_told_with_their_headers(tmp_path):
    path = write_tar(tmp_path / "s.tar", img2dataset(3), mtime=1.5)  # a pax header before every file, as webdataset's
    raw = path.read_bytes()
    found = list(read_samples(str(path)))
    assert found[0].members["jpg"].start == 0
    ends = [member for sample in found for member in sample.members.values()]
    assert [a.end for a in ends[:-1]] == [b.start for b in ends[1:]]
    alone = tmp_path / "alone.tar"
    first, last = (list(found[1].members.values())[i] for i in (0, -1))
    alone.write_bytes(raw[first.start : last.end] + bytes(1024))
    assert contents(alone) == img2dataset(1, first=1)


SAMPLE = 512 * 2  # header and one block of data
CUTS = [
    (SAMPLE * 2 + 512 + 5, "cut short in the middle of 'k2.jpg'; its last whole sample is 'k1' \\(row 1\\)"),
    (SAMPLE * 2 + 200, "cut short in the header after 'k1.jpg'; its last whole sample is 'k0' \\(row 0\\)"),
    (SAMPLE * 3, "ends after 'k2.jpg' without the end mark of a tar.*'k1' \\(row 1\\)"),
    (300, "cut short in the header at its start$"),
    (0, "is empty: 0 bytes$"),
]


@pytest.mark.parametrize(("size", "told"), CUTS)
@pytest.mark.parametrize("wanted", [True, False])
def test_a_cut_tar_names_its_last_whole_sample(tmp_path, size, told, wanted):
    path = write_tar(tmp_path / "s.tar", samples(pair(f"k{i}", bytes([65 + i]) * 300) for i in range(4)))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BadTable, match=f"s.tar.* {told}"):
        read(path, lambda suffix: wanted)


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path):
    path = write_tar(tmp_path / "s.tar", samples(pair(f"k{i}", bytes([65 + i]) * 300) for i in range(4)))
    raw = bytearray(path.read_bytes())
    raw[SAMPLE * 2 + 150] ^= 3  # the checksum
    path.write_bytes(raw)
    with tarfile.open(path) as tar:
        assert len(tar.getmembers()) == 2  # what others make of it, without a word
    with pytest.raises(BadTable, match=r"no readable header after 'k1.jpg': bad checksum; its last whole.*'k0'"):
        read(path)


def test_a_cut_gzip_is_told_too(tmp_path):
    path = write_tar(tmp_path / "s.tar.gz", img2dataset(40), mode="w:gz")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadTable, match=r"s.tar.gz cannot be read as tar: .*last whole sample is '0000000"):
        read(path)
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(BadTable, match="is empty"):
        read(path)


def test_an_end_mark_alone_is_an_empty_tar(tmp_path):
    assert read(write_tar(tmp_path / "s.tar", [])) == []


def test_what_cannot_be_read_is_told(tmp_path):
    page = tmp_path / "page.tar"
    page.write_bytes(b"<!doctype html>" + b" " * 2000)
    with pytest.raises(BadTable, match=r"page.tar has no readable header at its start"):
        read(page)
    with pytest.raises(BadTable, match=r"none.tar cannot be read as tar: No such file"):
        read(tmp_path / "none.tar")
    huge = tarfile.TarInfo("x" * 200)
    block = bytearray(huge.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = b"77777777777\0"  # a name of 8 GiB
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))
    (tmp_path / "huge.tar").write_bytes(block)
    with pytest.raises(BadTable, match=r"huge.tar has no readable header at its start: a name cannot take"):
        read(tmp_path / "huge.tar")

"""A file behind an address is opened, sized and listed like a local one, and what cannot be reached is told."""

import os

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from ncaudit import NcauditError
from ncaudit.shards.files import locations

CONTENT = bytes(range(256)) * 64


@pytest.fixture(params=["local", "file", "memory"])
def folder(request, tmp_path):
    """The same folder of one file on this machine, behind file://, and in memory."""
    if request.param == "memory":
        files = fsspec.filesystem("memory")
        files.pipe("/locations/A/x.bin", CONTENT)
        yield "memory://locations"
        files.rm("/locations", recursive=True)
    else:
        (tmp_path / "A").mkdir()
        (tmp_path / "A/x.bin").write_bytes(CONTENT)
        yield f"file://{tmp_path}" if request.param == "file" else str(tmp_path)


@pytest.mark.parametrize("jumps", [False, True])
def test_a_file_is_read_from_any_place_in_it(folder, jumps):
    with locations.open_file(locations.join(folder, "A", "x.bin"), jumps=jumps) as file:
        assert file.read(4) == CONTENT[:4]
        assert file.seek(-6, 2) == len(CONTENT) - 6
        assert (file.read(2), file.tell(), file.read()) == (CONTENT[-6:-4], len(CONTENT) - 4, CONTENT[-4:])
        file.seek(0)
        assert file.read() == CONTENT


def test_files_and_folders_are_told_apart(folder):
    path = locations.join(folder, "A/x.bin")
    assert locations.is_file(path)
    assert not locations.is_dir(path)
    assert locations.is_dir(locations.dirname(path))
    assert not locations.exists(locations.join(folder, "B"))
    assert locations.size(path) == len(CONTENT)
    base = locations.absolute(folder)
    for found in (locations.files_below([folder]), locations.matches(base, ["*", "*.bin"], lambda name: True)):
        assert [locations.relative(p, base) for p in found] == ["A/x.bin"]


def test_what_is_not_there_is_a_file_error(folder):
    for look in (locations.open_file, locations.size, locations.version):
        with pytest.raises(FileNotFoundError):
            look(locations.join(folder, "nothing"))


def test_a_changed_file_has_another_version():
    files = fsspec.filesystem("memory")
    files.pipe("/locations.bin", b"one")
    before = locations.version("memory://locations.bin")
    assert locations.version("memory://locations.bin") == before
    files.pipe("/locations.bin", b"two")
    assert locations.version("memory://locations.bin") != before
    files.rm("/locations.bin")


def test_a_path_cannot_climb_out_of_an_address():
    assert locations.absolute("s3://bucket/A/../../../x") == "s3://x"
    assert locations.absolute("memory:///A//B/./C/") == "memory://A/B/C"


def test_a_missing_package_and_an_unknown_place_are_told_with_the_fix(monkeypatch):
    def refuse(path, **options):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", refuse)
    with pytest.raises(NcauditError, match="s3://") as told:
        locations.is_file("s3://bucket/x.parquet")
    assert told.value.fix == "pip install s3fs"
    monkeypatch.undo()
    with pytest.raises(NcauditError, match="nosuch:// is no kind of place that is known"):
        locations.is_file("nosuch://bucket/x.parquet")


class Lost(Exception):
    """What a file system of its own raises: no OSError."""


class Broken:
    def read(self, size):
        raise Lost("no route to bucket")

    def close(self):
        pass


def test_a_place_that_cannot_be_reached_is_told(monkeypatch):
    def fail(*args, **kwargs):
        raise Lost("no route to bucket")

    fsspec.filesystem("memory").pipe("/locations.bin", b"one")
    file = locations.open_file("memory://locations.bin")
    for name in ("info", "find", "glob", "open"):
        monkeypatch.setattr(MemoryFileSystem, name, fail)
    place, any_name = "memory://locations.bin", lambda name: True
    looks = ((locations.is_file, place), (locations.files_below, [place]), (locations.matches, place, ["*"], any_name))
    for look, *more in looks:
        with pytest.raises(NcauditError, match=r"memory://locations.bin cannot be reached: no route to bucket"):
            look(*more)
    with pytest.raises(NcauditError, match="no route"):
        locations.open_file("memory://locations.bin")
    file.raw._file = Broken()
    with pytest.raises(NcauditError, match="no route"):
        file.read()


def test_many_files_are_fetched_together_and_those_that_are_not_there_are_told():
    fsspec.filesystem("memory").pipe("/locations.bin", b"12345")
    found = locations.read_many(["memory://locations.bin", "memory://nothing"], 3)
    assert found[0] == b"123"
    assert isinstance(found[1], FileNotFoundError)
    fsspec.filesystem("memory").rm("/locations.bin")


def test_an_empty_file_has_no_bytes_also_where_no_range_of_it_can_be_asked_for(monkeypatch):
    monkeypatch.setattr(MemoryFileSystem, "cat_ranges", lambda *args, **kwargs: [OSError("InvalidRange")])
    for content in (b"", b"x"):
        fsspec.filesystem("memory").pipe("/locations.bin", content)
        if not content:
            assert locations.read_many(["memory://locations.bin"], 3) == [b""]
    with pytest.raises(NcauditError, match="InvalidRange"):
        locations.read_many(["memory://locations.bin"], 3)
    fsspec.filesystem("memory").rm("/locations.bin")


def test_links_are_followed_alike_for_one_and_for_many(tmp_path):
    (tmp_path / "A").mkdir()
    for name in ("x", "y"):
        (tmp_path / "A" / name).touch()
    (tmp_path / "B").symlink_to(tmp_path / "A")
    (tmp_path / "A/link").symlink_to(tmp_path / "A/x")
    (tmp_path / "A/nowhere").symlink_to(tmp_path / "gone")
    names = ["A/x", "A/y", "B/x", "A/link", "B/link", "A/nowhere", "A/absent", "B/../A/x", "B", "."]
    paths = [str(tmp_path / name) for name in names] + ["memory://b//A/x", "/", f"file://{tmp_path}/B/y"]
    assert locations.reals(paths) == {path: locations.real(path) for path in paths}


@pytest.mark.parametrize(
    "path", ["/a/b/x", "/a/x.tar.gz", "/a/.b/x", "/a/../x", "/a//x", "/a/b/./x", "/a", "/ab/x", "/a/…"]
)
@pytest.mark.parametrize("folder", ["/a", "/", "/a/b"])
def test_a_relative_path_is_the_systems_own(path, folder):
    assert locations.relative(path, folder) == os.path.relpath(path, folder)

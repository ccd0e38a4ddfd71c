"""What a look at a file told holds while the file stays as it was."""

import os

import fsspec
import pytest

from ncaudit.shards.files import remembered
from ncaudit.shards.files.remembered import Remembered, version_now


@pytest.fixture
def looks():
    return []


@pytest.fixture
def look(looks):
    """Says how often it has looked."""
    return Remembered(lambda path: looks.append(path) or len(looks))


def test_a_file_is_looked_at_once_per_version(tmp_path, look):
    path = tmp_path / "x"
    for times, content in enumerate((b"one", b"other"), 1):
        path.write_bytes(content)
        assert [look(str(path)) for _ in range(3)] == [times] * 3


def test_a_file_that_is_replaced_by_one_of_its_size_and_time_is_another(tmp_path, look):
    path, other = tmp_path / "x", tmp_path / "y"
    path.write_bytes(b"one")
    other.write_bytes(b"two")
    assert look(str(path)) == 1
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert look(str(path)) == 2


def test_a_remote_file_is_looked_at_once_per_version(look, looks):
    for content in (b"one", b"two"):
        fsspec.filesystem("memory").pipe("/locations.bin", content)
        before = len(looks)
        assert look("memory://locations.bin") == look("memory://locations.bin") == before + 1
    fsspec.filesystem("memory").rm("/locations.bin")
    assert look("memory://locations.bin") == len(looks)  # its own words for what is not there


def test_what_is_not_there_is_looked_at_each_time(tmp_path, look):
    assert [look(str(tmp_path / "x")) for _ in range(2)] == [1, 2]
    assert look.known(str(tmp_path / "x")) is None


def test_what_another_found_is_as_good_as_a_look(tmp_path, look, looks):
    (tmp_path / "x").touch()
    look.learn(str(tmp_path / "x"), 7, version_now(str(tmp_path / "x")))
    assert (look(str(tmp_path / "x")), looks) == (7, [])


def test_the_files_met_last_are_remembered(tmp_path, look, monkeypatch):
    monkeypatch.setattr(remembered, "REMEMBERED", 2)
    a, b, c = (str(tmp_path / name) for name in "abc")
    for path in (a, b, c):
        (tmp_path / path).touch()
    assert [look(path) for path in (a, b, a, c)] == [1, 2, 1, 3]
    assert (look.known(a), look.known(b), look.known(c)) == (1, None, 3)


def test_what_was_found_of_a_file_that_was_replaced_meanwhile_is_not_said_of_the_new_one(tmp_path, look):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    seen = version_now(str(path))
    path.write_bytes(b"others")
    look.learn(str(path), 7, seen)
    assert look(str(path)) == 1

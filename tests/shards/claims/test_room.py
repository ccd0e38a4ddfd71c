"""Whether a place takes files is known before any work."""

import errno
import os
import shutil
import subprocess

import pytest

from ncaudit.errors import NcauditError
from ncaudit.shards.claims import room
from ncaudit.shards.claims.room import require_room


def refused(folder, *below):
    with pytest.raises(NcauditError) as told:
        require_room(str(folder), str(folder), map(str, below))
    return told.value


def test_a_place_that_can_be_made_is_left_as_it_was(tmp_path):
    require_room("out", str(tmp_path / "a/b/c"), [str(tmp_path / "a/b/c/d")])
    (tmp_path / "there").mkdir()
    require_room("out", str(tmp_path / "there"), [])
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "file").touch()
    assert str(tmp_path / "file/out") in refused(tmp_path / "file/out").message
    assert "file is no folder" in refused(tmp_path / "file/out").message
    assert refused(tmp_path / "file").fix == "name a folder, or a place that is not there yet"
    (tmp_path / "out").mkdir()
    (tmp_path / "out/A").touch()
    assert "out/A is no folder" in refused(tmp_path / "out", tmp_path / "out/A").message


def test_a_link_that_leads_nowhere_is_no_folder(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "nowhere")
    assert "out is no folder" in refused(tmp_path / "out").message


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="has no /proc")
def test_a_file_system_that_makes_no_folders_is_told():
    assert refused("/proc/ncaudit").message == "/proc/ncaudit cannot be written: No such file or directory"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to_is_told(tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    assert "Permission denied" in refused(tmp_path / "out").message


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB of its own, where this may be made."""
    (tmp_path / "disk").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path / "disk")]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("may mount no disk")
    yield tmp_path / "disk"
    subprocess.run(["umount", str(tmp_path / "disk")], check=True)


def test_a_full_disk_is_told_before_the_work(small_disk):
    require_room("out", str(small_disk / "out"), [])
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "big").write_bytes(bytes(1 << 20))
    told = refused(small_disk / "out")
    assert told.message == f"{small_disk / 'out'} cannot be written: No space left on device"
    assert "make room" in told.fix
    assert not (small_disk / "out").exists()


def test_a_disk_mounted_for_reading_only_is_told(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "Read-only file system" in refused(small_disk / "out").message


def test_what_the_system_refuses_later_is_advised_on(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.EDQUOT, "Disk quota exceeded", path)

    monkeypatch.setattr(room, "created", full)
    assert "make room" in refused(tmp_path / "out").fix
    assert not (tmp_path / "out").exists()

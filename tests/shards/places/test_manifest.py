"""The manifest is believed of files as they were, survives two writers, and may be lost or damaged."""

import fsspec
import pytest

from ncaudit.shards.places import listings, manifest, uploads

FOLDER = "memory://told/out"
SAID = {"said": {"verb": "score"}, "fingerprint": "1-ab", "told": {"statuses": {"ok": 3}}}


@pytest.fixture
def files(monkeypatch):
    monkeypatch.setattr(manifest, "_own", {})
    found = fsspec.filesystem("memory")
    yield found
    found.rm("/told", recursive=True)
    listings.forget()


def write(tmp_path, name, content=b"abc"):
    (tmp_path / "x").write_bytes(content)
    entry = uploads.send(str(tmp_path / "x"), f"{FOLDER}/{name}")
    manifest.tell(FOLDER, f"{FOLDER}/{name}", entry, SAID)


def another_process(monkeypatch):
    monkeypatch.setattr(manifest, "_own", {})
    monkeypatch.setenv(manifest.RUN, "another")


def parts(files):
    return sorted(path.rpartition("/")[2].partition(".")[0] for path in files.find("/told/out/_manifest"))


def known(name):
    listings.look(FOLDER)
    found = manifest.known(f"{FOLDER}/{name}")
    return None if found is None else found["told"]


def test_a_file_is_told_of_at_once_and_as_it_was(files, tmp_path):
    write(tmp_path, "A/0.parquet")
    assert known("A/0.parquet") == {"statuses": {"ok": 3}}
    assert known("A/1.parquet") is None
    files.pipe("/told/out/A/0.parquet", b"abd")  # as long, and other content
    assert known("A/0.parquet") is None


def test_two_writers_keep_what_both_have_told(files, tmp_path, monkeypatch):
    write(tmp_path, "0")
    own = manifest._own
    another_process(monkeypatch)
    write(tmp_path, "1")
    assert parts(files) == ["part", "part"]
    manifest.settle(FOLDER)
    assert parts(files) == ["all", "part"]  # the other is still at work
    monkeypatch.delenv(manifest.RUN)
    monkeypatch.setattr(manifest, "_own", own)
    write(tmp_path, "2")
    assert all(known(name) for name in "012")
    manifest.settle(FOLDER)
    assert parts(files) == ["all"]
    assert all(known(name) for name in "012")


def test_what_the_processes_of_a_run_have_told_is_put_together_when_it_ends(files, tmp_path, monkeypatch):
    own = manifest.run()
    another_process(monkeypatch)
    write(tmp_path, "0")
    monkeypatch.setattr(manifest, "_own", {})
    monkeypatch.setenv(manifest.RUN, own)  # as a process has it that this run has started
    write(tmp_path, "1")
    monkeypatch.setattr(manifest, "_own", {})
    monkeypatch.delenv(manifest.RUN)
    manifest.settle(FOLDER, by_others=True)
    assert parts(files) == ["all", "part"]  # that of the other run stays
    assert known("0")
    assert known("1")


def test_what_a_killed_process_told_is_kept_and_put_together_later(files, tmp_path, monkeypatch):
    write(tmp_path, "0")
    another_process(monkeypatch)
    write(tmp_path, "1")
    monkeypatch.setattr(manifest, "SETTLED_S", -1)
    manifest.settle(FOLDER)
    assert parts(files) == ["all"]
    assert known("0")
    assert known("1")


def test_parts_stay_small(files, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "PART_FILES", 2)
    for number in range(5):
        write(tmp_path, str(number))
    assert parts(files) == ["part"] * 3
    assert all(known(str(number)) for number in range(5))


@pytest.mark.parametrize("damage", [b"", b"\x1f\x8b\x08", b"no gzip"])
def test_a_damaged_part_tells_nothing(files, tmp_path, damage):
    write(tmp_path, "0")
    (part,) = files.find("/told/out/_manifest")
    files.pipe(part, damage)
    assert known("0") is None


def test_a_run_that_wrote_nothing_leaves_it_alone(files, tmp_path, monkeypatch):
    write(tmp_path, "0")
    another_process(monkeypatch)
    before = files.find("/told/out/_manifest")
    manifest.settle(FOLDER)
    assert files.find("/told/out/_manifest") == before

"""Each real folder is walked through once, whatever links lead to it; patterns mean what they mean elsewhere."""

import glob
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.files.walk import deep_matches, files_in, pattern


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def found(folder):
    return sorted(os.path.relpath(path, folder) for path in files_in([str(folder)]))


LOOPS = [{"again": "."}, {"a1": ".", "a2": "."}, {"A/up": ".."}, {"A/up": "../..", "out": "A"}]


@pytest.mark.parametrize("links", LOOPS)
def test_links_that_go_round_in_circles_add_nothing(tmp_path, links):
    touch(tmp_path, "data/0", "data/A/1", "data/B/2", "beside/3")
    for name, target in links.items():
        (tmp_path / "data" / name).symlink_to(target)
    assert found(tmp_path / "data") == ["0", "A/1", "B/2"]


def test_a_folder_goes_by_its_own_path_and_one_from_outside_by_its_first_link(tmp_path):
    touch(tmp_path, "data/real/0", "outside/1", "outside/deep/2")
    for name, target in {"a": "real", "x": "../outside", "y": "../outside", "z": "../outside/deep"}.items():
        (tmp_path / "data" / name).symlink_to(target)
    (tmp_path / "outside/back").symlink_to("../data")
    assert found(tmp_path / "data") == ["real/0", "x/1", "x/deep/2"]


def test_a_folder_named_by_a_link_is_walked_through(tmp_path):
    touch(tmp_path, "data/0")
    (tmp_path / "link").symlink_to("data")
    assert found(tmp_path / "link") == ["0"]


def test_links_to_nothing_and_to_themselves_are_files(tmp_path):
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "self").symlink_to("self")
    os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) == ["dangling", "pipe", "self"]


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    touch(tmp_path, "open/0", "shut/1")
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadTable, match="shut cannot be read: Permission denied"):
        found(tmp_path)


NAMES = st.sampled_from(["a", "b", "a.x", "ab.x", "[a].x", "b-.x", "^"])
PARTS = st.sampled_from(["*", "**", "?", "*.x", "a", "[ab]", "[!a]", "[^]", "[a].x", "[[]a].x", "[a-c]*"])


@settings(deadline=None, max_examples=150)
@given(
    paths=st.sets(st.lists(NAMES, min_size=1, max_size=3).map("/".join), max_size=8),
    parts=st.lists(PARTS, max_size=3),
)
def test_a_pattern_finds_what_glob_finds(tmp_path_factory, paths, parts):
    folder = tmp_path_factory.mktemp("glob")
    for path in sorted(paths):
        if not any(parent.is_file() for parent in (folder / path).parents) and not (folder / path).exists():
            touch(folder, path)
    parts = ["**", *parts, "*"]
    files = {path for path in glob.glob(os.path.join(folder, *parts), recursive=True) if os.path.isfile(path)}
    assert files == {path for path in files_in([str(folder)]) if pattern(parts).match(os.path.relpath(path, folder))}


def test_deep_patterns_end_where_links_go_round(tmp_path):
    touch(tmp_path, "A/B/0.x", "A/1.x", "C/2.y")
    for name in "pqr":
        (tmp_path / "A" / name).symlink_to("..")
    hits = deep_matches(str(tmp_path), ["**", "*.x"], lambda name: True)
    assert sorted(os.path.relpath(path, tmp_path) for path in hits) == ["A/1.x", "A/B/0.x"]
    assert [*deep_matches(str(tmp_path), ["**", "B"], lambda n: True)] == [str(tmp_path / "A/B/0.x")]

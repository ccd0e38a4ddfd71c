"""A folder of a store is asked once, and tells what its own process has done since."""

import fsspec
import pytest

from ncaudit.shards.files import locations
from ncaudit.shards.places import listings
from ncaudit.shards.places.listings import entry_of

FOLDER = "memory://listed/out"


@pytest.fixture
def files():
    found = fsspec.filesystem("memory")
    found.pipe("/listed/out/A/0.parquet", b"abc")
    found.pipe("/listed/output/B", b"beside")
    yield found
    found.rm("/listed", recursive=True)
    listings.forget()


def test_a_listing_answers_for_what_lies_below_its_folder_alone(files):
    listings.look(f"{FOLDER}/")
    assert listings.of(f"{FOLDER}//A/./0.parquet") is not None
    assert listings.of("memory://listed/output/B") is None
    files.pipe("/listed/out/new", b"by somebody else")
    assert not locations.is_file(f"{FOLDER}/new")
    assert locations.is_dir(f"{FOLDER}/A")
    assert locations.size(f"{FOLDER}/A/0.parquet") == 3
    assert locations.names_in(FOLDER) == []
    assert locations.names_below(FOLDER, lambda name: True) == ["A/0.parquet"]
    assert locations.names_below(FOLDER, lambda name: name != "A") == []
    listings.forget(FOLDER)
    assert locations.is_file(f"{FOLDER}/new")


def test_versions_are_those_that_the_store_is_asked_for(files):
    asked = locations.version(f"{FOLDER}/A/0.parquet")
    listings.look(FOLDER)
    assert locations.version(f"{FOLDER}/A/0.parquet") == asked
    files.pipe("/listed/out/A/0.parquet", b"xyz")
    assert locations.version(f"{FOLDER}/A/0.parquet") == asked
    assert locations.version(f"{FOLDER}/A/0.parquet", fresh=True) != asked
    with pytest.raises(FileNotFoundError):
        locations.version(f"{FOLDER}/nothing")


def test_what_is_removed_is_gone_from_the_listing(files):
    listings.look(FOLDER)
    locations.remove(f"{FOLDER}/A/0.parquet")
    assert not locations.exists(f"{FOLDER}/A/0.parquet")
    assert not files.exists("/listed/out/A/0.parquet")
    locations.remove(f"{FOLDER}/A/0.parquet")  # as often as one likes


def test_a_file_is_the_same_while_its_size_and_what_the_store_calls_it_are():
    assert entry_of({"size": 3, "ETag": '"a"'}) == entry_of({"size": 3, "ETag": '"a"'})
    assert entry_of({"size": 3, "ETag": '"a"'}).version != entry_of({"size": 4, "ETag": '"a"'}).version


def test_a_file_whose_version_nobody_tells_is_known_by_whatever_else_is_told():
    assert entry_of({"size": 3}).version == entry_of({"size": 3}).version  # or it would seem changed while it is read
    assert entry_of({"size": 3}).version != entry_of({"size": 4}).version
    assert entry_of({"size": 3, "url": "a"}).version != entry_of({"size": 3, "url": "b"}).version


def test_a_folder_that_is_not_there_is_empty():
    assert listings.look("memory://listed-nowhere").entries == {}
    listings.forget()

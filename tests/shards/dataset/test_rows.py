"""Rows arrive complete, in order and in bounded windows; what is wrong with one is its status."""

import io
import os
from dataclasses import replace

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import DataOptions
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.rows import read_images, read_rows, rows_at
from ncaudit.shards.files.provenance import read_schema
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards


def shard_of(folder, columns, *, name="A/00000.parquet", **write):
    path = os.path.join(folder, *name.split("/"))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **write)
    return Shard(path, name)


def read(shard, *, rows=1024, key=None, options=None, **more):
    columns = find_columns(read_schema(shard.path), shard.name, options or DataOptions(), key=key)
    return list(read_rows(shard, columns, rows=rows, **more))


def only(windows):
    (window,) = windows
    return window


@pytest.mark.parametrize("bound", [500, 10**6])
def test_images_alone_are_those_of_the_rows(tmp_path, bound):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "a.jpg").write_bytes(b"of a file")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [
        {"bytes": b"x" * 300},
        None,
        {"path": "a.jpg"},
        {"path": "gone.jpg"},
        {"bytes": b"y" * 2_000},
        {"bytes": b""},
    ]
    captions = [["two", "captions"], ["c"], [], ["c"], None, ["c"]]
    table = pa.table({"image": pa.array(cells * 40, kind), "caption": captions * 40})
    shard = replace(shard_of(tmp_path, table, row_group_size=100), max_row_bytes=1_024)
    columns = find_columns(read_schema(shard.path), shard.name, DataOptions())
    told = {int(row): image for w in read(shard) for row, image in zip(w.row, w.images, strict=True)}
    found = list(read_images(shard, columns, rows=50, window_bytes=bound))
    assert [image for window in found for image in window] == [told[row] for row in range(240)]
    assert found[0][:5] == [b"x" * 300, None, b"of a file", None, None][: len(found[0])]
    assert max(map(len, found)) <= 50
    assert len(found) == 5 if bound > 500 else len(found) > 5


def test_rows_carry_their_place_on_disk(tmp_path):
    shard = shard_of(tmp_path, {"jpg": [b"a", b"b", b"c"], "caption": ["x", "y", "z"]}, row_group_size=2)
    first, second = read(shard, rows=2)
    assert first.pair_id == ["A/00000/0", "A/00000/1"]
    assert second.pair_id == ["A/00000/2"]
    assert second.row.tolist() == [2]
    assert (first.images, first.captions, first.status) == ([b"a", b"b"], ["x", "y"], [None, None])


@given(sizes=st.lists(st.integers(0, 300), max_size=60), group=st.integers(1, 30), rows=st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_windows_keep_every_row_and_both_bounds(tmp_path_factory, sizes, group, rows):
    folder = tmp_path_factory.mktemp("windows")
    images = [bytes(size) for size in sizes]
    table = pa.table({"jpg": pa.array(images, pa.binary()), "caption": pa.array([str(i) for i in range(len(sizes))])})
    windows = read(shard_of(folder, table, row_group_size=group), rows=rows, window_bytes=500)
    assert [image for window in windows for image in window.images] == images
    assert [int(n) for window in windows for n in window.row] == list(range(len(sizes)))
    for window in windows:
        assert len(window) <= rows
        assert sum(len(image) for image in window.images) < 500 + min(64, rows) * 300


def test_the_whole_window_of_rows_is_used_across_small_row_groups(tmp_path):
    n = 250
    shard = shard_of(tmp_path, {"jpg": [b"i"] * n, "caption": ["c"] * n}, row_group_size=100)
    assert [len(window) for window in read(shard, rows=128)] == [128, 122]


def test_a_row_with_several_captions_is_as_many_pairs(tmp_path):
    captions = pa.array([["a", "b"], [], None, ["c", " "]], pa.list_(pa.string()))
    window = only(read(shard_of(tmp_path, {"jpg": [b"0", b"1", b"2", b"3"], "captions": captions, "n": [0, 1, 2, 3]})))
    assert window.pair_id == [f"A/00000/{name}" for name in ("0/0", "0/1", "1/0", "2/0", "3/0", "3/1")]
    assert window.caption_index.tolist() == [0, 1, 0, 0, 0, 1]
    assert window.images == [b"0", b"0", b"1", b"2", b"3", b"3"]
    assert window.captions == ["a", "b", None, None, "c", " "]
    assert window.status == [None, None, "caption_missing", "caption_missing", None, "caption_missing"]
    assert window.carried.column(0).to_pylist() == [0, 0, 1, 2, 3, 3]


def test_missing_and_blank_are_told_apart_from_fine(tmp_path):
    window = only(
        read(shard_of(tmp_path, {"jpg": [None, b"", b"i", b"i"], "caption": ["a", "b", None, " \t\n\u3000"]}))
    )
    assert window.status == ["image_missing", None, "caption_missing", "caption_missing"]
    assert window.images[1] == b""  # the decoder's to judge


def test_failed_downloads_keep_img2datasets_own_words(tmp_path):
    columns = {
        "caption": ["a", "b", "c"], "status": ["success", "failed_to_download", "failed_to_resize"],
        "error_message": [None, "HTTP Error 404", None], "jpg": [b"i", None, None],
    }  # fmt: skip
    window = only(read(shard_of(tmp_path, columns)))
    assert window.status == [None, "upstream_failed", "upstream_failed"]
    assert window.detail == [None, "failed_to_download: HTTP Error 404", "failed_to_resize"]
    assert window.carried.schema.names == ["input_status", "error_message"]


def test_the_key_names_the_pairs_and_may_not_be_missing(tmp_path):
    columns = {"jpg": [b"i", b"i"], "caption": ["a", "b"], "uid": pa.array([7, 8])}
    assert only(read(shard_of(tmp_path, columns), key="uid")).pair_id == ["7", "8"]
    shard = shard_of(tmp_path, {**columns, "uid": pa.array([7, None])})
    with pytest.raises(BadTable, match=r"A/00000\.parquet row 1 has no uid"):
        read(shard, key="uid")


def test_bytes_come_before_the_path_and_paths_stay_in_their_folder(tmp_path):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "in.jpg").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "A" / "link.jpg").symlink_to(tmp_path / "secret")
    values = [
        {"bytes": b"held", "path": "in.jpg"}, {"bytes": None, "path": "in.jpg"}, {"bytes": None, "path": "../secret"},
        {"bytes": None, "path": str(tmp_path / "secret")}, {"bytes": None, "path": "link.jpg"},
        {"bytes": None, "path": "none.jpg"}, {"bytes": None, "path": "a\0b"}, {"bytes": None, "path": "."}, None,
        {"bytes": None, "path": "https://example.org/a.jpg"},
    ]  # fmt: skip
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    window = only(read(shard_of(tmp_path, {"image": pa.array(values, kind), "text": ["c"] * len(values)})))
    assert window.images == [b"held", b"inside", *[None] * 8]
    assert set(window.status[2:]) == {"image_missing"}
    assert "outside the image folder" in window.detail[2]
    assert "outside the image folder" in window.detail[3]
    assert "outside the image folder" in window.detail[4]
    assert "no such file" in window.detail[5]


def test_image_paths_start_from_the_image_root(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"photo")
    shard = shard_of(tmp_path, {"file_name": ["a.jpg"], "caption": ["c"]})
    assert only(read(shard)).status == ["image_missing"]
    assert only(read(shard, image_root=str(tmp_path / "photos"))).images == [b"photo"]


@pytest.fixture
def photos():
    """A folder of images in memory, and a secret beside it."""
    files = fsspec.filesystem("memory")
    for name, content in (("photos/a.jpg", b"photo"), ("photos/B/b.jpg", b"other"), ("secret", b"outside")):
        files.pipe(f"/dataset/{name}", content)
    yield "memory://dataset/photos"
    files.rm("/dataset", recursive=True)


def test_image_paths_may_start_from_an_address_and_stay_below_it(tmp_path, photos):
    paths = ["a.jpg", "B/../B/b.jpg", "../secret", "/a.jpg", "memory://dataset/secret", "none.jpg", "a.jpg", None]
    shard = shard_of(tmp_path, {"image_path": paths, "caption": ["c"] * len(paths)})
    window = only(read(shard, image_root=photos))
    assert window.images == [b"photo", b"other", None, None, None, None, b"photo", None]
    assert [detail and detail.partition(": ")[2].partition(";")[0] for detail in window.detail] == [
        None, None, "outside the image folder", "outside the image folder", "addresses are not fetched",
        "no such file", None, "",
    ]  # fmt: skip


def test_remote_images_lie_beside_a_remote_table_and_count_towards_the_windows_bytes(photos, monkeypatch):
    table = io.BytesIO()
    pq.write_table(pa.table({"image_path": ["a.jpg"] * 4, "caption": ["c"] * 4}), table, row_group_size=1)
    fsspec.filesystem("memory").pipe("/dataset/photos/x.parquet", table.getvalue())
    (shard,) = find_shards([f"{photos}/x.parquet"])
    fetched, fetch = [], MemoryFileSystem.cat_ranges
    monkeypatch.setattr(
        MemoryFileSystem,
        "cat_ranges",
        lambda self, paths, *a, **k: fetched.extend(paths) or fetch(self, paths, *a, **k),
    )
    windows = list(read(shard, window_bytes=10))
    assert [len(window) for window in windows] == [2, 2]
    assert len(fetched) == 2  # once per window, and not held beyond it
    assert all(image == b"photo" for window in windows for image in window.images)


def test_a_place_that_is_lost_is_no_missing_image(tmp_path, photos, monkeypatch):
    def lost(*args, **kwargs):
        return [TimeoutError("no answer")]

    monkeypatch.setattr(MemoryFileSystem, "cat_ranges", lost)
    with pytest.raises(NcauditError, match="cannot be reached: no answer"):
        read(shard_of(tmp_path, {"image_path": ["a.jpg"], "caption": ["c"]}), image_root=photos)


def test_images_by_path_count_towards_the_windows_bytes(tmp_path):
    (tmp_path / "A").mkdir()
    for i in range(4):
        (tmp_path / "A" / f"{i}.jpg").write_bytes(bytes(100))
    shard = shard_of(tmp_path, {"image_path": [f"{i}.jpg" for i in range(4)], "caption": ["c"] * 4}, row_group_size=1)
    assert [len(window) for window in read(shard, window_bytes=200)] == [2, 2]


def test_of_several_images_the_first_is_the_pairs(tmp_path):
    kind = pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    values = [[{"bytes": b"1", "path": None}, {"bytes": b"2", "path": None}], [], None]
    window = only(read(shard_of(tmp_path, {"images": pa.array(values, kind), "text": ["a", "b", "c"]})))
    assert window.images == [b"1", None, None]


def test_text_that_is_not_utf8_is_replaced_not_fatal(tmp_path):
    bad = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"\xff\xfea"))
    window = only(read(shard_of(tmp_path, pa.table({"jpg": [b"i", b"i"], "caption": bad}))))
    assert window.captions == ["\ufffd\ufffd", "a"]


def test_bad_text_where_it_cannot_be_replaced_is_told_with_its_rows(tmp_path):
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    images = pa.StructArray.from_arrays([pa.array([b"i"]), bad], ["bytes", "path"])
    with pytest.raises(BadTable, match=r"A/00000\.parquet, rows 0 to 0: text that is not UTF-8"):
        read(shard_of(tmp_path, pa.table({"image": images, "caption": ["a"]})))


def test_bad_text_among_several_captions_is_replaced_too(tmp_path):
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    captions = pa.ListArray.from_arrays([0, 0, 1], bad)
    window = only(read(shard_of(tmp_path, pa.table({"jpg": [b"i", b"i"], "captions": captions}))))
    assert window.captions == [None, "\ufffd\ufffd"]


def test_null_and_dictionary_columns_are_carried_as_plain_text(tmp_path):
    source = pa.array(["x", "y", "x"]).dictionary_encode()
    columns = {"jpg": [b"i"] * 3, "caption": ["c"] * 3, "note": pa.nulls(3), "source": source}
    carried = only(read(shard_of(tmp_path, columns))).carried
    assert [field.type for field in carried.schema] == [pa.string(), pa.string()]
    assert carried.column(1).to_pylist() == ["x", "y", "x"]


def test_a_file_cut_short_is_a_bad_table(tmp_path):
    shard = shard_of(tmp_path, {"jpg": [os.urandom(5000)] * 50, "caption": ["c"] * 50})
    whole = open(shard.path, "rb").read()
    with open(shard.path, "wb") as file:
        file.write(whole[: len(whole) // 2])
    with pytest.raises(BadTable, match="cannot be read as parquet"):
        read(shard)


def test_damage_in_the_middle_is_found_while_reading(tmp_path):
    images = [os.urandom(5000) for _ in range(400)]
    table = {"jpg": images, "caption": ["c"] * 400}
    shard = shard_of(tmp_path, table, row_group_size=100, use_dictionary=False, compression="zstd")
    whole = bytearray(open(shard.path, "rb").read())
    middle = len(whole) // 2
    whole[middle : middle + 300_000] = bytes(300_000)
    with open(shard.path, "wb") as file:
        file.write(whole)
    with pytest.raises(BadTable, match=r"00000\.parquet cannot be read"):
        read(shard, rows=10)


def places_read(shard, places, **more):
    columns = find_columns(read_schema(shard.path), shard.name, DataOptions(), key=None, carry=[])
    return list(rows_at(shard, columns, places, **more))


@given(
    count=st.integers(0, 200),
    group=st.integers(1, 90),
    places=st.lists(st.integers(0, 220), max_size=12),
)
@settings(deadline=None, max_examples=40)
def test_some_rows_are_those_of_all_rows(tmp_path_factory, count, group, places):
    folder = tmp_path_factory.mktemp("places")
    table = pa.table({"jpg": pa.array([bytes([i]) for i in range(count)], pa.binary()),
                      "caption": pa.array([str(i) for i in range(count)], pa.string())})  # fmt: skip
    found = places_read(shard_of(folder, table, row_group_size=group), places)
    wanted = sorted({place for place in places if place < count})
    assert [(w.row.tolist(), w.images, w.captions) for w in found] == [
        ([place], [bytes([place])], [str(place)]) for place in wanted
    ]


def test_every_caption_of_a_row_is_a_pair_of_it(tmp_path):
    shard = shard_of(tmp_path, {"jpg": [b"a", b"b", b"c"], "caption": [["x"], ["y", "z"], []]}, row_group_size=1)
    (row,) = places_read(shard, [1])
    assert (row.row.tolist(), row.caption_index.tolist(), row.captions) == ([1, 1], [0, 1], ["y", "z"])


def test_what_a_row_lacks_is_told_with_it(tmp_path):
    shard = shard_of(tmp_path, {"image_path": ["here.jpg", "gone.jpg"], "caption": ["x", "y"]})
    (tmp_path / "here.jpg").write_bytes(b"picture")
    here, gone = places_read(shard, {0, 1}, image_root=str(tmp_path))
    assert (here.images, here.status) == ([b"picture"], [None])
    assert (gone.images, gone.status) == ([None], ["image_missing"])


def test_row_groups_without_a_wanted_row_stay_unread(tmp_path):
    shard = shard_of(tmp_path, {"jpg": [bytes(5000)] * 40, "caption": ["x"] * 40}, row_group_size=10)
    with open(shard.path, "r+b") as file:  # the first row group's pages are no pages any more
        file.seek(4)
        file.write(bytes(40))
    assert [row.row.tolist() for row in places_read(shard, [11, 39])] == [[11], [39]]
    with pytest.raises(BadTable):
        places_read(shard, [3])

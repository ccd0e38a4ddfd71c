"""A tar shows the table that parquet of the same samples would be, in bounded batches."""

import json
import tarfile

import fsspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.shards.columns import find_columns
from ncaudit.shards.dataset.keys import PairNames, choose_key
from ncaudit.shards.dataset.rows import read_rows
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.shards.readers.tars import tar
from ncaudit.shards.readers.tars.tar import TarShard
from tests.worlds.images import drawn
from tests.worlds.tars import img2dataset, pair, samples, write_tar

BINARY, STRING = pa.binary(), pa.string()


def table(path, **reading):
    shard = TarShard(str(path))
    found = pa.Table.from_batches(shard.batches(**{"rows": 3, **reading}), schema=None if reading else shard.schema)
    assert reading or len(found) == shard.rows
    return found


def shard_of(path, **writing):
    return Shard(str(write_tar(path, img2dataset(10, **writing))), path.name)


def test_what_img2dataset_writes(tmp_path):
    path = write_tar(tmp_path / "00000.tar", img2dataset(5))
    shard = open_shard(Shard.of_file(str(path)))
    numbers = {"width": pa.int64(), "height": pa.int64(), "similarity": pa.float64(), "image": BINARY}
    names = "__key__ image caption url key status error_message width height similarity exif"
    assert shard.schema == pa.schema([(name, numbers.get(name, STRING)) for name in names.split()])
    assert (shard.rows, shard.pieces) == (5, 1)
    assert [len(batch) for batch in shard.batches(2)] == [2, 2, 1]
    last = table(path).to_pylist()[-1]
    assert last["__key__"] == last["key"] == "000000004"
    assert (last["image"], last["caption"], last["similarity"]) == (b"\x04" * 40, "é caption 4", 0.5)
    assert last["error_message"] is None


def test_only_what_is_asked_for_is_read(tmp_path):
    path = write_tar(tmp_path / "s.tar", img2dataset(4))
    assert table(path, columns=["width", "__key__", "none"]).schema.names == ["__key__", "width"]
    assert table(path, columns=["caption"])["caption"].to_pylist() == [f"é caption {i}" for i in range(4)]
    assert [len(batch) for batch in TarShard(str(path)).batches(3, [])] == [3, 1]
    assert list(TarShard(str(path)).batches(3, pieces=[])) == []
    wanted = tar._Wanted(pa.schema([("__key__", STRING), ("caption", STRING)]), tar._surveys(str(path)))
    assert [wanted(suffix) for suffix in ("jpg", "txt", "json")] == [False, True, True]


def test_batches_are_bounded_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(tar, "BATCH_BYTES", 1_000)
    sizes = [400, 500, 300, 2_500, 10, 10]
    path = write_tar(tmp_path / "s.tar", samples(pair(f"{i}", b"x" * size) for i, size in enumerate(sizes)))
    batches = list(TarShard(str(path)).batches(4, ["image"]))
    assert [[len(image) for image in batch["image"].to_pylist()] for batch in batches] == [
        [400, 500],
        [300],
        [2_500],
        [10, 10],
    ]


def test_the_first_image_and_the_nearest_caption(tmp_path):
    files = [
        *pair("a", b"jpg", "from txt", text="from json"),
        *[("b.webp", b"webp"), ("b.PNG", b"png"), ("b.json", b'{"text": "from json", "caption": 3}')],
        *[("c.mask", b"m"), ("c.txt", b"")],
    ]
    found = table(write_tar(tmp_path / "s.tar", files))
    assert found["image"].to_pylist() == [b"jpg", b"png", None]
    assert found["caption"].to_pylist() == ["from txt", "from json", ""]
    assert found["text"].to_pylist() == ["from json", "from json", None]
    assert found["json_caption"].to_pylist() == [None, "3", None] or found["json_caption"].to_pylist() == [
        None,
        3,
        None,
    ]


def test_without_txt_files_the_jsons_fields_are_the_captions(tmp_path):
    files = samples(pair(f"{i}", TEXT=f"c{i}", captions=["x"], face_bboxes=[[1.5]]) for i in range(2))
    shard = TarShard(str(write_tar(tmp_path / "s.tar", files)))
    assert shard.schema.names == ["__key__", "image", "TEXT", "captions", "face_bboxes"]
    assert shard.schema.field("face_bboxes").type == STRING
    columns = find_columns(shard.schema, "s.tar", DataOptions())
    assert (columns.image, columns.caption, columns.many_captions) == ("image", "captions", True)
    named = find_columns(shard.schema, "s.tar", DataOptions(caption_column="TEXT"))
    assert named.carried == ("__key__", "face_bboxes")


def test_a_field_called_like_a_column_is_renamed_unless_it_says_the_same(tmp_path):
    rows = [{"caption": "one", "__key__": "a", "image": "a.jpg", "json_image": 1}, {"caption": None}]
    files = samples(pair(key, b"i", "one", **fields) for key, fields in zip("ab", rows, strict=True))
    same = table(write_tar(tmp_path / "same.tar", files))
    assert same.column_names == ["__key__", "image", "caption", "json_image", "json_json_image"]
    assert same["json_json_image"].to_pylist() == ["a.jpg", None]
    other = table(write_tar(tmp_path / "other.tar", pair("a", b"i", "new caption", caption="old caption")))
    assert other.to_pylist() == [
        {"__key__": "a", "image": b"i", "caption": "new caption", "json_caption": "old caption"}
    ]


def test_a_shard_without_samples_is_a_table_without_rows(tmp_path):
    shard = TarShard(str(write_tar(tmp_path / "s.tar", [])))
    assert (shard.rows, list(shard.batches(5))) == (0, [])
    assert find_columns(shard.schema, "s.tar", DataOptions()).caption == "caption"


def test_pairs_without_an_image_or_with_an_empty_one_have_a_row(tmp_path):
    files = samples([pair("a", b"", "one"), [("b.txt", b"two")], pair("c", b"i", " ")])
    shard = Shard(str(write_tar(tmp_path / "s.tar", files)), "s.tar")
    (rows,) = read_rows(shard, find_columns(TarShard(shard.path).schema, "s.tar", DataOptions()), rows=10)
    assert rows.images == [b"", None, b"i"]
    assert rows.status == [None, "image_missing", "caption_missing"]


def test_a_failed_download_says_so_as_in_parquet(tmp_path):
    files = samples([pair("a", b"i", "t", status="failed_to_resize", error_message="too small"), pair("b", b"i", "t")])
    shard = Shard(str(write_tar(tmp_path / "s.tar", files)), "s.tar")
    columns = find_columns(TarShard(shard.path).schema, "s.tar", DataOptions())
    (rows,) = read_rows(shard, columns, rows=10)
    assert (rows.status, rows.detail) == (["upstream_failed", None], ["failed_to_resize: too small", None])


def test_keys_name_the_pairs_unless_they_come_back(tmp_path):
    once = [shard_of(tmp_path / f"a/{i}.tar", first=10 * i) for i in range(2)]
    assert choose_key(once, None) == "key"
    plain = [Shard(str(write_tar(tmp_path / f"b/{n}.tar", samples([pair("x"), pair(n)]))), f"{n}.tar") for n in "yz"]
    assert choose_key(plain, None) == "__key__"
    names = PairNames(plain, "__key__")
    for shard in plain:
        names.see(shard, open_shard(shard))
    with pytest.raises(BadTable, match=r"z.tar row 0 has the __key__ 'x' again, after y.tar row 0") as told:
        names.refuse_repeats()
    assert "--key ''" in told.value.fix
    again = Shard(str(write_tar(tmp_path / "c.tar", samples([pair("x"), pair("y"), pair("x")]))), "c.tar")
    assert choose_key([again], None) is None


def test_samples_that_were_torn_apart_are_refused(tmp_path):
    names = ["a.jpg", "b.jpg", "a.txt", "b.txt"]  # tar cf s.tar *.jpg *.txt
    path = write_tar(tmp_path / "s.tar", [(name, b"x") for name in names])
    with pytest.raises(BadTable, match=r"the files of 'a' are not together: \.jpg is in row 0, \.txt in row 2"):
        open_shard(Shard.of_file(str(path)))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("b.json", b"{", r"s.tar: b.json \(row 1\) is no JSON: "),
        ("b.json", b"[1]", r"s.tar: b.json \(row 1\) is no JSON object, nor a list of captions"),
        ("b.json", b'["a", null]', r"s.tar: b.json \(row 1\) is no JSON object, nor a list of captions"),
        ("b.text", b"caf\xe9", r"s.tar: b.text \(row 1\) is not UTF-8 text"),
        ("b.json", b"[" * 100_000, r"s.tar: b.json \(row 1\) is no JSON: "),
        ("b.txt", b"caf\xe9", r"s.tar: b.txt \(row 1\) is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, told):
    path = write_tar(tmp_path / "s.tar", [*pair("a"), ("b.jpg", b"i"), (name, content)])
    with pytest.raises(BadTable, match=told):
        table(path)


def read_as(path, **named):
    shard = Shard(str(path), path.name)
    (rows,) = read_rows(shard, find_columns(open_shard(shard).schema, shard.name, DataOptions(**named)), rows=100)
    return rows


def test_a_file_of_several_suffixes_is_a_column_called_like_them(tmp_path):
    names = ("input.jpg", "OUT.png", "a.txt", "b.txt")
    files = [(f"{i}.{name}", f"{name} {i}".encode()) for i in range(3) for name in names]
    path = write_tar(tmp_path / "s.tar", files)
    assert TarShard(str(path)).schema.names == ["__key__", "input.jpg", "out.png", "a.txt", "b.txt"]
    rows = read_as(path, image_column="out.png", caption_column="b.txt")
    assert rows.images == [b"OUT.png 0", b"OUT.png 1", b"OUT.png 2"]
    assert rows.captions == ["b.txt 0", "b.txt 1", "b.txt 2"]
    assert rows.carried.to_pydict() == {"__key__": ["0", "1", "2"], "a.txt": ["a.txt 0", "a.txt 1", "a.txt 2"]}
    with pytest.raises(BadTable, match=r"no image column .*input.jpg in 3, out.png in 3, .* of 3 samples") as told:
        read_as(path)
    assert told.value.fix.endswith("--image-column input.jpg")


def test_beside_a_plain_image_such_files_are_there_to_be_named_and_do_no_harm(tmp_path):
    files = samples([*pair(f"{i}", b"plain", "text"), (f"{i}.seg.png", b"mask")] for i in range(2))
    rows = read_as(write_tar(tmp_path / "s.tar", files))
    assert (rows.images, rows.captions) == ([b"plain"] * 2, ["text"] * 2)
    assert read_as(tmp_path / "s.tar", image_column="seg.png").images == [b"mask"] * 2


def test_an_image_is_known_by_its_bytes(tmp_path):
    photo = drawn(1, (8, 8), "JPEG")
    files = [("a.img", photo), ("a.txt", b"one"), ("b.jfif", b"jfif"), ("b.img", photo), ("c.JPG", b"upper")]
    more = [("d.bin", photo), ("e.bin", b"something else"), ("e.txt", b"five")]
    rows = read_as(write_tar(tmp_path / "s.tar", [*files, *more]))
    assert rows.images == [photo, b"jfif", b"upper", None, None]  # not every .bin is an image
    assert rows.detail[3:] == ["no image; the sample has bin", "no image; the sample has bin, txt"]


def test_a_row_without_image_says_what_its_sample_has(tmp_path):
    files = samples([pair("a", b"i", "one"), [("b.v2.png", b"i"), ("b.v2.txt", b"two")]])
    files += [(f"c.{i}", b"x") for i in range(9)]
    rows = read_as(write_tar(tmp_path / "s.tar", files))
    assert rows.status == [None, "image_missing", "image_missing"]
    assert rows.detail[1:] == [
        "no image; the sample has v2.png, v2.txt",
        "no image; the sample has 0, 1, 2, 3, 4, 5 and 3 more files",
    ]


@pytest.mark.parametrize("rows", [3, 40])
def test_keys_with_dots_are_told_with_what_was_found(tmp_path, rows):
    files = [file for i in range(rows) for file in ((f"shot.{i}.png", b"i"), (f"shot.{i}.txt", b"t"))]
    with pytest.raises(BadTable, match=rf"0.png in 1, .* {2 * rows} files share 1 key, the first 'shot'.* first dot"):
        read_as(write_tar(tmp_path / "s.tar", files))


def test_no_pair_is_taken_for_all_of_a_key_with_dots(tmp_path):
    """To name the image of one of them would be to lose the others."""
    files = [file for i in range(5) for file in ((f"www.org/img.v{i}.jpg", b"i"), (f"www.org/img.v{i}.txt", b"t"))]
    path = write_tar(tmp_path / "s.tar", files)
    with pytest.raises(BadTable, match=r"10 files share 1 key, the first 'www.org/img'.* first dot") as told:
        read_as(path)
    assert "no other dot" in told.value.fix
    files = [("a.input.jpg", b"i"), ("a.target.jpg", b"i"), ("a.output.txt", b"t")]  # one sample of several files
    with pytest.raises(BadTable) as told:
        read_as(write_tar(tmp_path / "one.tar", files))
    assert "--image-column input.jpg" in told.value.fix


def test_a_list_of_captions_is_several_captions(tmp_path):
    files = samples([("a.jpg", b"i"), ("a.json", content)] for content in (b'["one", "two"]', b'"three"', b"[]"))
    files = [(f"{i // 2}{name[1:]}", content) for i, (name, content) in enumerate(files)]
    rows = read_as(write_tar(tmp_path / "s.tar", files))
    assert (rows.captions, rows.pair_id) == (
        ["one", "two", "three", None], ["s/0/0", "s/0/1", "s/1/0", "s/2/0"],
    )  # fmt: skip


def test_texts_of_other_suffixes_are_captions(tmp_path):
    files = [("a.jpg", b"i"), ("a.text", b"one"), ("b.jpg", b"j"), ("b.caption", b"two"), ("b.txt", b"first")]
    assert read_as(write_tar(tmp_path / "s.tar", files)).captions == ["one", "first"]


def test_names_that_are_not_utf_8_have_replacement_characters(tmp_path):
    with tarfile.open(tmp_path / "s.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        for name in ("caf\xe9.jpg", "caf\xe8.jpg"):
            archive.addfile(tarfile.TarInfo(name))
    assert table(tmp_path / "s.tar")["__key__"].to_pylist() == ["caf\ufffd"] * 2


def test_a_file_that_changed_is_read_anew(tmp_path):
    path = write_tar(tmp_path / "s.tar", img2dataset(2))
    assert open_shard(Shard.of_file(str(path))).rows == 2
    write_tar(path, img2dataset(30))
    assert open_shard(Shard.of_file(str(path))).rows == 30


TEXTS = st.one_of(st.text(max_size=8), st.just("long " * 50_000))
FIELDS = st.fixed_dictionaries({}, optional={"n": st.none() | st.integers(0, 9), "é": st.none() | st.text(max_size=4)})


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(st.binary(max_size=700), st.none() | TEXTS, FIELDS), max_size=8),
    step=st.integers(1, 9),
    packed=st.booleans(),
)
def test_every_sample_comes_out_as_it_went_in(tmp_path, rows, step, packed):
    parts = [pair(f"k/{i}", image, text, **fields) for i, (image, text, fields) in enumerate(rows)]
    path = write_tar(tmp_path / "s.tar", samples(parts), mode="w:gz" if packed else "w")
    shard = TarShard(str(path))
    found = [row for batch in shard.batches(step) for row in batch.to_pylist()]
    assert len(found) == shard.rows == len(rows)
    for i, (row, (image, text, fields)) in enumerate(zip(found, rows, strict=True)):
        assert (row["__key__"], row["image"], row.get("caption")) == (f"k/{i}", image, text)
        assert {name: row.get(name) for name in fields} == fields


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_behind_an_address_reads_the_same(tmp_path, mode):
    path = write_tar(tmp_path / "s.tar", img2dataset(50, image_bytes=30_000), mode=mode)
    fsspec.filesystem("memory").pipe("/tars/s.tar", path.read_bytes())
    assert table("memory://tars/s.tar").equals(table(path))


def test_tarfile_sees_the_same_images(tmp_path):
    path = write_tar(tmp_path / "s.tar", img2dataset(300, image_bytes=3_000), mtime=1.25)
    with tarfile.open(path) as archive:
        images = [archive.extractfile(member).read() for member in archive if member.name.endswith(".jpg")]
        fields = [json.load(archive.extractfile(member)) for member in archive if member.name.endswith(".json")]
    found = table(path, rows=100)
    assert found["image"].to_pylist() == images
    assert found["url"].to_pylist() == [values["url"] for values in fields]


def test_captions_in_several_languages_are_asked_for_by_theirs(tmp_path):
    files = [pair(f"{i}", b"\x89PNG", caption={"en": f"a dog {i}", "de": f"ein Hund {i}"}) for i in range(2)]
    shard = Shard.of_file(str(write_tar(tmp_path / "s.tar", samples(files))))
    schema = open_shard(shard).schema
    with pytest.raises(BadTable) as told:
        find_columns(schema, "s.tar", DataOptions())
    assert told.value.fix == "name it with --caption-column, such as --caption-column caption.en or caption.de"
    columns = find_columns(schema, "s.tar", DataOptions(caption_column="caption.de"))
    assert [c for window in read_rows(shard, columns, rows=2) for c in window.captions] == ["ein Hund 0", "ein Hund 1"]


@pytest.mark.parametrize(
    ("suffix", "fix"),
    [
        ("0.txt", "name it with --caption-column, such as --caption-column 0.txt"),
        ("txt.gz", "write the captions of a tar as KEY.txt, or in a field of KEY.json, with no other dot"),
        ("captions.json", "write the captions of a tar as KEY.txt"),
    ],
)
def test_a_tar_whose_captions_are_not_seen_is_told_what_helps(tmp_path, suffix, fix):
    path = write_tar(tmp_path / "s.tar", [("a.jpg", b"\xff\xd8\xff"), (f"a.{suffix}", b'["a dog"]')])
    with pytest.raises(BadTable) as told:
        find_columns(TarShard(str(path)).schema, "s.tar", DataOptions())
    assert told.value.fix.startswith(fix)


def test_a_mark_before_a_text_is_none_of_its_letters(tmp_path):
    path = write_tar(tmp_path / "s.tar", [("a.jpg", b"\xff\xd8\xff"), ("a.txt", b"\xef\xbb\xbfa dog")])
    assert table(path)["caption"].to_pylist() == ["a dog"]

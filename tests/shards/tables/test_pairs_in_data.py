"""Pairs of tables in the dataset that they were made from, in any format: found there, and refused elsewhere."""

import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.shards.files.provenance import fingerprint_of_file
from ncaudit.shards.tables.pairs_in_data import Dataset, Wanted
from tests.worlds.datasets import write
from tests.worlds.images import drawn

IMAGES = [drawn(i, (24, 16), "JPEG") for i in range(7)]
CAPTIONS = [f"caption {i}" for i in range(7)]


def as_parquet(folder, file="a.parquet", **columns):
    write(folder / file, {"jpg": IMAGES, "caption": CAPTIONS, **columns}, group=2)
    return file


def as_tar(folder):
    with tarfile.open(folder / "a.tar", "w") as tar:
        for i, (image, caption) in enumerate(zip(IMAGES, CAPTIONS, strict=True)):
            for kind, data in (("jpg", image), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{i:03}.{kind}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return "a.tar"


def as_paths(folder):
    (folder / "img").mkdir()
    for i, image in enumerate(IMAGES):
        (folder / "img" / f"{i}.jpg").write_bytes(image)
    lines = ["image_path,caption", *(f"img/{i}.jpg,caption {i}" for i in range(7))]
    (folder / "a.csv").write_text("\n".join(lines))
    return "a.csv"


def as_structs(folder):
    images = [{"bytes": image, "path": None} for image in IMAGES]
    pq.write_table(pa.table({"image": images, "caption": CAPTIONS}), folder / "a.parquet")
    return "a.parquet"


def wanted(shard, row, pair_id="x", *, made_from=None, table="s/a.parquet", **more):
    told = [] if made_from is None else [{"name": shard, "fingerprint": fingerprint_of_file(str(made_from))}]
    return Wanted(pair_id, shard, row, table, told, **more)


def found(folder, *pairs, **options):
    there = dict(Dataset([str(folder)], DataOptions(**options)).pairs(pairs))
    assert sorted(there) == list(range(len(pairs)))
    return [there[number] for number in range(len(pairs))]


@pytest.mark.parametrize("make", [as_parquet, as_tar, as_paths, as_structs])
def test_the_wanted_rows_are_found_in_every_format_however_often_they_are_wanted(tmp_path, make):
    name = make(tmp_path)
    pairs = found(tmp_path, *(wanted(name, row) for row in (6, 1, 2, 1)))
    assert [(pair.image, pair.caption, pair.missing) for pair in pairs] == [
        (IMAGES[row], CAPTIONS[row], None) for row in (6, 1, 2, 1)
    ]


def test_of_paths_only_those_of_wanted_rows_are_followed(tmp_path):
    name = as_paths(tmp_path)
    for i in range(1, 7):
        (tmp_path / "img" / f"{i}.jpg").unlink()
    here, gone = found(tmp_path, wanted(name, 0), wanted(name, 4))
    assert (here.image, gone.image) == (IMAGES[0], None)
    assert gone.missing.startswith("image_missing: ")


def test_a_pair_of_a_row_with_several_captions_has_its_own(tmp_path):
    name = as_parquet(tmp_path, caption=[[f"{i} a", f"{i} b"] for i in range(7)])
    pairs = found(tmp_path, *(wanted(name, 3, pair_id) for pair_id in ("a/3/0", "a/3/1", "a/3/9")))
    assert [(pair.image, pair.caption) for pair in pairs] == [(IMAGES[3], text) for text in ("3 a", "3 b", "3 b")]


def test_a_pair_of_a_caption_of_several_lines_has_its_line_where_that_is_asked_for(tmp_path):
    name = as_parquet(tmp_path, caption=[f"{i} a\n{i} b" for i in range(7)])
    assert found(tmp_path, wanted(name, 3, "a/3/1"), caption_lines=True)[0].caption == "3 b"
    assert found(tmp_path, wanted(name, 3, "a/3/1"))[0].caption == "3 a\n3 b"


def test_two_tables_may_call_their_shards_alike(tmp_path):
    """As when two datasets with files of the same names were scored apart."""
    for folder, captions in (("one", CAPTIONS), ("two", CAPTIONS[::-1])):
        as_parquet(tmp_path / folder, caption=captions)
    pairs = [
        wanted("a.parquet", 0, made_from=tmp_path / folder / "a.parquet", table=f"{folder}-scores.parquet")
        for folder in ("two", "one")
    ]
    assert [pair.caption for pair in found(tmp_path, *pairs)] == ["caption 6", "caption 0"]


def test_a_shard_that_was_renamed_is_known_by_its_content_among_others(tmp_path):
    as_parquet(tmp_path / "data")
    as_parquet(tmp_path / "data", "b.parquet", caption=CAPTIONS[::-1])
    pair = wanted("a.parquet", 1, made_from=tmp_path / "data/a.parquet")
    (tmp_path / "data/a.parquet").rename(tmp_path / "data/z.parquet")
    assert found(tmp_path / "data", pair)[0].caption == "caption 1"


def test_another_file_of_that_name_is_refused_also_where_it_is_the_only_one(tmp_path):
    as_parquet(tmp_path / "data")
    pair = wanted("a.parquet", 1, made_from=tmp_path / "data/a.parquet")
    as_parquet(tmp_path / "other", caption=CAPTIONS[::-1])
    with pytest.raises(BadTable, match=r"made from another file than .*its content differs") as refused:
        found(tmp_path / "other", pair)
    assert "--key" in refused.value.fix


def test_a_dataset_without_the_shard_is_refused_with_what_is_there(tmp_path):
    as_parquet(tmp_path / "data")
    pair = wanted("a.parquet", 1, made_from=tmp_path / "data/a.parquet")
    for name in "bcdef":
        as_parquet(tmp_path / "other", f"{name}.parquet", caption=[name] * 7)
    with pytest.raises(BadTable, match=r"no shard a\.parquet, .*found: b\.parquet, c\.parquet, d\.parquet, and 2 more"):
        found(tmp_path / "other", pair)


@pytest.mark.parametrize("source", [{"name": "a.parquet"}, {"name": "a.parquet", "fingerprint": None}])
def test_without_a_fingerprint_the_captions_tell(tmp_path, source):
    as_parquet(tmp_path)
    assert found(tmp_path, Wanted("x", "a.parquet", 1, "s", [source], "caption 1"))[0].image == IMAGES[1]
    assert found(tmp_path, Wanted("x", "a.parquet", 1, "s", [source], "capt", cut=True))[0].image == IMAGES[1]
    for caption, cut in (("capt", False), ("a bird", True)):
        with pytest.raises(BadTable, match=r"another caption for x than s .'caption 1' instead of"):
            found(tmp_path, Wanted("x", "a.parquet", 1, "s", [source], caption, cut))


def test_rows_beyond_the_end_are_refused(tmp_path):
    name = as_parquet(tmp_path)
    with pytest.raises(BadTable, match="has no row 7, which"):
        found(tmp_path, wanted(name, 2), wanted(name, 7))


def test_by_a_key_pairs_are_found_wherever_they_are_now_and_however_often_they_are_wanted(tmp_path):
    as_parquet(tmp_path, "new.parquet", name=[f"n{i}" for i in range(7)])
    pairs = [wanted("old.parquet", 0, f"n{i}") for i in (5, 1, 5)]
    assert [pair.caption for pair in found(tmp_path, *pairs, key="name")] == ["caption 5", "caption 1", "caption 5"]
    with pytest.raises(BadTable, match=r"has no pair n9, which"):
        found(tmp_path, wanted("old.parquet", 0, "n9"), key="name")


def test_by_a_key_pairs_of_lists_are_found_by_the_name_of_their_row(tmp_path):
    lists = [[f"{i} a", f"{i} b"] for i in range(7)]
    as_parquet(tmp_path, name=[f"n{i}" for i in range(7)], caption=lists)
    pairs = found(tmp_path, wanted(None, None, "n5/1"), wanted(None, None, "n5/0"), key="name")
    assert [(pair.image, pair.caption) for pair in pairs] == [(IMAGES[5], "5 b"), (IMAGES[5], "5 a")]


def test_a_key_that_names_two_rows_alike_is_refused(tmp_path):
    as_parquet(tmp_path, name=[*(f"n{i}" for i in range(6)), "n0"])
    with pytest.raises(BadTable, match=r"row 6 and .* row 0 are both called n0") as refused:
        found(tmp_path, wanted(None, None, "n0"), key="name")
    assert "--key" in refused.value.fix


def test_pairs_without_a_place_are_found_by_a_key_of_the_dataset(tmp_path):
    as_parquet(tmp_path, key=[f"k{i}" for i in range(7)])
    assert found(tmp_path, wanted(None, None, "k4"), wanted("a.parquet", 2))[0].caption == "caption 4"
    with pytest.raises(BadTable, match="has no pair k9, which"):
        found(tmp_path, wanted(None, None, "k9"))

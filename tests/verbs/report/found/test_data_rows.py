"""Rows of the dataset by shard and row, in any format: only what is wanted is read, and it is what was scored."""

import io
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.options import DataOptions
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers import open_shard
from ncaudit.verbs.report.found.data_rows import Chosen, Dataset, Place, caption_number
from tests.worlds.images import drawn

IMAGES = [drawn(i, (24, 16), "JPEG") for i in range(7)]
CAPTIONS = [f"caption {i}" for i in range(7)]


def as_parquet(folder, group=2):
    pq.write_table(pa.table({"jpg": IMAGES, "caption": CAPTIONS}), folder / "a.parquet", row_group_size=group)
    return "a.parquet"


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


@pytest.mark.parametrize("write", [as_parquet, as_tar, as_paths, as_structs])
def test_the_wanted_rows_are_found_in_every_format(tmp_path, write):
    name = write(tmp_path)
    data = Dataset([str(tmp_path)], DataOptions(), [])
    found = list(data.pairs([Place(name, row) for row in (6, 1, 2)], {}))
    assert [(pair.place.row, pair.image, list(pair.captions)) for pair in found] == [
        (row, IMAGES[row], [CAPTIONS[row]]) for row in (1, 2, 6)
    ]


@pytest.mark.parametrize("wanted", [[0], [6], [1, 2], [0, 3, 6], list(range(7))])
@pytest.mark.parametrize("group", [1, 2, 3, 100])
def test_row_groups_do_not_change_which_rows_are_chosen(tmp_path, wanted, group):
    file = open_shard(Shard.of_file(str(tmp_path / as_parquet(tmp_path, group))))
    chosen = Chosen(file, np.array(wanted))
    told = [text for batch in chosen.batches(2, ["caption"]) for text in batch["caption"].to_pylist()]
    assert told == [CAPTIONS[row] for row in wanted]


def test_of_paths_only_those_of_wanted_rows_are_followed(tmp_path):
    name = as_paths(tmp_path)
    for i in range(1, 7):
        (tmp_path / "img" / f"{i}.jpg").unlink()
    found = list(Dataset([str(tmp_path)], DataOptions(), []).pairs([Place(name, 0), Place(name, 4)], {}))
    assert [pair.image for pair in found] == [IMAGES[0], None]
    assert found[1].problem.startswith("image_missing")


def test_rows_with_several_captions_are_read_once(tmp_path):
    lists = [[f"{i} a", f"{i} b"] for i in range(7)]
    pq.write_table(pa.table({"jpg": IMAGES, "captions": lists}), tmp_path / "a.parquet")
    data = Dataset([str(tmp_path)], DataOptions(), [])
    told = {Place("a.parquet", 3): {0: "3 a", 1: "3 b"}}
    assert [list(pair.captions) for pair in data.pairs([Place("a.parquet", 3)], told)] == [["3 a", "3 b"]]
    with pytest.raises(BadTable, match="row 3 has another caption"):
        list(data.pairs([Place("a.parquet", 3)], {Place("a.parquet", 3): {1: "3 c"}}))


def test_rows_beyond_the_end_are_refused(tmp_path):
    name = as_parquet(tmp_path)
    with pytest.raises(BadTable, match="has no row 7"):
        list(Dataset([str(tmp_path)], DataOptions(), []).pairs([Place(name, 2), Place(name, 7)], {}))


def test_which_caption_of_its_row_a_pair_has_stands_in_its_name():
    assert [caption_number(name, 3) for name in ("a/7/2", "a/7/9", "key", None)] == [2, 2, 0, 0]
    assert caption_number("a/7", 1) == 0

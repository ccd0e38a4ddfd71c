"""What `datasets` itself writes is embedded as it is: images as bytes or paths, several of them, several captions."""

import json

import datasets
import pyarrow.parquet as pq
import pytest

from tests.worlds.commands import embedded
from tests.worlds.images import of_one_colour

pytestmark = pytest.mark.usefixtures("tiny_model")

PHOTO, TEXT = datasets.Image(), datasets.Value("string")


@pytest.fixture(autouse=True)
def _quiet(tmp_path):
    datasets.disable_progress_bars()


def held(number):
    return {"bytes": of_one_colour((number * 20, 0, 0), (20, 20)), "path": None}


def made(rows, **features):
    return datasets.Dataset.from_list(rows, features=datasets.Features(features))


def table(folder, stem="x"):
    return pq.read_table(folder / f"out/{stem}.parquet", partitioning=None)


def test_images_as_bytes(tmp_path):
    rows = [{"picture of": held(i), "text": f"number {i}"} for i in range(3)]
    made(rows, **{"picture of": PHOTO, "text": TEXT}).to_parquet(tmp_path / "x.parquet")
    embedded(tmp_path / "x.parquet", tmp_path / "out")
    written = table(tmp_path)
    assert written["status"].to_pylist() == ["ok"] * 3
    assert written["width"].to_pylist() == [20] * 3
    assert written["caption"].to_pylist() == ["number 0", "number 1", "number 2"]


def test_images_as_paths_beside_the_file_or_below_the_image_root(tmp_path):
    photos = [tmp_path / name for name in ("data/a.png", "other/b.png", "data/none.png")]
    for path in photos:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(of_one_colour((20, 0, 0), (20, 20)))
    rows = [{"image": str(path), "text": "one"} for path in photos]
    made(rows, image=PHOTO, text=TEXT).to_parquet(tmp_path / "data/x.parquet")
    photos[2].unlink()
    assert pq.read_table(tmp_path / "data/x.parquet")["image"].to_pylist()[0]["bytes"] is None
    embedded(tmp_path / "data/x.parquet", tmp_path / "out")
    assert table(tmp_path)["status"].to_pylist() == ["ok", "image_missing", "image_missing"]
    embedded(tmp_path / "data/x.parquet", tmp_path / "out", "--image-root", tmp_path)
    assert table(tmp_path)["status"].to_pylist() == ["ok", "ok", "image_missing"]


def test_several_images_and_several_captions(tmp_path):
    rows = [{"images": [held(1), held(2)], "text": ["one", "two"]}, {"images": [], "text": ["three"]}]
    made(rows, images=datasets.List(PHOTO), text=datasets.List(TEXT)).to_parquet(tmp_path / "x.parquet")
    ran = embedded(tmp_path / "x.parquet", tmp_path / "out", "--json")
    said = json.loads(ran.stdout)
    assert (said["input_rows"], said["accounting"]["rows"]) == (2, 3)
    written = table(tmp_path)
    assert written["pair_id"].to_pylist() == ["x/0/0", "x/0/1", "x/1/0"]
    assert written["caption_index"].to_pylist() == [0, 1, 0]
    assert written["status"].to_pylist() == ["ok", "ok", "image_missing"]


def test_a_dataset_saved_to_disk(tmp_path):
    saved = made([{"image": held(i), "text": f"number {i}"} for i in range(4)], image=PHOTO, text=TEXT)
    saved.save_to_disk(tmp_path / "saved", num_shards=2)
    embedded(tmp_path / "saved", tmp_path / "out")
    names = [path.name for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert names == ["data-00000-of-00002.parquet", "data-00001-of-00002.parquet"]
    assert table(tmp_path, "data-00001-of-00002")["caption"].to_pylist() == ["number 2", "number 3"]


def test_our_tables_are_read_by_datasets(tmp_path):
    made([{"image": held(i), "text": f"number {i}"} for i in range(3)], image=PHOTO, text=TEXT).to_parquet(
        tmp_path / "x.parquet"
    )
    embedded(tmp_path / "x.parquet", tmp_path / "out")
    read = datasets.Dataset.from_parquet(str(tmp_path / "out/x.parquet"), cache_dir=str(tmp_path / "cache"))
    assert read["caption"][:] == ["number 0", "number 1", "number 2"]
    assert len(read[0]["image_embedding"]) == len(read[0]["text_embedding"]) > 0

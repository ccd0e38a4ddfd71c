"""Which files make one shard is found from its path; a fingerprint covers them all."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files import layouts
from ncaudit.shards.files.provenance import fingerprint, fingerprint_of_file
from ncaudit.shards.files.sources import find_shards


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def clip_folder(folder, *numbers, metadata=True):
    for number in numbers:
        touch(folder, f"img_emb/img_emb_{number}.npy", f"text_emb/text_emb_{number}.npy")
        if metadata:
            touch(folder, f"metadata/metadata_{number}.parquet")
    return folder


def shard_at(path):
    return layouts.shard_at(str(path), path.name)


def names(*sources):
    return [shard.name for shard in find_shards([str(source) for source in sources])]


def test_a_plain_file_is_a_shard_alone(tmp_path):
    touch(tmp_path, "00000.parquet", "00000.tar", "00001.npz", "metadata/metadata_0.parquet")
    for name in ("00000.parquet", "00000.tar", "metadata/metadata_0.parquet"):
        assert shard_at(tmp_path / name).files == (str(tmp_path / name),)


def test_a_partition_has_three_files_or_those_that_are_there(tmp_path):
    clip_folder(tmp_path, "0")
    shard = shard_at(tmp_path / "metadata/metadata_0.parquet")
    assert [file.removeprefix(f"{tmp_path}/") for file in shard.files] == [
        "metadata/metadata_0.parquet", "img_emb/img_emb_0.npy", "text_emb/text_emb_0.npy",
    ]  # fmt: skip
    (tmp_path / "text_emb/text_emb_0.npy").unlink()
    assert len(shard.files) == 2


def test_an_npz_belongs_to_a_table_only_with_features_in_it(tmp_path):
    touch(tmp_path, "0.parquet")
    np.savez(tmp_path / "0.npz", notes=np.zeros(3), b32_img=np.zeros((3, 2)))
    assert layouts.arrays_beside(str(tmp_path / "0.parquet")) is None
    np.savez(tmp_path / "0.npz", b32_img=np.zeros((3, 2)), b32_txt=np.zeros((3, 2)))
    shard = shard_at(tmp_path / "0.parquet")
    for same in (shard, layouts.with_features(shard, "b32")):
        assert same.files == (str(tmp_path / "0.parquet"), str(tmp_path / "0.npz"))


@pytest.mark.parametrize(
    ("features", "chosen"), [(["b32", "l14"], "l14"), (["b32"], "b32"), (["b32", "h14"], None), ([], None)]
)
def test_the_larger_of_datacomps_models_is_read_unless_told(tmp_path, features, chosen):
    np.savez(tmp_path / "0.npz", **{f"{name}_{kind}": np.zeros((1, 2)) for name in features for kind in ("img", "txt")})
    shard = shard_at(tmp_path / "0.parquet")
    assert shard.features == chosen
    if features:
        assert layouts.with_features(shard, "b32").features == "b32"


def test_features_of_a_table_that_has_none_are_refused(tmp_path):
    with pytest.raises(BadTable, match=r"0\.parquet has no features beside it"):
        layouts.with_features(shard_at(tmp_path / "0.parquet"), "b32")


def test_partitions_come_by_number_and_are_called_as_their_metadata(tmp_path):
    clip_folder(tmp_path / "laion", "0", "1", "2", "10")
    expected = [f"metadata_{number}.parquet" for number in (0, 1, 2, 10)]
    assert names(tmp_path / "laion") == expected
    assert names(tmp_path / "laion/metadata") == expected
    assert names(tmp_path) == [f"laion/{name}" for name in expected]
    assert find_shards([str(tmp_path / "laion")])[3].output("out") == "out/metadata_10.parquet"


def test_without_metadata_partitions_are_called_as_their_images(tmp_path):
    clip_folder(tmp_path, "00", "01", metadata=False)
    assert names(tmp_path) == ["img_emb_00.npy", "img_emb_01.npy"]


def test_tables_beside_a_clip_retrieval_folder_are_found_and_what_lies_in_it_is_not(tmp_path):
    clip_folder(tmp_path / "laion", "0")
    touch(tmp_path, "ours/00000.parquet", "laion/failed/failed_0.parquet", "laion/_run.json")
    assert names(tmp_path) == ["laion/metadata_0.parquet", "ours/00000.parquet"]


def test_the_fingerprint_of_one_file_is_of_its_footer(tmp_path):
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "0.parquet")
    data = (tmp_path / "0.parquet").read_bytes()
    footer = int.from_bytes(data[-8:-4], "little")
    digest = hashlib.sha256(data[-8 - footer : -8]).hexdigest()[:32]
    assert fingerprint_of_file(str(tmp_path / "0.parquet")) == f"{len(data)}-{digest}"


@pytest.mark.parametrize("changed", ["metadata/metadata_0.parquet", "img_emb/img_emb_0.npy", "text_emb/text_emb_0.npy"])
def test_a_fingerprint_covers_every_file_of_the_shard(tmp_path, changed):
    clip_folder(tmp_path, "0")
    shard = shard_at(tmp_path / "metadata/metadata_0.parquet")
    before = fingerprint(shard)
    assert before == fingerprint(shard)
    (tmp_path / changed).write_bytes(b"other")
    assert fingerprint(shard) != before


def test_a_fingerprint_tells_which_features_were_read(tmp_path):
    touch(tmp_path, "0.parquet")
    np.savez(
        tmp_path / "0.npz", **{f"{name}_{kind}": np.zeros((1, 2)) for name in ("b32", "l14") for kind in ("img", "txt")}
    )
    shard = shard_at(tmp_path / "0.parquet")
    larger, smaller = (fingerprint(layouts.with_features(shard, name)) for name in ("l14", "b32"))
    assert fingerprint(shard) == larger != smaller


def test_two_arrays_are_one_shard_called_as_the_images(tmp_path):
    for image, text in (("img.npy", "text.npy"), ("IMG.NPY", "a + b.npy")):
        touch(tmp_path, image, text)
        (shard,) = find_shards([str(tmp_path / image), str(tmp_path / text)])
        assert (shard.path, shard.name) == (f"{tmp_path}/{image} + {tmp_path}/{text}", image)
        assert shard.output("out") == f"out/{image[:3]}.parquet"
        assert shard.files == (f"{tmp_path}/{image}", f"{tmp_path}/{text}")

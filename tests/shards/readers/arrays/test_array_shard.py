"""Arrays beside tables read as one table: the rows that NumPy and parquet have, in whatever pieces."""

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard
from ncaudit.shards.tables.embeddings import open_embeddings

IMAGE = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float16)
TEXT = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)


def clip_folder(folder, *tables, group=1_000, digits=1):
    """One partition per table; each takes its rows of IMAGE and TEXT in turn."""
    first = 0
    for name in ("img_emb", "text_emb", "metadata"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        told, rows = f"{number:0{digits}}", slice(first, first + len(table))
        np.save(folder / f"img_emb/img_emb_{told}.npy", IMAGE[rows])
        np.save(folder / f"text_emb/text_emb_{told}.npy", TEXT[rows])
        pq.write_table(table, folder / f"metadata/metadata_{told}.parquet", row_group_size=group)
        first += len(table)
    return folder


def metadata(first, rows, **more):
    numbers = range(first, first + rows)
    columns = {"image_path": [f"{i:09}" for i in numbers], "caption": [f"caption {i}" for i in numbers], **more}
    return pa.table(columns)


def opened(*sources, features=None):
    return [open_shard(shard) for shard in find_shards([str(source) for source in sources], features)]


def read(shard, columns=None, pieces=None, rows=7):
    batches = list(shard.batches(rows, columns, pieces))
    assert all(0 < len(batch) <= rows for batch in batches)
    return pa.Table.from_batches(batches)


def matrix(column):
    return np.array(column.to_pylist())


@pytest.fixture
def pair(tmp_path):
    np.save(tmp_path / "img.npy", IMAGE)
    np.save(tmp_path / "text.npy", TEXT)
    return tmp_path / "img.npy", tmp_path / "text.npy"


def test_a_pair_of_arrays_is_a_table_of_two_columns(pair):
    (shard,) = opened(*pair)
    assert shard.schema == pa.schema(
        {"image_embedding": pa.list_(pa.float16(), 4), "text_embedding": pa.list_(pa.float32(), 6)}
    )
    assert (shard.rows, shard.pieces, shard.nulls(0, "image_embedding")) == (30, 1, 0)
    table = read(shard)
    np.testing.assert_array_equal(matrix(table["image_embedding"]), IMAGE)
    np.testing.assert_array_equal(matrix(table["text_embedding"]), TEXT)
    assert read(shard, {"text_embedding"}, [0]).equals(table.select(["text_embedding"]))


def test_pairs_of_two_arrays_are_named_by_the_images_file_and_their_row(pair):
    (shard,) = find_shards([str(path) for path in pair])
    (batch,) = open_embeddings(shard).batches()
    assert batch.pair_id[:2] == ["img/0", "img/1"]
    np.testing.assert_allclose(np.linalg.norm(batch.image, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(batch.text, TEXT / np.linalg.norm(TEXT, axis=1, keepdims=True), rtol=1e-5)


def test_arrays_of_different_length_are_refused_with_both_names(pair):
    np.save(pair[1], TEXT[:29])
    with pytest.raises(BadTable, match=r"img\.npy has 30 rows, .*text\.npy has 29 rows"):
        opened(*pair)


def test_rows_that_are_not_finite_or_zero_are_told_as_failed(pair):
    image = IMAGE.copy()
    image[3], image[5, 0] = 0, np.nan
    np.save(pair[0], image)
    (batch,) = open_embeddings(find_shards([str(path) for path in pair])[0]).batches()
    assert [row for row, status in enumerate(batch.status) if status == "embedding_invalid"] == [3, 5]
    assert len(batch.image) == 28


def test_a_partition_has_its_metadata_beside_the_arrays(tmp_path):
    folder = clip_folder(tmp_path, metadata(0, 20), metadata(20, 10), group=8)
    first, second = opened(folder)
    assert (first.rows, first.pieces, second.rows) == (20, 3, 10)
    table = pa.concat_tables([read(first), read(second)])
    assert table["caption"].to_pylist() == [f"caption {i}" for i in range(30)]
    np.testing.assert_array_equal(matrix(table["image_embedding"]), IMAGE)
    np.testing.assert_array_equal(matrix(table["text_embedding"]), TEXT)


@pytest.mark.parametrize("columns", [None, {"caption"}, {"image_embedding"}, {"caption", "text_embedding", "no such"}])
def test_pieces_are_the_rows_of_the_whole(tmp_path, columns):
    (shard,) = opened(clip_folder(tmp_path, metadata(0, 30), group=8))
    whole = read(shard, columns)
    assert whole.column_names == [name for name in shard.schema.names if columns is None or name in columns]
    assert pa.concat_tables(read(shard, columns, [piece]) for piece in range(4)).equals(whole)
    assert read(shard, columns, [2, 0]).equals(pa.concat_tables([whole.slice(16, 8), whole.slice(0, 8)]))


def test_rows_are_counted_where_no_column_is_wanted(tmp_path, pair):
    folder = clip_folder(tmp_path / "c", metadata(0, 30), group=8)
    for (shard,) in (opened(folder), opened(*pair)):
        assert sum(len(batch) for batch in shard.batches(7, {"no such"})) == 30


def test_columns_have_one_type_in_all_partitions(tmp_path):
    folder = clip_folder(
        tmp_path,
        metadata(0, 10, error_message=pa.nulls(10), exif=pa.nulls(10), width=[1] * 10),
        metadata(10, 10, error_message=["late"] * 10, exif=pa.nulls(10), width=[1.5] * 10, url=["u"] * 10),
    )
    first, second = opened(folder)
    assert first.schema == second.schema
    assert first.schema.field("error_message").type == first.schema.field("exif").type == pa.string()
    assert first.schema.field("width").type == pa.float64()
    assert read(first)["error_message"].null_count == read(first)["url"].null_count == 10
    assert read(second)["error_message"].to_pylist() == ["late"] * 10


def test_columns_of_types_that_do_not_go_together_are_told(tmp_path):
    folder = clip_folder(tmp_path, metadata(0, 10, tag=[1] * 10), metadata(10, 10, tag=["a"] * 10))
    with pytest.raises(BadTable, match="metadata: columns of one name do not go together"):
        opened(folder)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (([f"{i:09}" for i in range(10)], [f"{i:09}" for i in range(10, 20)]), "000000003"),
        (([f"{i:09}" for i in range(10)], [f"{i:09}" for i in range(10)]), "metadata_0/3"),
        (([f"{i % 5:09}" for i in range(10)], [f"{i:09}" for i in range(10, 20)]), "metadata_0/3"),
        (([f"{i:09}" for i in range(10)], [None] * 10), "metadata_0/3"),
        (([f"{i:09}" for i in range(10)], [f"{i:09}" for i in range(10, 19)] + [None]), "metadata_0/3"),
        ((list(range(10)), list(range(10, 20))), "3"),
        (([f"a{i}" for i in range(10)], [f"b{i}" for i in range(10)]), "a3"),
        (([f"a{i}" for i in range(10)], [f"a{i}" for i in range(9, 19)]), "metadata_0/3"),
    ],
)
def test_a_key_names_pairs_if_no_partition_repeats_it(tmp_path, keys, named):
    folder = clip_folder(tmp_path, *(metadata(10 * i, 10, key=own) for i, own in enumerate(keys)))
    shard = find_shards([str(folder)])[0]
    (batch,) = open_embeddings(shard).batches()
    assert batch.pair_id[3] == named
    assert batch.carried.schema.names == ["image_path", "caption", "key"]


def test_the_same_photo_is_known_by_the_hash_of_its_bytes(tmp_path):
    folder = clip_folder(tmp_path, metadata(0, 10, sha256=["same"] * 8 + ["other", None]))
    (batch,) = open_embeddings(find_shards([str(folder)])[0]).batches()
    assert len(set(batch.image_id[:8].tolist())) == 1
    assert len(set(batch.image_id.tolist())) == 3


@pytest.mark.parametrize("name", ["img_emb/img_emb_0.npy", "text_emb/text_emb_0.npy", "metadata/metadata_0.parquet"])
def test_three_files_of_different_length_are_told_with_their_names(tmp_path, name):
    folder = clip_folder(tmp_path, metadata(0, 10))
    if name.endswith("npy"):
        np.save(folder / name, IMAGE[:9])
    else:
        pq.write_table(metadata(0, 9), folder / name)
    with pytest.raises(BadTable, match=f"{name} has 9 rows") as raised:
        opened(folder)
    assert raised.value.message.count("has 10 rows") == 2


@pytest.mark.parametrize(
    ("name", "told"), [("img_emb", "--enable_image True"), ("text_emb", "--enable_text True"), ("metadata", "leave")]
)
def test_a_file_that_is_missing_from_a_partition_is_told_with_the_fix(tmp_path, name, told):
    folder = clip_folder(tmp_path, metadata(0, 10), metadata(10, 10))
    (path,) = (folder / name).glob("*_1.*")
    path.unlink()
    with pytest.raises(BadTable, match=f"has no {path.relative_to(folder)}") as raised:
        opened(folder)
    assert told in raised.value.fix


def test_without_metadata_pairs_are_named_by_their_row(tmp_path):
    folder = clip_folder(tmp_path, metadata(0, 10), metadata(10, 10))
    for path in (folder / "metadata").iterdir():
        path.unlink()
    shards = find_shards([str(folder)])
    (batch,) = open_embeddings(shards[1]).batches()
    assert batch.pair_id[3] == "img_emb_1/3"
    np.testing.assert_array_equal(matrix(read(open_shard(shards[1]))["image_embedding"]), IMAGE[10:20])


@pytest.fixture
def datacomp(tmp_path):
    uids = [f"{i:032x}" for i in range(30)]
    table = pa.table(
        {
            "uid": uids,
            "url": [f"https://a.org/{i}" for i in range(30)],
            "text": [f"caption {i}" for i in range(30)],
            "original_width": pa.array([640] * 30, pa.int64()),
            "clip_b32_similarity_score": pa.array([0.25] * 30, pa.float32()),
            "clip_l14_similarity_score": pa.array([0.5] * 30, pa.float32()),
            "face_bboxes": pa.array([[[0.1, 0.2, 0.3, 0.4]]] * 30),
            "sha256": uids,
        }
    )
    (tmp_path / "d").mkdir()
    pq.write_table(table, tmp_path / "d/0000.parquet", row_group_size=11)
    arrays = {"b32_img": IMAGE, "b32_txt": IMAGE + 1, "l14_img": TEXT, "l14_txt": TEXT + 1}
    np.savez(tmp_path / "d/0000.npz", **arrays)
    return tmp_path / "d"


@pytest.mark.parametrize(("features", "image"), [(None, TEXT), ("l14", TEXT), ("b32", IMAGE)])
def test_datacomps_features_are_the_larger_models_unless_told(datacomp, features, image):
    (shard,) = opened(datacomp, features=features)
    table = read(shard)
    np.testing.assert_array_equal(matrix(table["image_embedding"]), image)
    np.testing.assert_array_equal(matrix(table["text_embedding"]), image + 1)
    np.testing.assert_array_equal(matrix(read(shard, {"text_embedding"}, [1])["text_embedding"]), (image + 1)[11:22])


def test_datacomps_uid_names_pairs_and_prior_scores_are_carried(datacomp):
    (batch,) = open_embeddings(find_shards([str(datacomp)])[0]).batches()
    assert batch.pair_id[10] == f"{10:032x}"
    assert batch.caption.to_pylist()[3] == "caption 3"
    assert batch.carried["clip_l14_similarity_score"].to_pylist()[0] == 0.5
    assert {"uid", "url", "caption", "clip_b32_similarity_score", "sha256"} <= set(batch.carried.schema.names)
    assert "text" not in batch.carried.schema.names


def test_compressed_features_are_read_too(datacomp):
    np.savez_compressed(datacomp / "0000.npz", h14_img=IMAGE, h14_txt=TEXT)
    (shard,) = opened(datacomp)
    np.testing.assert_array_equal(matrix(read(shard)["image_embedding"]), IMAGE)
    np.testing.assert_array_equal(matrix(read(shard, {"text_embedding"}, [2, 0])["text_embedding"])[:8], TEXT[22:])


def test_features_that_are_not_there_are_told_with_those_that_are(datacomp):
    with pytest.raises(BadTable, match=r"0000\.npz has no features h14 \(found: b32, l14\)"):
        opened(datacomp, features="h14")
    np.savez(datacomp / "0000.npz", b32_img=IMAGE, b32_txt=IMAGE, h14_img=TEXT, h14_txt=TEXT)
    with pytest.raises(BadTable, match=r"several features \(found: b32, h14\)") as raised:
        opened(datacomp)
    assert "--features" in raised.value.fix
    (datacomp / "0000.npz").unlink()
    with pytest.raises(BadTable, match="no features beside it"):
        opened(datacomp, features="b32")


def test_a_damaged_npz_is_told_and_not_overlooked(datacomp):
    (datacomp / "0000.npz").write_bytes((datacomp / "0000.npz").read_bytes()[:700])
    with pytest.raises(BadTable, match=r"0000\.npz cannot be read as an array"):
        opened(datacomp)


def test_an_npz_alone_is_told_what_belongs_to_it(datacomp):
    with pytest.raises(BadTable, match=r"0000\.npz holds arrays, not a table") as raised:
        opened(datacomp / "0000.npz")
    assert "give the table beside it" in raised.value.fix


def test_embeddings_in_the_table_and_beside_it_are_one_too_many(datacomp):
    table = pq.read_table(datacomp / "0000.parquet")
    pq.write_table(table.append_column("text_embedding", pa.array([[1.0]] * 30)), datacomp / "0000.parquet")
    with pytest.raises(BadTable, match="has a column text_embedding, and there are arrays beside it too"):
        opened(datacomp)


def test_arrays_behind_an_address_are_read(tmp_path, datacomp):
    memory = fsspec.filesystem("memory")
    clip_folder(tmp_path / "clip", metadata(0, 30), group=8)
    memory.put(str(tmp_path / "clip"), "/arrays/clip", recursive=True)
    memory.put(str(datacomp), "/arrays/datacomp", recursive=True)
    for name, features in (("clip", None), ("datacomp", "b32"), ("datacomp", None)):
        (near,) = opened(datacomp if name == "datacomp" else tmp_path / name, features=features)
        (far,) = opened(f"memory://arrays/{name}", features=features)
        assert read(far).equals(read(near))
    pair = [f"memory://arrays/clip/{kind}_emb/{kind}_emb_0.npy" for kind in ("img", "text")]
    np.testing.assert_array_equal(matrix(read(opened(*pair)[0])["image_embedding"]), IMAGE)


def test_features_of_another_length_than_the_table_are_told(datacomp):
    np.savez(datacomp / "0000.npz", b32_img=IMAGE[:29], b32_txt=IMAGE[:29])
    with pytest.raises(BadTable, match=r"b32_img has 29 rows.*0000\.parquet has 30 rows"):
        opened(datacomp)

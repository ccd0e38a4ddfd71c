"""A clip-retrieval partition holds the pairs with embeddings, a table of its own those without; it appears whole."""

import os
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.schema import embedding_schema
from ncaudit.shards.files.layouts import shard_at
from ncaudit.shards.files.shard import ClipRetrievalFiles
from ncaudit.shards.readers import open_shard
from ncaudit.shards.rewriting.clip_retrieval_writer import NpyWriter, atomic_clip_retrieval, failed_file, made_from
from tests.worlds.embeddings import lists

SCHEMA = embedding_schema(4, 3, [pa.field("url", pa.string()), pa.field("path", pa.string())])
MADE = {"verb": "embed", "source": {"name": "a.parquet"}}


def table(n, failed=()):
    draw = np.random.default_rng(n)
    bad = np.isin(np.arange(n), failed)

    def rows(dims):
        return lists(draw.normal(size=(n, dims)), bad)

    known = {
        "pair_id": [f"p{i}" for i in range(n)], "shard": ["a.parquet"] * n, "row": range(n), "caption_index": [0] * n,
        "status": np.where(bad, "image_missing", "ok").tolist(), "detail": np.where(bad, "why", None).tolist(),
        "image_embedding": rows(4), "text_embedding": rows(3), "image_hash": [bytes(16)] * n, "width": [1] * n,
        "height": [2] * n, "caption": [f"caption {i}" for i in range(n)], "url": [f"u{i}" for i in range(n)],
        "path": [f"{i}.jpg" for i in range(n)],
    }  # fmt: skip
    return pa.table({name: pa.array(values, SCHEMA.field(name).type) for name, values in known.items()}, schema=SCHEMA)


def write(folder, whole, rows=5, image_path="path", made=MADE):
    files = ClipRetrievalFiles(str(folder), "07")
    with atomic_clip_retrieval(files, SCHEMA, made, image_path) as writer:
        for batch in whole.to_batches(rows):
            writer.write(batch)
    return files


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def matrix(column):
    return np.array(column.to_pylist(), np.float16)


def test_every_row_is_in_the_partition_or_among_the_failed(tmp_path):
    whole = table(23, failed=(0, 7, 8, 22))
    files = write(tmp_path, whole)
    ok, failed = whole.filter(pa.compute.equal(whole["status"], "ok")), whole.take([0, 7, 8, 22])
    image, text, metadata = np.load(files.image), np.load(files.text), pq.read_table(files.metadata)
    assert (image.dtype, image.shape, text.dtype, text.shape) == (np.float16, (19, 4), np.float16, (19, 3))
    np.testing.assert_array_equal(image, matrix(ok["image_embedding"]))
    np.testing.assert_array_equal(text, matrix(ok["text_embedding"]))
    assert metadata["pair_id"].equals(ok["pair_id"])
    assert metadata["image_path"].equals(ok["path"])
    light = pq.read_table(failed_file(files))
    assert light.equals(failed.drop_columns(["image_embedding", "text_embedding"]))


def test_metadata_begins_as_clip_retrievals_does_and_keeps_all_the_rest(tmp_path):
    names = pq.read_schema(write(tmp_path, table(9)).metadata).names
    assert names == [
        "image_path", "caption", "pair_id", "shard", "row", "caption_index", "image_hash", "width", "height", "url",
    ]  # fmt: skip
    assert pq.read_schema(write(tmp_path, table(9), image_path="pair_id").metadata).names == [*names, "path"]


def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path):
    whole = table(40, failed=(3, 30))
    write(tmp_path / "a", whole, rows=1)
    write(tmp_path / "b", whole, rows=40)
    assert files_in(tmp_path / "a") == files_in(tmp_path / "b")
    for name in files_in(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


TEXT = st.none() | st.text(max_size=20) | st.just("x" * 100_000)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.booleans(), TEXT, TEXT), max_size=30), size=st.integers(1, 9))
def test_whatever_the_rows_are_they_are_read_back_in_order_from_one_place_or_the_other(rows, size):
    whole = table(len(rows), failed=[i for i, (failed, _, _) in enumerate(rows) if failed])
    for name, values in (("caption", [row[1] for row in rows]), ("url", [row[2] for row in rows])):
        whole = whole.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), pa.array(values, pa.string()))
    with TemporaryDirectory() as folder:
        files = write(folder, whole, rows=size)
        ok = whole.filter(pa.compute.equal(whole["status"], "ok"))
        if len(ok):
            shard = open_shard(shard_at(files.metadata, "metadata"))
            found = pa.Table.from_batches(shard.batches(size, SCHEMA.names))
            kept = [name for name in SCHEMA.names if name not in ("status", "detail", "path")]
            assert found.select(kept).equals(ok.select(kept))
        failed = pq.read_table(failed_file(files))
        assert failed.num_rows == len(rows) - len(ok)
        assert failed.equals(whole.filter(pa.compute.not_equal(whole["status"], "ok")).select(failed.column_names))


@pytest.mark.parametrize("n", [0, 3])
def test_a_shard_without_embeddings_has_no_arrays_as_readers_would_pair_them_wrongly(tmp_path, n):
    files = write(tmp_path, table(9))
    assert len(files_in(tmp_path)) == 4
    assert write(tmp_path, table(n, failed=range(n))) == files
    assert files_in(tmp_path) == ["failed/failed_07.parquet"]
    assert pq.read_metadata(failed_file(files)).num_rows == n
    assert made_from(files) == MADE


def test_what_says_that_it_is_whole_comes_last_and_goes_first(tmp_path, monkeypatch):
    write(tmp_path, table(9))
    told = []
    replace, remove = os.replace, os.remove
    monkeypatch.setattr(os, "replace", lambda a, b: (told.append(f"+{os.path.basename(b)[:6]}"), replace(a, b)))
    monkeypatch.setattr(os, "remove", lambda a: (told.append(f"-{os.path.basename(a)[:6]}"), remove(a)))
    write(tmp_path, table(9))
    assert told[0] == "-failed"
    assert told[-1] == "+failed"
    assert told[4:-1] == ["+img_em", "+text_e", "+metada"]


def cut_short(files):
    with atomic_clip_retrieval(files, SCHEMA, MADE, "path") as writer:
        writer.write(table(9).to_batches()[0])
        raise KeyboardInterrupt


def test_a_run_that_ends_in_the_middle_leaves_nothing_that_counts(tmp_path):
    files = write(tmp_path, table(9))
    with pytest.raises(KeyboardInterrupt):
        cut_short(files)
    assert files_in(tmp_path) == []
    assert made_from(files) is None


def test_a_partition_is_whole_only_with_all_its_files_of_one_run(tmp_path):
    files = write(tmp_path, table(9, failed=(2,)))
    assert made_from(files) == MADE
    other = write(tmp_path / "other", table(9), made={"verb": "other"})
    os.replace(other.metadata, files.metadata)
    assert made_from(files) is None
    os.remove(other.text)
    assert made_from(other) is None


@pytest.mark.parametrize("rows", [0, 1, 99_999])
def test_the_header_is_as_long_for_any_number_of_rows(tmp_path, rows):
    with open(tmp_path / "a.npy", "wb") as file:
        writer = NpyWriter(file, 1)
        writer.write(lists(np.ones((rows, 1))))
        writer.close()
    assert np.load(tmp_path / "a.npy").shape == (rows, 1)

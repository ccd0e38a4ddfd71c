import os
import tempfile
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.files.provenance import attach
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers.parquet import ParquetShard
from ncaudit.shards.tables import repeats as repeats_module
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.shards.tables.repeats import count_pairs, count_repeats

# few distinct numbers, so that they repeat; far apart, so that they fall into several buckets
NUMBERS = st.sampled_from([-(2**63), -(2**62) - 1, -5, 0, 3, 2**62, 2**63 - 1])
PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=60)


def arrays(pairs):
    return tuple(np.array([pair[side] for pair in pairs], dtype=np.int64) for side in (0, 1))


def all_counts(repeats, image, caption):
    return {
        "images": repeats.image_count(image).tolist(),
        "captions": repeats.caption_count(caption).tolist(),
        "captions of image": repeats.captions_of_image(image).tolist(),
        "images of caption": repeats.images_of_caption(caption).tolist(),
        "pairs": repeats.pair_count(image, caption).tolist(),
    }


def counted_plainly(pairs):
    images, captions, both = (
        Counter(image for image, _ in pairs), Counter(caption for _, caption in pairs), Counter(pairs)
    )  # fmt: skip
    captions_of, images_of = Counter(image for image, _ in both), Counter(caption for _, caption in both)
    return {
        "images": [images[image] for image, _ in pairs],
        "captions": [captions[caption] for _, caption in pairs],
        "captions of image": [captions_of[image] for image, _ in pairs],
        "images of caption": [images_of[caption] for _, caption in pairs],
        "pairs": [both[pair] for pair in pairs],
    }


def embedding_table(n, *, failed=0, seed=0):
    """n different pairs as `embed` writes them, the last `failed` without embeddings."""
    draw = np.random.default_rng(seed)
    kind = pa.list_(pa.float16(), 4)
    rows = [None if row >= n - failed else [float(x) for x in draw.normal(size=4)] for row in range(n)]
    return pa.table(
        {
            "pair_id": [f"{seed}/{row}" for row in range(n)],
            "status": ["ok" if row is not None else "image_undecodable" for row in rows],
            "image_hash": pa.array([bytes([seed, row] * 8) for row in range(n)], pa.binary(16)),
            "caption": [f"caption {seed} {row}" for row in range(n)],
            "image_embedding": pa.array(rows, kind),
            "text_embedding": pa.array(rows[::-1][failed:] + rows[n - failed :], kind),
        }
    )


def saved(path, table, *, group=None, ours=False):
    if ours:
        table = table.cast(attach(table.schema, {"verb": "embed", "model": {"name": "test"}}))
    pq.write_table(table, path, row_group_size=group)
    return open_embeddings(Shard(str(path), path.name))


def identities(table, **options):
    parts = list(table.identities(**options))
    return [np.concatenate([part[side] for part in parts] or [np.empty(0)]).tolist() for side in (0, 1)]


def told_by_batches(table):
    names = ("image_id", "caption_id")
    return [[x for batch in table.batches() for x in getattr(batch, name).tolist()] for name in names]


@settings(deadline=None, max_examples=60)
@given(pairs=PAIRS, bits=st.sampled_from([0, 1, 3]), cuts=st.lists(st.integers(0, 60), max_size=3))
def test_counts_are_those_of_a_plain_counter_in_buckets_too(pairs, bits, cuts):
    image, caption = arrays(pairs)
    pieces = list(zip(np.split(image, sorted(cuts)), np.split(caption, sorted(cuts)), strict=True))
    assert all_counts(count_pairs(pieces, bits), image, caption) == counted_plainly(pairs)


def test_buckets_that_are_spilled_many_times_agree_with_counting_in_memory(monkeypatch):
    monkeypatch.setattr(repeats_module, "SPILL_ROWS", 500)
    draw = np.random.default_rng(0)
    ids = draw.integers(-(2**63), 2**63 - 1, size=2_000)
    pieces = [(ids[draw.integers(2_000, size=300)], ids[draw.integers(2_000, size=300)]) for _ in range(20)]
    image, caption = (np.concatenate([piece[side] for piece in pieces]) for side in (0, 1))
    memory, files = count_pairs(pieces), count_pairs(pieces, 4)
    assert all_counts(memory, image, caption) == all_counts(files, image, caption)
    np.testing.assert_array_equal(memory.images.ids, files.images.ids)
    np.testing.assert_array_equal(memory.pair_keys, files.pair_keys)


def test_what_was_never_met_or_met_once_counts_as_one_and_is_not_kept():
    repeats = count_pairs([(np.array([7, 7, 8]), np.array([1, 2, 3]))])
    assert repeats.images.ids.tolist() == [7]
    assert len(repeats.captions.ids) == len(repeats.pair_keys) == 0
    strange = np.array([8, 99])
    assert all_counts(repeats, strange, strange) == {
        "images": [1, 1], "captions": [1, 1], "captions of image": [1, 1], "images of caption": [1, 1], "pairs": [1, 1]
    }  # fmt: skip


def test_the_temporary_folder_is_removed_also_after_an_error(monkeypatch, tmp_path):
    seen, made = [], []

    def folder(**options):
        made.append(tempfile.TemporaryDirectory(dir=tmp_path, **options))  # held, so that nothing is left to chance
        return made[-1]

    monkeypatch.setattr(repeats_module, "TemporaryDirectory", folder)
    monkeypatch.setattr(repeats_module, "SPILL_ROWS", 1)

    def pieces():
        yield np.array([1, 2]), np.array([1, 1])
        seen.extend(os.listdir(tmp_path))
        raise BadTable("damaged", fix="none")

    with pytest.raises(BadTable):
        count_pairs(pieces(), 2)
    assert len(seen) == 2
    assert os.listdir(tmp_path) == []


def test_tables_are_counted_together_and_failed_rows_are_not(tmp_path):
    first = saved(tmp_path / "a.parquet", embedding_table(20, failed=3))
    again = saved(tmp_path / "b.parquet", embedding_table(20, failed=3))
    other = saved(tmp_path / "c.parquet", embedding_table(5, seed=1))
    repeats = count_repeats([first, again, other])
    assert repeats.image_count(next(iter(first.batches())).image_id).tolist() == [2] * 17
    assert repeats.pair_count(*next(iter(first.identities()))).tolist() == [2] * 17
    assert repeats.caption_count(next(iter(other.batches())).caption_id).tolist() == [1] * 5
    assert len(repeats.images.ids) == 17


def test_progress_accounts_for_every_row(tmp_path):
    told = []

    class Listener:
        def stage(self, name, total, unit="rows"):
            told.append(total)

        def advance(self, done, failed=0):
            told.append((done, failed))

        def note(self, text): ...

    count_repeats([saved(tmp_path / "a.parquet", embedding_table(20, failed=3))], Listener())
    assert told[0] == 20
    assert sum(done for done, _ in told[1:]) == 20
    assert sum(failed for _, failed in told[1:]) == 3


def changed(**columns):
    table = embedding_table(50, failed=6)
    for name, change in columns.items():
        index = table.schema.get_field_index(name)
        if change is None:
            table = table.remove_column(index)
        else:
            values = change(table[name].to_pylist())
            table = table.set_column(index, name, pa.array(values, table.schema.field(name).type))
    return table


def without(*rows):
    return lambda values: [None if row in rows else value for row, value in enumerate(values)]


WORLDS = {
    "as written": changed(),
    "no hashes": changed(image_hash=None),
    "no captions": changed(caption=None),
    "no status": changed(status=None),
    "some hashes missing": changed(image_hash=without(0, 17, 49)),
    "some captions missing": changed(caption=without(3, 18, 48)),
    "failed rows without content": changed(caption=without(*range(44, 50)), image_hash=without(*range(44, 50))),
    "ok rows without an embedding": changed(image_embedding=without(5, *range(44, 50))),
    "as many nulls as failures, elsewhere": changed(text_embedding=without(*range(6))),
}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("group", [None, 7])
@pytest.mark.parametrize("rows", [4, 65_536])
@pytest.mark.parametrize("ours", [True, False])
def test_identities_are_the_numbers_that_batches_gives(tmp_path, world, group, rows, ours):
    if ours and "elsewhere" in world:
        pytest.skip("embed gives no failed row an embedding")
    table = saved(tmp_path / "s.parquet", WORLDS[world], group=group, ours=ours)
    assert identities(table, rows=rows) == told_by_batches(table)


def watched(monkeypatch):
    """The row groups of which embeddings will be read."""
    decoded, read = [], ParquetShard.batches

    def reading(self, rows, columns=None, pieces=None):
        if "image_embedding" in columns:
            decoded.append(pieces)
        return read(self, rows, columns, pieces)

    monkeypatch.setattr(ParquetShard, "batches", reading)
    return decoded


@pytest.mark.parametrize("world", ["as written", "failed rows without content"])
@pytest.mark.parametrize("ours", [True, False])
def test_identities_decode_no_embedding_where_every_ok_row_has_hash_and_caption(tmp_path, monkeypatch, world, ours):
    table = saved(tmp_path / "s.parquet", WORLDS[world], group=20, ours=ours)
    expected = told_by_batches(table)
    decoded = watched(monkeypatch)
    assert identities(table) == expected
    # another tool's failed rows, all in the last group, might have embeddings: there the footer proves nothing
    assert decoded == ([] if ours else [[2]])


def test_only_the_group_with_a_missing_caption_is_decoded(tmp_path, monkeypatch):
    table = saved(tmp_path / "s.parquet", changed(caption=without(25)), group=20, ours=True)
    decoded = watched(monkeypatch)
    identities(table)
    assert decoded == [[1]]


def test_an_embedding_that_is_not_finite_is_found_where_it_is_decoded_and_counted_elsewhere(tmp_path):
    table = embedding_table(50)
    broken = pa.array([[np.nan] * 4, *table["image_embedding"].to_pylist()[1:]], pa.list_(pa.float16(), 4))
    table = table.set_column(4, "image_embedding", broken)
    assert len(identities(saved(tmp_path / "a.parquet", table))[0]) == 50
    without_hash = table.remove_column(table.schema.get_field_index("image_hash"))
    assert len(identities(saved(tmp_path / "b.parquet", without_hash))[0]) == 49

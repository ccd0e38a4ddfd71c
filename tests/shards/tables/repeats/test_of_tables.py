import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.shards.files.provenance import attach
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.readers.parquet import ParquetShard
from ncaudit.shards.tables.embeddings import open_embeddings
from ncaudit.shards.tables.repeats import of_tables
from ncaudit.shards.tables.repeats.of_tables import Block, SharedNames
from ncaudit.shards.tables.repeats.spread import Spread
from tests.worlds.repeats import embedding_table


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


def names_in(tmp_path, *tables):
    """Tables of another tool whose rows are called so."""
    found = []
    for number, names in enumerate(tables):
        table = embedding_table(len(names), seed=number)
        path = tmp_path / f"{number}.parquet"
        found.append(saved(path, table.set_column(0, "pair_id", pa.array(names))))
    return found


@pytest.mark.parametrize("bits", [0, 3])
def test_names_of_several_rows_are_found_in_blocks_with_the_first_of_them(tmp_path, bits):
    tables = names_in(tmp_path, ["a", "b", "c"], ["d", "c", "e"], ["b", "b", "f"])
    spread = Spread(str(tmp_path / "blocks"), bits, "these")
    for block in (Block(0, [(0, tables[0])]), Block(1, [(1, tables[1]), (2, tables[2])])):
        of_tables.write_names(spread, block)
    parts = (of_tables.shared_names(*spread.read(part, 2, of_tables.NAMES)) for part in range(spread.parts))
    found = of_tables.first_shared(parts)
    assert found == SharedNames(5, 0, 1)
    assert found.name(tables) == "b"


def test_names_of_one_row_each_are_none(tmp_path):
    block = Block(0, list(enumerate(names_in(tmp_path, ["a", "b"], ["c"]))))
    assert of_tables.shared_names(of_tables.places_of_names(block)) is None


def test_blocks_are_of_tables_in_their_order_and_no_larger_than_need_be(tmp_path, monkeypatch):
    monkeypatch.setattr(of_tables, "BLOCK_ROWS", 5)
    tables = names_in(tmp_path, "ab", "cde", "f", "ghijkl", "m")
    blocks = of_tables.blocks_of(tables)
    assert [[number for number, _ in block.tables] for block in blocks] == [[0, 1], [2], [3], [4]]
    assert [block.number for block in blocks] == [0, 1, 2, 3]

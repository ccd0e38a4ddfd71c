"""Of rows with several captions each caption is on one side, once, in its row, with its reason."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ncaudit.shards.files.shard import Shard
from ncaudit.shards.rewriting.kept_rows import Target, split_shard
from ncaudit.shards.tables.caption_join import CaptionLists

REASON = pa.field("why", pa.string())
WORDS = ["", "bad", "worse"]
KINDS = [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string(), 2)]


def split(folder, table, codes, group=3):
    """The rows of both files."""
    pq.write_table(table, folder / "s.parquet", row_group_size=group)
    counts = [len(captions or []) or 1 for captions in table["captions"].to_pylist()]
    lists = CaptionLists("captions", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    kept, dropped = (Target(str(folder / f"{name}.parquet"), {"verb": "filter"}) for name in ("kept", "dropped"))
    shard = Shard(str(folder / "s.parquet"), "s.parquet")
    split_shard(shard, np.array(codes, np.int16), kept, dropped, REASON, WORDS, captions=lists)
    alone = Target(str(folder / "alone.parquet"), {"verb": "filter"})
    split_shard(shard, np.array(codes, np.int16), alone, None, REASON, WORDS, captions=lists)
    assert pq.read_table(alone.path).equals(pq.read_table(kept.path))
    return pq.read_table(kept.path), pq.read_table(dropped.path)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(data=st.data())
def test_both_files_together_are_the_shard(tmp_path, kind, data):
    width = {"min_size": 2, "max_size": 2} if pa.types.is_fixed_size_list(kind) else {"max_size": 3}
    captions = data.draw(st.lists(st.none() | st.lists(st.none() | st.text("ab", max_size=2), **width), max_size=8))
    codes = [data.draw(st.integers(0, 2)) for own in captions for _ in own or [None]]
    table = pa.table({"n": pa.array(range(len(captions)), pa.int64()), "captions": pa.array(captions, kind)})
    kept, dropped = split(tmp_path, table, codes)
    wanted, gone, place = [], [], 0
    for row, own in enumerate(captions):
        mine = codes[place : place + len(own or [None])]
        place += len(mine)
        for side, chosen in ((wanted, [code == 0 for code in mine]), (gone, [code > 0 for code in mine])):
            if any(chosen):
                left = [caption for caption, hit in zip(own, chosen, strict=True) if hit] if own else own
                why = {} if side is wanted else {"why": [WORDS[code] for code in mine if code]}
                side.append({"n": row, "captions": left, **why})
    assert kept.to_pylist() == wanted
    assert dropped.to_pylist() == gone


def test_the_schema_stays_but_for_lists_of_a_fixed_width(tmp_path):
    features = {"captions": {"feature": {"dtype": "string", "_type": "Value"}, "length": 2, "_type": "Sequence"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode(), b"mine": b"1"}
    for kind in KINDS:
        table = pa.table({"captions": pa.array([["a", "b"]], kind), "n": [1]}).replace_schema_metadata(metadata)
        kept, dropped = split(tmp_path, table, [0, 1])
        fixed = pa.types.is_fixed_size_list(kind)
        assert kept.schema.field("captions").type == (pa.list_(pa.string()) if fixed else kind)
        told = json.loads(kept.schema.metadata[b"huggingface"])["info"]["features"]["captions"]["length"]
        assert (told, kept.schema.metadata[b"mine"]) == (-1 if fixed else 2, b"1")
        assert dropped.schema.field("why").type == pa.list_(pa.string())


def test_row_groups_keep_their_borders(tmp_path):
    table = pa.table({"captions": pa.array([["a", "b"]] * 6, KINDS[0]), "jpg": [bytes([i]) * 2_000 for i in range(6)]})
    split(tmp_path, table, [0, 1] * 3 + [1, 1] * 2 + [0, 0])
    groups = pq.ParquetFile(tmp_path / "kept.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [3, 1]

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.hashing import fit_sample_keys, hash_rows, hash_values
from ncaudit.schema import embedding_schema
from ncaudit.shards.files.provenance import attach
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.tables.embeddings import check_tables_agree, left_out_notes, open_embeddings, with_common_nulls
from ncaudit.shards.tables.scores import open_scores
from tests.worlds.embeddings import embedding_table

E4 = np.eye(4, dtype=np.float32)
FLOATS = pa.list_(pa.float32())


def lists(rows, kind):
    return pa.array([None if row is None else [float(x) for x in row] for row in rows], kind)


def write(path, *, group=None, **columns):
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return Shard(str(path), path.name)


def foreign(path, image, text, kind=FLOATS, **columns):
    return write(path, image_embedding=lists(image, kind), text_embedding=lists(text, kind), **columns)


def only(table, rows=4096):
    (batch,) = table.batches(rows)
    return batch


def ours(path, *, model=None, dims=4, name=None):
    schema = embedding_schema(dims, dims)
    row = {
        "pair_id": ["s/0"], "shard": ["s.parquet"], "row": [0], "caption_index": [0], "status": ["ok"],
        "detail": [None],
        "image_embedding": lists([[1] + [0] * (dims - 1)], schema.field("image_embedding").type),
        "text_embedding": lists([[1] + [0] * (dims - 1)], schema.field("text_embedding").type),
        "image_hash": [b"0" * 16], "width": [1], "height": [1], "caption": ["a"],
    }  # fmt: skip
    schema = attach(schema, {"verb": "embed", "model": model}) if model else schema
    pq.write_table(pa.table(row, schema=schema), path)
    return open_embeddings(Shard(str(path), path.name))


MODEL = {"name": "tiny", "weights": "abc", "activation": "gelu", "precision": "float32"}
KINDS = [
    pa.list_(pa.float16()), pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()),
    pa.list_(pa.float16(), 4), pa.list_(pa.float64(), 4),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_list_type_gives_the_same_unit_rows(tmp_path, kind):
    shard = foreign(tmp_path / "s.parquet", [[2, 0, 0, 0], None, [0, 3, 4, 0]], [E4[0], E4[1], E4[2]], kind)
    batch = only(open_embeddings(shard))
    assert batch.status == ["ok", "embedding_invalid", "ok"]
    np.testing.assert_allclose(batch.image, [[1, 0, 0, 0], [0, 0.6, 0.8, 0]], rtol=1e-6)
    np.testing.assert_array_equal(batch.text, E4[[0, 2]])
    assert batch.image.dtype == np.float32


def test_what_a_foreign_table_does_not_say_is_made_from_file_and_row(tmp_path):
    shard = foreign(tmp_path / "s.parquet", E4, E4)
    batches = list(open_embeddings(Shard(shard.path, "A/s.parquet")).batches(rows=3))
    assert [b.pair_id for b in batches] == [["A/s/0", "A/s/1", "A/s/2"], ["A/s/3"]]
    assert batches[0].shard == ["A/s.parquet"] * 3
    assert batches[1].row.tolist() == [3]
    assert [s for b in batches for s in b.status] == ["ok"] * 4


@pytest.mark.parametrize("bad", [[np.nan, 1, 0, 0], [np.inf, 0, 0, 0], [0, 0, 0, 0], None])
def test_an_unusable_embedding_is_counted_and_never_dropped(tmp_path, bad):
    for image, text in (([E4[0], bad, E4[2]], E4[:3]), (E4[:3], [E4[0], bad, E4[2]])):
        table = open_embeddings(foreign(tmp_path / "s.parquet", image, text))
        batch = only(table)
        assert table.rows == len(batch) == 3
        assert batch.status == ["ok", "embedding_invalid", "ok"]
        assert batch.ok.tolist() == [True, False, True]
        np.testing.assert_array_equal(batch.image, E4[[0, 2]])
        np.testing.assert_array_equal(batch.text, E4[[0, 2]])
        assert len(batch.image_id) == len(batch.caption_id) == 2


def test_a_null_entry_inside_an_embedding_makes_the_row_invalid(tmp_path):
    kind = pa.list_(pa.float16())
    image = pa.array([[np.float16(1), None], [np.float16(1), np.float16(0)]], kind)
    shard = write(tmp_path / "s.parquet", image_embedding=image, text_embedding=lists(E4[:2], kind))
    assert only(open_embeddings(shard)).status == ["embedding_invalid", "ok"]


def test_our_failed_rows_keep_their_status(tmp_path):
    kind = pa.list_(pa.float16(), 4)
    columns = {"status": ["image_missing", "ok", None], "pair_id": ["a", "b", "c"]}
    columns |= {"image_embedding": lists([None, E4[0], E4[0]], kind), "text_embedding": lists(E4[:3], kind)}
    table = pa.table(columns)
    pq.write_table(table.cast(attach(table.schema, {"verb": "embed"})), tmp_path / "s.parquet")
    batch = only(open_embeddings(Shard(str(tmp_path / "s.parquet"), "s.parquet")))
    assert batch.status == ["image_missing", "ok", "embedding_invalid"]


def test_another_tools_words_for_a_status_are_translated(tmp_path):
    told = ["success", "failed_to_download", None, "image_missing"]
    batch = only(open_embeddings(foreign(tmp_path / "s.parquet", E4, E4, status=told)))
    assert batch.status == ["ok", "upstream_failed", "ok", "image_missing"]


def test_row_groups_and_batches_of_any_size_give_the_same_rows(tmp_path):
    rng = np.random.default_rng(0)
    image, text = rng.standard_normal((2, 50, 4)).astype(np.float32)
    image[[3, 17]] = np.nan
    columns = {"caption": [f"c{i % 7}" for i in range(50)], "image_hash": [f"h{i % 9}" for i in range(50)]}
    whole = only(open_embeddings(foreign(tmp_path / "s.parquet", image, text, **columns)))
    parts = list(open_embeddings(foreign(tmp_path / "s.parquet", image, text, group=11, **columns)).batches(rows=7))
    for field in ("pair_id", "status"):
        assert [x for part in parts for x in getattr(part, field)] == getattr(whole, field)
    for field in ("row", "ok", "image", "text", "image_id", "caption_id"):
        np.testing.assert_array_equal(np.concatenate([getattr(part, field) for part in parts]), getattr(whole, field))


def test_a_list_of_another_width_is_refused_with_the_first_row_and_the_count(tmp_path):
    rows = [E4[0], None, [1, 2], E4[1], [1, 2, 3]]
    table = open_embeddings(foreign(tmp_path / "s.parquet", rows, [E4[0]] * 5, group=2))
    assert table.image_dims == 4
    with pytest.raises(BadTable, match=r"image_embedding is 4 wide at first, but not in row 2 \(2 such rows\)"):
        list(table.batches())


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text_embedding": [[1.0]]}, "no column image_embedding .found: text_embedding"),
        ({"image_embedding": ["x"], "text_embedding": [[1.0]]}, "image_embedding is string"),
        ({"image_embedding": [[1]], "text_embedding": [[1.0]]}, "image_embedding is list<.*int64"),
        ({"image_embedding": [[1.0]], "text_embedding": [[1.0]], "pair_id": [[1]]}, "pair_id is list"),
    ],
)
def test_a_table_without_embeddings_is_refused_with_what_was_found(tmp_path, columns, said):
    with pytest.raises(BadTable, match=said):
        open_embeddings(write(tmp_path / "s.parquet", **columns))


def test_a_truncated_file_is_refused_by_name(tmp_path):
    shard = foreign(tmp_path / "s.parquet", E4, E4)
    (tmp_path / "s.parquet").write_bytes((tmp_path / "s.parquet").read_bytes()[:-20])
    with pytest.raises(BadTable, match=r"s\.parquet cannot be read"):
        open_embeddings(shard)


def test_the_same_photo_and_the_same_caption_have_the_same_number_in_every_table(tmp_path):
    a = foreign(tmp_path / "a.parquet", E4[:3], E4[:3], caption=["x", "y", "x"], image_hash=[b"1", b"2", b"1"])
    b = foreign(tmp_path / "b.parquet", E4[:2], E4[:2], caption=["y", None], image_hash=["1", None])
    c = foreign(tmp_path / "c.parquet", E4[2:], E4[2:], caption=pa.array([None, None], pa.string()))
    first, second = only(open_embeddings(a)), only(open_embeddings(b))
    assert first.image_id[0] == first.image_id[2] == second.image_id[0] != first.image_id[1]
    assert first.caption_id[1] == second.caption_id[0]
    assert len({*first.caption_id.tolist(), *second.caption_id.tolist()}) == 3
    assert len(set(only(open_embeddings(c)).caption_id.tolist())) == 2  # no caption is not the same caption


def test_without_hash_or_caption_equal_embeddings_are_the_same_photo_and_caption(tmp_path):
    batch = only(open_embeddings(foreign(tmp_path / "s.parquet", E4[[0, 0, 1]], E4[[2, 3, 3]])))
    assert batch.image_id[0] == batch.image_id[1] != batch.image_id[2]
    assert batch.caption_id[1] == batch.caption_id[2] != batch.caption_id[0]


def test_light_columns_are_carried_and_ours_images_and_nested_ones_are_not(tmp_path):
    columns = {"url": ["u"], "jpg": [b"x"], "boxes": [[1.0]], "similarity": [0.5], "caption": ["c"], "width": [3]}
    shard = foreign(tmp_path / "s.parquet", E4[:1], E4[:1], **columns)
    table = open_embeddings(shard)
    assert only(table).carried.to_pydict() == {"url": ["u"], "input_similarity": [0.5], "caption": ["c"]}
    assert table.carried.names == ["url", "input_similarity", "caption"]
    assert open_embeddings(shard, columns=["boxes"]).carried.names == ["boxes"]
    assert len(only(open_embeddings(shard, columns=[]))) == 1
    with pytest.raises(BadTable, match="no column nope"):
        open_embeddings(shard, columns=["nope"])


def test_a_table_without_rows_has_no_batches(tmp_path):
    table = open_embeddings(foreign(tmp_path / "s.parquet", [], []))
    assert (table.rows, table.image_dims, list(table.batches())) == (0, 0, [])


def test_pair_ids_with_a_hole_are_refused_with_the_row(tmp_path):
    table = open_embeddings(foreign(tmp_path / "s.parquet", E4, E4, pair_id=["a", "b", None, "d"]))
    with pytest.raises(BadTable, match="no pair_id in row 2"):
        list(table.batches())


def test_tables_of_one_model_agree_and_foreign_tables_agree_with_any(tmp_path):
    first, second = ours(tmp_path / "a.parquet", model=MODEL), ours(tmp_path / "b.parquet", model=dict(MODEL))
    other = open_embeddings(foreign(tmp_path / "c.parquet", E4, E4))
    check_tables_agree([first, other, second])


@pytest.mark.parametrize("key", sorted(MODEL))
def test_tables_of_two_models_are_refused_with_the_difference_and_both_files(tmp_path, key):
    first = ours(tmp_path / "a.parquet", model=MODEL)
    second = ours(tmp_path / "b.parquet", model={**MODEL, key: "other"})
    with pytest.raises(BadTable, match=rf"a\.parquet and .*b\.parquet .*model {key} .*other"):
        check_tables_agree([first, second])


def test_tables_of_two_widths_are_refused(tmp_path):
    with pytest.raises(BadTable, match="image dimensions 4 against 8"):
        check_tables_agree([ours(tmp_path / "a.parquet"), ours(tmp_path / "b.parquet", dims=8)])


def test_score_tables_give_ids_status_and_the_columns_asked_for(tmp_path):
    columns = {"soft_label": [0.1, None], "pair_id": [7, 8], "status": ["ok", "image_missing"], "url": ["u", "v"]}
    shard = write(tmp_path / "s.parquet", **columns)
    assert open_scores(shard).read(["soft_label"]).to_pydict() == {
        "pair_id": ["7", "8"], "status": ["ok", "image_missing"], "soft_label": [0.1, None],
    }  # fmt: skip
    assert [len(b) for b in open_scores(shard).batches(rows=1)] == [1, 1]
    assert open_scores(shard).read().column_names == ["pair_id", "status", "soft_label", "url"]


@pytest.mark.parametrize("missing", ["pair_id", "status"])
def test_a_score_table_must_have_ids_and_status(tmp_path, missing):
    columns = {"pair_id": ["a"], "status": ["ok"]}
    del columns[missing]
    with pytest.raises(BadTable, match=f"no column {missing}"):
        open_scores(write(tmp_path / "s.parquet", **columns))


def test_sample_keys_are_the_ones_they_have_always_been():
    # a change here would silently change every fit: blake2b("0/A/00000.parquet") little-endian, then splitmix64
    keys = fit_sample_keys(["A/00000.parquet", "A/00000.parquet", "B.parquet"], np.array([0, 1, 0]), seed=0)
    assert keys.tolist() == [6089940113454087831, 10438282946609525506, 14450546492758071319]


def test_hashes_are_the_ones_they_have_always_been():
    assert hash_values(pa.array(["a photo"])).tolist() == [806860153974564800]
    assert hash_rows(E4[:1]).tolist() == [1812969947313940737]


def test_another_process_gives_the_same_keys_and_hashes():
    code = (
        "import numpy as np, pyarrow as pa; from ncaudit.hashing import *;"
        "print(fit_sample_keys('s', np.arange(3), 5).tolist(), hash_values(pa.array(['x', ''])).tolist())"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == f"{fit_sample_keys('s', np.arange(3), 5).tolist()} {hash_values(pa.array(['x', ''])).tolist()}"


def test_scores_that_were_streamed_into_a_file_are_told_the_way_in(tmp_path):
    table = pa.table({"pair_id": ["a"], "status": ["ok"]})
    with pa.ipc.new_stream(tmp_path / "kept.arrow", table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(BadTable, match=r"kept\.arrow is not parquet.* but Arrow IPC stream") as told:
        open_scores(Shard(str(tmp_path / "kept.arrow"), "kept.arrow"))
    assert "filter - <" in told.value.fix


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**62), st.integers(0, 2**31))
def test_rows_of_one_shard_never_share_a_key(start, seed):
    assert len(np.unique(fit_sample_keys("s", start + np.arange(2_000), seed))) == 2_000


def test_the_smallest_keys_are_a_fair_draw_that_another_shard_does_not_change():
    rows = np.arange(100_000)
    keys = fit_sample_keys("a.parquet", rows, seed=3)
    drawn = rows[np.argsort(keys)[:10_000]]
    assert abs(drawn.mean() - 49_999.5) < 4 * 28_868 / 100  # four standard errors of 10,000 uniform rows
    both = fit_sample_keys(["a.parquet", "b.parquet"] * 5, np.arange(10), seed=3)
    np.testing.assert_array_equal(both[::2], keys[:10:2])
    assert not np.array_equal(fit_sample_keys("a.parquet", rows, seed=4), keys)


def test_embeddings_of_whole_numbers_are_told_what_they_lack(tmp_path):
    rows = [[127, 0, 0, 0], [0, 127, 0, 0]]
    for kind in (pa.list_(pa.int8()), pa.list_(pa.uint8(), 4), pa.large_list(pa.int16())):
        shard = write(tmp_path / "s.parquet", image_embedding=pa.array(rows, kind), text_embedding=pa.array(rows, kind))
        with pytest.raises(BadTable, match="not a list of float16, float32 or float64") as told:
            open_embeddings(shard)
        assert "write image_embedding as lists of float32" in told.value.fix
    text = write(tmp_path / "t.parquet", image_embedding=["1, 0"], text_embedding=["1, 0"])
    with pytest.raises(BadTable) as told:
        open_embeddings(text)
    assert "lists of float16, float32 or float64 in both columns" in told.value.fix


def test_a_column_of_nothing_but_nulls_has_the_type_of_the_other_tables(tmp_path):
    columns = {"lang": (["en"] * 4, pa.nulls(4)), "n": (pa.nulls(4), [1, 2, 3, 4]), "never": (pa.nulls(4), pa.nulls(4))}
    shards = [
        foreign(tmp_path / f"{i}.parquet", E4, E4, **{name: own[i] for name, own in columns.items()}) for i in range(2)
    ]
    tables = with_common_nulls([open_embeddings(shard) for shard in shards])
    assert tables[0].carried == tables[1].carried
    assert tables[0].carried.types == [pa.string(), pa.int64(), pa.null()]
    assert [only(table).carried["n"].to_pylist() for table in tables] == [[None] * 4, [1, 2, 3, 4]]
    assert [only(table).carried["lang"].to_pylist() for table in tables] == [["en"] * 4, [None] * 4]


def test_columns_that_no_table_can_hold_are_left_out_and_named(tmp_path):
    table = pa.table(
        {
            "image_embedding": lists(E4, FLOATS),
            "text_embedding": lists(E4, FLOATS),
            "age": pa.array([pa.MonthDayNano([1, 2, 3])] * 4),
        }
    )
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    opened = open_embeddings(Shard(str(tmp_path / "x.arrow"), "x.arrow"))
    assert opened.carried.names == []
    assert left_out_notes([opened, opened]) == ["left out, as parquet has no such type: age (month_day_nano_interval)"]


def test_two_columns_of_one_name_count_only_where_one_is_asked_for(tmp_path):
    twice = pa.Table.from_arrays(
        [lists(E4, FLOATS), lists(E4, FLOATS), pa.array([1] * 4), pa.array([2] * 4)],
        names=["image_embedding", "text_embedding", "n", "n"],
    )
    pq.write_table(twice, tmp_path / "s.parquet")
    shard = Shard(str(tmp_path / "s.parquet"), "s.parquet")
    for columns, stratify in ((None, None), (["n"], None), ([], "n")):
        with pytest.raises(BadTable, match="has two columns n"):
            open_embeddings(shard, columns, stratify)
    assert only(open_embeddings(shard, [])).status == ["ok"] * 4
def same_photos_and_captions(table: pa.Table, path: Path) -> tuple[int, int]:
    """How many different photos and captions a table has, by its rows; `identities` must agree."""
    pq.write_table(table, path)
    opened = open_embeddings(Shard.of_file(str(path)))
    rows, told = list(opened.batches()), list(opened.identities())
    by_rows = [np.concatenate([getattr(batch, name) for batch in rows]) for name in ("image_id", "caption_id")]
    for found, ids in zip(by_rows, zip(*told, strict=True), strict=True):
        assert np.array_equal(found, np.concatenate(ids))
    return len(np.unique(by_rows[0])), len(np.unique(by_rows[1]))


@pytest.mark.parametrize("caption", ["", " \t\n", None, "n/a"])
def test_captions_that_are_blank_or_all_alike_leave_it_to_embeddings_that_differ(caption, tmp_path):
    table = embedding_table(40)
    place = table.schema.get_field_index("caption")
    table = table.set_column(place, "caption", pa.array([caption] * 40, pa.string()))
    assert same_photos_and_captions(table, tmp_path / "t.parquet") == (40, 40)


def test_hashes_that_are_all_alike_leave_it_to_embeddings_that_differ(tmp_path):
    table = embedding_table(40)
    place = table.schema.get_field_index("image_hash")
    for hashes in (pa.array([b"0" * 16] * 40, pa.binary(16)), pa.array([""] * 40), pa.array([b""] * 40, pa.binary())):
        alike = table.set_column(place, "image_hash", hashes)
        assert same_photos_and_captions(alike, tmp_path / "t.parquet") == (40, 40)


def test_blank_captions_among_others_are_told_apart_by_their_embeddings(tmp_path):
    table = embedding_table(40)
    words = ["", "  "] * 10 + ["a dog"] * 20
    table = table.set_column(table.schema.get_field_index("caption"), "caption", pa.array(words))
    assert same_photos_and_captions(table.slice(0, 21), tmp_path / "t.parquet")[1] == 21
    words[39] = "a cat"
    table = table.set_column(table.schema.get_field_index("caption"), "caption", pa.array(words))
    assert same_photos_and_captions(table, tmp_path / "t.parquet")[1] == 22  # 20 blank ones, a dog, a cat


def test_one_caption_with_one_embedding_is_one_caption(tmp_path):
    table = embedding_table(40)
    first = table["text_embedding"].combine_chunks()[:1]
    same = pa.concat_arrays([first] * 40)
    table = table.set_column(table.schema.get_field_index("text_embedding"), "text_embedding", same)
    table = table.set_column(table.schema.get_field_index("caption"), "caption", pa.array(["a dog"] * 40))
    assert same_photos_and_captions(table, tmp_path / "t.parquet")[1] == 1


@pytest.mark.parametrize("rows", [2, 4096])
def test_one_side_alone_and_no_side_at_all_say_what_the_whole_table_says(tmp_path, rows):
    image = [E4[0], None, [np.nan, 1, 0, 0], 3 * E4[1], E4[2], E4[3]]
    text = [E4[1], E4[2], E4[3], E4[0], [0, 0, 0, 0], E4[2]]
    words = {"status": ["success", "success", "success", "success", "success", "failed"], "caption": list("abcdef")}
    table = open_embeddings(foreign(tmp_path / "t.parquet", image, text, **words))
    whole = list(table.batches(rows))
    ok = np.concatenate([batch.ok for batch in whole])
    assert ok.tolist() == [True, False, False, True, False, False]
    for name, side in (("image_embedding", "image"), ("text_embedding", "text")):
        for alone, batch in zip(table.side(name, ok, rows), whole, strict=True):
            np.testing.assert_array_equal(alone, getattr(batch, side))
    for told, batch in zip(table.told(ok, rows), whole, strict=True):
        assert (told.pair_id, told.shard, told.status) == (batch.pair_id, batch.shard, batch.status)
        assert (told.row.tolist(), told.ok.tolist()) == (batch.row.tolist(), batch.ok.tolist())
        assert told.carried.equals(batch.carried)

"""`filter --data` on rows with several captions: by caption, with exact counts of pairs and of rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import ncaudit
from ncaudit.cli.app import app
from ncaudit.options import FilterOptions
from ncaudit.schema import NOT_SCORED
from ncaudit.shards.files.provenance import attach, fingerprint_of_file

CAPTIONS = {
    "a.parquet": [["a0", "a1", "a2"], ["b0"], None, [], ["e0", None]],
    "b.parquet": [["f0", "f1"], ["g0", "g1"]],
}
LABELS = {"a.parquet": [0.9, 0.1, 0.8, 0.2, None, None, 0.9, None], "b.parquet": [0.6, 0.7, 0.1, 0.2]}
KEPT = {"a.parquet": [(0, ["a0", "a2"]), (4, ["e0"])], "b.parquet": [(0, ["f0", "f1"])]}
LOST, LOW = "caption_missing", "min_soft_label"
DROPPED = {
    "a.parquet": [(0, ["a1"], [LOW]), (1, ["b0"], [LOW]), (2, None, [LOST]), (3, [], [LOST]), (4, [None], [LOST])],
    "b.parquet": [(1, ["g0", "g1"], [LOW, LOW])],
}


def world(folder, keep=lambda name, row, number: True):
    """A dataset and its score tables, as `embed` and `score` write them."""
    (folder / "data").mkdir(parents=True)
    (folder / "scores").mkdir()
    for name, lists in CAPTIONS.items():
        rows = {
            "n": range(len(lists)),
            "image": [b"x"] * len(lists),
            "captions": pa.array(lists, pa.list_(pa.string())),
        }
        pq.write_table(pa.table(rows), folder / "data" / name, row_group_size=2)
        pairs = [(row, number, text) for row, own in enumerate(lists) for number, text in enumerate(own or [None])]
        pairs = [(*pair, label) for pair, label in zip(pairs, LABELS[name], strict=True) if keep(name, *pair[:2])]
        table = pa.table(
            {
                "pair_id": [f"{name.removesuffix('.parquet')}/{row}/{number}" for row, number, *_ in pairs],
                "row": [row for row, *_ in pairs],
                "status": ["ok" if pair[3] is not None else LOST for pair in pairs],
                "soft_label": pa.array([pair[3] for pair in pairs], pa.float32()),
                "score": pa.array([pair[3] for pair in pairs], pa.float32()),
                "caption": pa.array([pair[2] for pair in pairs], pa.string()),
            }
        )
        made = {
            "verb": "score",
            "data": {"name": name, "fingerprint": fingerprint_of_file(str(folder / "data" / name))},
        }
        pq.write_table(table.replace_schema_metadata(attach(table.schema, made).metadata), folder / "scores" / name)


def filtered(folder, **options):
    asked = {"scores": [str(folder / "scores")], "data": [str(folder / "data")], "min_soft_label": 0.5, **options}
    return ncaudit.filter_pairs(FilterOptions(out=str(folder / "kept"), dropped=str(folder / "gone"), **asked))


def read(path, *more):
    columns = pq.read_table(path)
    return list(zip(*(columns[name].to_pylist() for name in ("n", "captions", *more)), strict=True))


def test_a_row_stays_with_the_captions_that_are_kept_and_goes_with_the_others(tmp_path):
    world(tmp_path)
    found = filtered(tmp_path)
    for name in CAPTIONS:
        assert read(tmp_path / "kept" / name) == KEPT[name]
        assert read(tmp_path / "gone" / name, "ncaudit_drop_reason") == DROPPED[name]
    assert (found.rows, found.kept, found.dropped) == (12, 5, 7)
    assert (found.input_rows, found.rows_kept, found.rows_dropped) == (7, 3, 6)
    assert found.reasons == {LOW: 4, LOST: 3}
    assert found.mean_soft_label == pytest.approx((0.9 + 0.8 + 0.9 + 0.6 + 0.7) / 5)
    again = filtered(tmp_path)
    assert (again.shards_resumed, again.input_rows, again.rows_kept, again.rows_dropped) == (2, 7, 3, 6)
    assert filtered(tmp_path, min_soft_label=0.65).shards_resumed == 0


def test_captions_that_were_not_scored_are_dropped_as_such(tmp_path):
    world(tmp_path, keep=lambda name, row, number: (name, row, number) != ("a.parquet", 0, 2))
    found = filtered(tmp_path)
    assert read(tmp_path / "kept" / "a.parquet")[0] == (0, ["a0"])
    assert read(tmp_path / "gone" / "a.parquet", "ncaudit_drop_reason")[0] == (0, ["a1", "a2"], [LOW, NOT_SCORED])
    assert (found.rows, found.reasons[NOT_SCORED]) == (12, 1)


def test_the_whole_of_a_table_for_all_shards_is_joined_by_name(tmp_path):
    world(tmp_path)
    ncaudit.filter_pairs(
        FilterOptions(scores=[str(tmp_path / "scores")], out=str(tmp_path / "s.parquet"), min_soft_label=0)
    )
    one = {"scores": [str(tmp_path / "s.parquet")], "data": [str(tmp_path / "data" / "a.parquet")]}
    found = filtered(tmp_path, **one)
    assert read(tmp_path / "kept" / "a.parquet") == KEPT["a.parquet"]
    assert (found.input_rows, found.rows) == (5, 8)


def test_the_command_says_pairs_and_rows(tmp_path):
    world(tmp_path)
    flags = ["--data", str(tmp_path / "data"), "--min-soft-label", ".5", "--out", str(tmp_path / "k")]
    told = CliRunner().invoke(app, ["filter", str(tmp_path / "scores"), *flags])
    assert told.exit_code == 0
    assert "12 pairs = 5 kept + 7 dropped (2 shards)" in told.output
    assert "7 input rows with several captions: 3 stay with their kept captions, 6 lose some or all" in told.output
    summary = json.loads(CliRunner().invoke(app, ["filter", str(tmp_path / "scores"), *flags, "--json"]).stdout)
    assert [summary[name] for name in ("rows", "input_rows", "rows_kept", "rows_dropped")] == [12, 7, 3, 6]


def test_a_rule_that_ranks_counts_captions(tmp_path):
    world(tmp_path)
    found = filtered(tmp_path, min_soft_label=None, keep_share=0.5)
    assert (found.kept, found.rows_kept) == (4, 3)  # of 9 that have a score: .9 .9 .8 .7
    assert read(tmp_path / "kept" / "b.parquet") == [(0, ["f1"])]


def test_another_dataset_is_refused(tmp_path):
    world(tmp_path)
    other = pq.read_table(tmp_path / "data" / "a.parquet").slice(1)
    pq.write_table(other, tmp_path / "data" / "a.parquet")
    found = filtered(tmp_path)
    assert [error.shard for error in found.shard_errors] == ["a.parquet"]

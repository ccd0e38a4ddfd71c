"""What is kept, what is dropped and why; and that nothing else changes."""

import gc
import json
import os
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ncaudit
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import FilterForm, FilterOptions, Verdict
from ncaudit.schema import SCORE, VERDICTS
from ncaudit.shards.files.provenance import attach, fingerprint_of_file, provenance_of

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
HUGGINGFACE = json.dumps({"info": {"features": {"image": {"_type": "Image"}}}}).encode()
OK, LOST = "ok", "image_missing"


def scores_of(path, labels, scores=None, *, status=None, ids=None, data=None, **more):
    """A score table as `score` writes it; a label of None is a row that could not be scored."""
    n = len(labels)
    known = {
        "pair_id": ids or [f"p{i}" for i in range(n)],
        "shard": ["s.parquet"] * n,
        "row": list(range(n)),
        "status": status or [LOST if label is None else OK for label in labels],
        "soft_label": labels,
        "score": labels if scores is None else scores,
        "verdict": [None if x is None else "clean" if x > 0.7 else "unsure" if x > 0.3 else "noisy" for x in labels],
    }
    made = {"verb": "score", "fit": "f", "noise_rate": {"rate": 0.2}, "source": {"name": "e", "fingerprint": "e"}}
    made |= {"data": {"name": "s.parquet", "fingerprint": fingerprint_of_file(str(data))}} if data else {}
    arrays = [pa.array(known[f.name], f.type) if f.name in known else pa.nulls(n, f.type) for f in SCORE]
    table = pa.Table.from_arrays(arrays, schema=SCORE)
    for name, values in more.items():
        table = table.append_column(name, pa.array(values))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(attach(table.schema, made).metadata), path)
    return path


def dataset_of(path, rows, group=100, seed=0):
    draw = np.random.default_rng(seed)
    table = pa.table(
        {
            "image": pa.array([{"bytes": draw.bytes(50), "path": None} for _ in range(rows)], IMAGE),
            "caption": pa.array([None if i % 7 == 3 else f"é {i}" for i in range(rows)], pa.string()),
            "uid": pa.array([f"{i:032x}" for i in range(rows)], pa.string()),
        }
    ).replace_schema_metadata({b"huggingface": HUGGINGFACE, b"other": b"kept"})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


def kept(path, out, **rules):
    """The pair_ids that `filter` keeps of one score table."""
    result = ncaudit.filter_pairs(FilterOptions(scores=[str(path)], out=str(out), **rules))
    ids = pq.read_table(out)["pair_id"].to_pylist()
    assert result.kept == len(ids)
    assert result.rows == result.kept + result.dropped == pq.read_metadata(path).num_rows
    assert result.dropped == sum(result.reasons.values())
    return ids, dict(result.reasons)


@pytest.fixture
def table(tmp_path):
    labels = [0.9, None, 0.2, 0.5, 0.8, 0.4]
    return scores_of(tmp_path / "s.parquet", labels, lang=["en", "en", None, "de", "en", "de"], width=range(6))


RULES = [
    ({"min_soft_label": 0.5}, "p0 p3 p4", {LOST: 1, "min_soft_label": 2}),
    ({"min_soft_label": 0.9}, "p0", {LOST: 1, "min_soft_label": 4}),  # .9 as float32 is below .9
    ({"verdict": ["clean", "noisy"]}, "p0 p2 p4", {LOST: 1, "verdict": 2}),
    ({"where": "lang = 'en' or width = 2"}, "p0 p2 p4", {LOST: 1, "where": 2}),
    ({"keep_share": 0.4}, "p0 p4", {LOST: 1, "keep_share": 3}),
    ({"keep_share": 0.59}, "p0 p4", {LOST: 1, "keep_share": 3}),
    ({"keep_share": 1}, "p0 p2 p3 p4 p5", {LOST: 1}),
    ({"keep_share": 0.1}, "", {LOST: 1, "keep_share": 5}),
    ({"keep_share": 0.5, "keep_share_by": "lang"}, "p0 p3", {LOST: 1, "keep_share": 3}),
    ({"kept_precision": 0.7}, "p0 p3 p4", {LOST: 1, "kept_precision": 2}),  # (.9 + .8 + .5) / 3 = .733, with .4: .65
    ({"kept_precision": 0.65}, "p0 p3 p4 p5", {LOST: 1, "kept_precision": 1}),
    ({"kept_precision": 0.95}, "", {LOST: 1, "kept_precision": 5}),
    ({"min_soft_label": 0.3, "where": "width > 0"}, "p3 p4 p5", {LOST: 1, "min_soft_label": 1, "where": 1}),
    ({"where": "width > 0", "keep_share": 0.5}, "p3 p4", {LOST: 1, "where": 1, "keep_share": 2}),
]


@pytest.mark.parametrize(("rules", "ids", "reasons"), RULES, ids=[str(rule[0]) for rule in RULES])
def test_each_rule_keeps_what_it_says(table, tmp_path, rules, ids, reasons):
    assert kept(table, tmp_path / "k.parquet", **rules) == (ids.split(), reasons)


def test_equal_scores_are_ordered_by_pair_id(tmp_path):
    path = scores_of(tmp_path / "s.parquet", [0.5] * 4, [1, 2, 1, 1], ids=["d", "z", "b", "c"])
    assert kept(path, tmp_path / "k.parquet", keep_share=0.75)[0] == ["z", "b", "c"]


def test_equal_labels_are_ranked_by_score(tmp_path):
    path = scores_of(tmp_path / "s.parquet", [0.8, 0.8, 0.2], [1, 2, 3])
    assert kept(path, tmp_path / "k.parquet", kept_precision=0.8)[0] == ["p0", "p1"]
    assert kept(path, tmp_path / "k.parquet", where="soft_label = .8", keep_share=0.5)[0] == ["p1"]


def test_a_share_is_what_is_written_not_its_nearest_float(tmp_path):
    path = scores_of(tmp_path / "s.parquet", [0.5] * 100)
    assert len(kept(path, tmp_path / "k.parquet", keep_share=0.29)[0]) == 29  # 0.29 * 100 is 28.999999999999996


def test_a_share_is_of_all_tables_together(tmp_path):
    scores_of(tmp_path / "s/A/0.parquet", [0.9, 0.8, 0.7], ids=["a", "b", "c"])
    scores_of(tmp_path / "s/B/0.parquet", [0.1, None, 0.75], ids=["d", "e", "f"])
    result = ncaudit.filter_pairs(FilterOptions(scores=[str(tmp_path / "s")], out=str(tmp_path / "k"), keep_share=0.6))
    assert (result.kept, result.reasons) == (3, {LOST: 1, "keep_share": 2})
    written = {name: pq.read_table(tmp_path / f"k/{name}/0.parquet")["pair_id"].to_pylist() for name in "AB"}
    assert written == {"A": ["a", "b"], "B": ["f"]}


def test_a_rule_cannot_judge_what_a_row_lacks(tmp_path):
    nan = float("nan")
    path = scores_of(tmp_path / "s.parquet", [0.9, nan, None, 0.7], status=[OK] * 4)
    missing = {"soft_label_missing": 2}
    assert kept(path, tmp_path / "k.parquet", min_soft_label=0.0) == (["p0", "p3"], missing)
    assert kept(path, tmp_path / "k.parquet", kept_precision=0.1) == (["p0", "p3"], missing)
    assert kept(path, tmp_path / "k.parquet", keep_share=0.5) == (["p0"], {"score_missing": 2, "keep_share": 1})


def test_any_word_for_a_failure_is_a_reason(tmp_path):
    path = scores_of(tmp_path / "s.parquet", [0.9] * 5, status=["ok", "kept", "", None, "min_soft_label"])
    reasons = {"kept": 1, "no_status": 1, "embedding_invalid": 1, "min_soft_label": 1}
    assert kept(path, tmp_path / "k.parquet", min_soft_label=0.5) == (["p0"], reasons)


def test_values_that_keep_nothing_are_noted(tmp_path):
    path = scores_of(tmp_path / "s.parquet", [0.9, 0.8, 0.7], lang=["en", "en", "fo"])
    options = FilterOptions(scores=[str(path)], out=str(tmp_path / "k"), keep_share=0.5, keep_share_by="lang")
    assert "1 of 2 values of lang keep no row: fo" in ncaudit.filter_pairs(options).notes


# the table itself


def test_a_filtered_table_keeps_schema_and_says_what_was_done(table, tmp_path):
    ncaudit.filter_pairs(FilterOptions(scores=[str(table)], out=str(tmp_path / "k"), min_soft_label=0.5))
    given_schema, schema = pq.read_schema(table), pq.read_schema(tmp_path / "k/s.parquet")
    assert schema.equals(given_schema)
    made = provenance_of(schema)
    assert (made["verb"], made["options"], made["fit"]) == ("filter", {"min_soft_label": 0.5}, "f")
    assert made["scored"] == provenance_of(given_schema)
    assert made["source"] == {"name": "e", "fingerprint": "e"}  # the embeddings, which `train` holds it against
    assert "noise_rate" not in made  # that of the rows before


def test_dropped_rows_come_with_their_reason(table, tmp_path):
    options = {"min_soft_label": 0.5, "verdict": ["unsure", "noisy"]}
    out = {"out": str(tmp_path / "k.parquet"), "dropped": str(tmp_path / "d.parquet")}
    ncaudit.filter_pairs(FilterOptions(scores=[str(table)], **out, **options))
    dropped = pq.read_table(tmp_path / "d.parquet")
    whole = pq.read_table(table)
    assert dropped.drop_columns("drop_reason").equals(whole.take([0, 1, 2, 4, 5]))
    reasons = ["verdict", LOST, "min_soft_label", "verdict", "min_soft_label"]
    assert dropped["drop_reason"].to_pylist() == reasons
    folders = {"out": str(tmp_path / "kf"), "dropped": str(tmp_path / "df")}
    ncaudit.filter_pairs(FilterOptions(scores=[str(table)], **folders, **options))
    assert pq.read_table(tmp_path / "df/s.parquet").equals(dropped)


# the user's own dataset


@pytest.fixture
def scored(tmp_path):
    draw = np.random.default_rng(1)
    for stem in ("A/0", "B/0"):
        data = dataset_of(tmp_path / f"data/{stem}.parquet", 250, seed=ord(stem[0]))
        labels = [None if i % 10 == 0 else float(x) for i, x in enumerate(draw.random(250).astype(np.float32))]
        scores_of(tmp_path / f"scores/{stem}.parquet", labels, ids=[f"{stem}/{i}" for i in range(250)], data=data)
    return tmp_path


def run(folder, out="out", **rules):
    places = {"scores": [str(folder / "scores")], "data": [str(folder / "data")], "out": str(folder / out)}
    return ncaudit.filter_pairs(FilterOptions(**places, **rules))


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_dataset_keeps_everything_but_the_rows(scored):
    result = run(scored, keep_share=0.8, dropped=str(scored / "gone"))
    assert (result.rows, result.kept, result.reasons) == (500, 360, {LOST: 50, "keep_share": 90})
    for stem in ("A/0", "B/0"):
        given_table, table = (pq.read_table(scored / f"{place}/{stem}.parquet") for place in ("data", "out"))
        gone = pq.read_table(scored / f"gone/{stem}.parquet")
        uids = table["uid"].to_pylist()
        assert table.equals(given_table.filter(pa.array([u in set(uids) for u in given_table["uid"].to_pylist()])))
        assert table.schema.metadata[b"huggingface"] == HUGGINGFACE
        assert table.schema.metadata[b"other"] == b"kept"
        assert set(gone["ncaudit_drop_reason"].to_pylist()) == {LOST, "keep_share"}
        assert sorted([*uids, *gone["uid"].to_pylist()]) == given_table["uid"].to_pylist()
        groups = pq.read_metadata(scored / f"out/{stem}.parquet")
        assert groups.num_row_groups == 3


def test_pandas_reads_what_pandas_wrote_with_fewer_rows(tmp_path):
    frame = pd.DataFrame(
        {"caption": [f"c{i}" for i in range(4)], "n": range(4)}, index=pd.Index([5, 6, 7, 8], name="i")
    )
    (tmp_path / "data").mkdir()
    for name, one in (("named", frame), ("ranged", frame.reset_index(drop=True))):
        one.to_parquet(tmp_path / f"data/{name}.parquet")
        data = tmp_path / f"data/{name}.parquet"
        scores_of(tmp_path / f"scores/{name}.parquet", [0.9, 0.1, 0.8, 0.2], data=data)
    run(tmp_path, min_soft_label=0.5)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out/named.parquet"), frame.iloc[[0, 2]])
    assert pd.read_parquet(tmp_path / "out/ranged.parquet")["n"].tolist() == [0, 2]


def test_a_finished_shard_is_left_alone_and_another_rule_redoes_it(scored):
    assert run(scored, min_soft_label=0.5, dropped=str(scored / "gone")).shards_resumed == 0
    before = {p: os.stat(p).st_mtime_ns for p in scored.rglob("*.parquet")}
    first = files(scored / "out")
    os.remove(scored / "gone/B/0.parquet")
    again = run(scored, min_soft_label=0.5, dropped=str(scored / "gone"))
    assert (again.shards_resumed, again.kept + again.dropped) == (1, 500)
    assert files(scored / "out") == first
    assert os.stat(scored / "out/A/0.parquet").st_mtime_ns == before[scored / "out/A/0.parquet"]
    assert run(scored, min_soft_label=0.6, dropped=str(scored / "gone")).shards_resumed == 0
    assert files(scored / "out") != first


def test_another_dataset_than_the_scored_one_is_refused_unless_its_key_joins_them(scored):
    table = pq.read_table(scored / "data/A/0.parquet")
    named = table.append_column("name", pa.array([f"A/0/{i}" for i in range(250)]))
    order = np.random.default_rng(0).permutation(250)[:200]
    pq.write_table(named.take(order), scored / "data/A/0.parquet")
    with pytest.raises(BadTable, match="was made from another file") as error:
        ncaudit.filter_pairs(
            FilterOptions(
                scores=[str(scored / "scores/A")], data=[str(scored / "data/A")], out=str(scored / "o"), keep_share=0.5
            )
        )
    assert "--key" in error.value.fix
    result = ncaudit.filter_pairs(
        FilterOptions(
            scores=[str(scored / "scores/A")], data=[str(scored / "data/A")], out=str(scored / "o"),
            min_soft_label=0.5, key="name", dropped=str(scored / "d"),
        )
    )  # fmt: skip
    labels = pq.read_table(scored / "scores/A/0.parquet")["soft_label"].to_pylist()
    rows = [i for i in order if labels[i] is not None and labels[i] >= 0.5]
    assert pq.read_table(scored / "o/0.parquet")["name"].to_pylist() == [f"A/0/{i}" for i in rows]
    assert result.rows == 200
    assert "50 scored pairs have no row in --data" in result.notes


def test_rows_that_were_not_scored_are_dropped_as_such(scored):
    path = scored / "scores/A/0.parquet"
    whole = pq.read_table(path)
    pq.write_table(whole.slice(100), path)  # as another tool, or an earlier filter, may have left it
    result = run(scored, min_soft_label=0.0)
    assert result.reasons == {"not_scored": 100, LOST: 15 + 25}


def test_one_damaged_shard_does_not_stop_the_others(scored):
    whole = (scored / "data/A/0.parquet").read_bytes()
    (scored / "data/A/0.parquet").write_bytes(whole[: len(whole) // 2])
    result = run(scored, min_soft_label=0.5)
    assert [failure.shard for failure in result.shard_errors] == ["A/0.parquet"]
    assert result.rows == 250
    assert not (scored / "out/A").exists()
    assert (scored / "out/B/0.parquet").exists()


def test_several_captions_per_row_are_refused(tmp_path):
    data = dataset_of(tmp_path / "data/s.parquet", 2)
    path = scores_of(tmp_path / "scores/s.parquet", [0.9, 0.1, 0.8], ids=["0/0", "0/1", "1/0"], data=data)
    table = pq.read_table(path)
    pq.write_table(table.set_column(2, "row", pa.array([0, 0, 1])), path)
    with pytest.raises(BadTable, match="row 0 is several pairs"):
        run(tmp_path, min_soft_label=0.5)


@pytest.mark.parametrize("place", ["scores", "data", "out"])
def test_inputs_are_never_written_over(scored, place):
    before = files(scored)
    with pytest.raises(NcauditError, match=r"written over|same place"):
        run(scored, out=place, min_soft_label=0.5, dropped=str(scored / "out"))
    assert files(scored) == before


def test_an_input_that_happens_to_lie_in_the_outputs_place_is_never_written_over(table, tmp_path):
    scores_of(tmp_path / "s/clean/s.parquet", [0.9])
    os.rename(table, tmp_path / "s/s.parquet")
    before = files(tmp_path / "s")
    for out in ("s/clean", "s/clean/s.parquet", "s/s.parquet"):
        with pytest.raises(NcauditError, match="written over"):
            ncaudit.filter_pairs(
                FilterOptions(scores=[str(tmp_path / "s")], out=str(tmp_path / out), min_soft_label=0.5)
            )
    assert files(tmp_path / "s") == before


def test_an_output_inside_the_scores_is_no_input_of_the_next_run(scored):
    for _ in range(2):
        out = str(scored / "scores/clean")
        result = ncaudit.filter_pairs(FilterOptions(scores=[str(scored / "scores")], out=out, min_soft_label=0.5))
        assert result.rows == 500


def test_an_output_inside_the_dataset_is_no_input_of_the_next_run(scored):
    assert [run(scored, out="data/clean", min_soft_label=0.5).shards_resumed for _ in range(2)] == [0, 2]


def test_tables_that_fit_into_no_common_one_are_told(tmp_path):
    scores_of(tmp_path / "s/a.parquet", [0.9], width=[1])
    scores_of(tmp_path / "s/b.parquet", [0.9], width=["wide"])
    options = {"scores": [str(tmp_path / "s")], "min_soft_label": 0.5}
    with pytest.raises(BadTable, match="do not fit into one table"):
        ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "k.parquet"), **options))
    assert ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "k"), **options)).kept == 2


def test_a_value_that_one_table_for_all_would_change_is_told_with_its_file(tmp_path):
    scores_of(tmp_path / "s/a.parquet", [0.9, 0.8], n=[0.5, 1.5])
    scores_of(tmp_path / "s/b.parquet", [0.9, 0.1], n=[1, 2**53 + 1])
    options = {"scores": (str(tmp_path / "s"),), "out": str(tmp_path / "one.parquet")}
    for more in ({}, {"dropped": str(tmp_path / "gone.parquet"), "min_soft_label": 0.5}):
        with pytest.raises(BadTable, match=r"s/b\.parquet: n is int64 there and double in one table") as told:
            ncaudit.filter_pairs(FilterOptions(**{"min_soft_label": 0.0, **options, **more}))
        assert "folder" in told.value.fix
        assert not (tmp_path / "one.parquet").exists()


def test_one_table_of_several_has_the_columns_of_all(tmp_path):
    scores_of(tmp_path / "s/a.parquet", [0.9], ids=["a"], width=[1])
    scores_of(tmp_path / "s/b.parquet", [0.8], ids=["b"], lang=["en"])
    out = {"out": str(tmp_path / "k.parquet"), "dropped": str(tmp_path / "d.parquet")}
    ncaudit.filter_pairs(FilterOptions(scores=[str(tmp_path / "s")], min_soft_label=0.85, **out))
    wanted = ["pair_id", "width", "lang"]
    assert pq.read_table(tmp_path / "k.parquet").select(wanted).to_pylist() == [
        {"pair_id": "a", "width": 1, "lang": None}
    ]
    assert pq.read_table(tmp_path / "d.parquet").select(wanted).to_pylist() == [
        {"pair_id": "b", "width": None, "lang": "en"}
    ]


# lists for other tools


def test_datacomp_uids_are_pairs_of_64_bits_sorted(tmp_path):
    uids = ["f" * 32, "00000000000000010000000000000002", "0" * 31 + "1", "8" + "0" * 31]
    path = scores_of(tmp_path / "s.parquet", [0.9, 0.8, 0.7, 0.1], uid=uids, times=[1, 3, 0, 5])
    options = {"scores": [str(path)], "min_soft_label": 0.5, "write_as": "datacomp-uids"}
    ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "u.npy"), **options))
    found = np.load(tmp_path / "u.npy")
    assert found.dtype == np.dtype("u8,u8")
    assert found.tolist() == [(0, 1), (1, 2), (2**64 - 1, 2**64 - 1)]
    ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "r.npy"), repeat_by_weight="times", **options))
    assert np.load(tmp_path / "r.npy").tolist() == [(1, 2)] * 3 + [(2**64 - 1, 2**64 - 1)]
    with pytest.raises(BadTable, match="p0' is no DataComp uid"):
        ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "x.npy"), key="pair_id", **options))
    assert not (tmp_path / "x.npy").exists()


def test_ids_and_weights(table, tmp_path):
    options = {"scores": [str(table)], "min_soft_label": 0.5}
    ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "i.txt"), write_as="ids", **options))
    assert (tmp_path / "i.txt").read_text() == "p0\np3\np4\n"
    ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "w.parquet"), write_as="weights", **options))
    weights = pq.read_table(tmp_path / "w.parquet")
    assert weights["pair_id"].to_pylist() == ["p0", "p3", "p4"]
    assert weights["weight"].to_pylist() == np.array([0.9, 0.5, 0.8], np.float32).tolist()
    ncaudit.filter_pairs(FilterOptions(out=str(tmp_path / "n.txt"), write_as="ids", key="width", **options))
    assert (tmp_path / "n.txt").read_text() == "0\n3\n4\n"


# flags that contradict each other, columns that are not there


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"keep_share": 0.5, "kept_precision": 0.9},
        {"keep_share_by": "lang", "min_soft_label": 0.5},
        {"min_soft_label": 0.5, "key": "uid"},
        {"min_soft_label": 0.5, "repeat_by_weight": "n"},
        {"min_soft_label": 0.5, "dropped": "d.parquet"},
        {"min_soft_label": 0.5, "dropped": "d", "out": "o.parquet"},
        {"min_soft_label": 0.5, "data": ["d"], "out": "o.parquet"},
        {"min_soft_label": 0.5, "data": ["d"], "write_as": "ids"},
        {"min_soft_label": 0.5, "scores": ["-", "s"], "out": "-"},
        {"min_soft_label": 0.5, "scores": ["-"]},
        {"min_soft_label": 0.5, "scores": ["-"], "data": ["d"]},
    ],
)
def test_flags_that_make_no_sense_together_are_usage_errors(wrong):
    with pytest.raises(UsageError):
        FilterOptions(**{"scores": ["s"], "out": "o", **wrong})


@pytest.mark.parametrize(
    "wrong",
    [{"min_soft_label": 1.5}, {"keep_share": 0}, {"kept_precision": 2}, {"verdict": ["good"]}, {"write_as": "npy"}],
)
def test_values_out_of_range_are_errors(wrong):
    with pytest.raises(NcauditError):
        FilterOptions(**{"scores": ["s"], "out": "o", **wrong})


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"where": "nothere > 1"}, "has no column nothere"),
        ({"keep_share": 0.5, "keep_share_by": "nothere"}, "has no column nothere"),
        ({"min_soft_label": 0.5, "write_as": "ids", "key": "nothere", "out": "i.txt"}, "has no column nothere"),
        ({"where": "verdict > 1"}, "verdict is text and 1 is a number"),
    ],
)
def test_a_column_that_is_not_there_is_told(table, tmp_path, rules, told):
    with pytest.raises(NcauditError, match=told):
        ncaudit.filter_pairs(FilterOptions(**{"scores": [str(table)], "out": str(tmp_path / "k"), **rules}))


def test_verdicts_are_those_of_the_schema():
    assert tuple(Verdict) == VERDICTS


# any dataset


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.lists(
        st.sampled_from(["string", "large_string", "int32", "float64", "list", "struct", "dictionary", "null", "bool"]),
        max_size=4,
    ),
    rows=st.sampled_from([0, 1, 99, 100, 101, 350]),
    codec=st.sampled_from(["zstd", "snappy", "none"]),
    seed=st.integers(0, 9_999),
)
def test_what_is_kept_and_what_is_dropped_are_the_dataset(tmp_path_factory, columns, rows, codec, seed):
    folder, draw = tmp_path_factory.mktemp("any"), np.random.default_rng(seed)
    words = ["é", "", "日本\n", None, "x" * 5_000, '"', "=1"]
    made = {
        "string": lambda: pa.array(draw.choice(words, rows).tolist(), pa.string()),
        "large_string": lambda: pa.array(draw.choice(words, rows).tolist(), pa.large_string()),
        "int32": lambda: pa.array(draw.integers(-9, 9, rows), pa.int32(), mask=draw.random(rows) < 0.2),
        "float64": lambda: pa.array(draw.choice([np.inf, 1e-300, -0.0, 2.5], rows)),
        "list": lambda: pa.array([[1.5] * int(k) if k < 3 else None for k in draw.integers(0, 4, rows)],
                                 pa.list_(pa.float32())),
        "struct": lambda: pa.array([{"bytes": draw.bytes(9) if k else None, "path": "p"} if k < 3 else None
                                    for k in draw.integers(0, 4, rows)], IMAGE),
        "dictionary": lambda: pa.array(draw.choice(words, rows).tolist(), pa.string()).dictionary_encode(),
        "null": lambda: pa.nulls(rows),
        "bool": lambda: pa.array(draw.random(rows) < 0.5),
    }  # fmt: skip
    arrays = {"jpg": pa.array([draw.bytes(20) for _ in range(rows)], pa.binary())}
    arrays |= {f"{kind} {i}": made[kind]() for i, kind in enumerate(columns)}
    (folder / "data").mkdir()
    data = folder / "data/s.parquet"
    table = pa.table(arrays).replace_schema_metadata({b"huggingface": HUGGINGFACE})
    pq.write_table(table, data, row_group_size=100, compression=codec)
    labels = [None if x < 0.1 else float(x) for x in draw.random(rows)]
    scores_of(folder / "scores/s.parquet", labels, data=data)
    result = run(folder, keep_share=0.5, dropped=str(folder / "gone"))
    given_table = pq.read_table(data)
    kept_table, gone = pq.read_table(folder / "out/s.parquet"), pq.read_table(folder / "gone/s.parquet")
    ok = [i for i, x in enumerate(labels) if x is not None]
    best = sorted(sorted(ok, key=lambda i: (-np.float32(labels[i]), f"p{i}"))[: len(ok) // 2])
    rest = sorted(set(range(rows)) - set(best))
    assert result.kept == len(best)
    assert kept_table.equals(given_table.take(pa.array(best, pa.int64())))
    assert gone.drop_columns("ncaudit_drop_reason").equals(given_table.take(pa.array(rest, pa.int64())))
    assert kept_table.schema.metadata[b"huggingface"] == HUGGINGFACE
    told = pq.ParquetFile(folder / "out/s.parquet").schema_arrow.remove_metadata()
    assert told.equals(pq.ParquetFile(data).schema_arrow.remove_metadata())


def test_a_kept_row_without_label_has_no_weight_and_the_fix_that_is_told_helps(tmp_path, monkeypatch):
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    labels = pa.array([0.5, None, 0.25], pa.float32())
    columns = {"pair_id": ["a", "b", "c"], "status": ["ok"] * 3, "score": [3.0, 2.0, 1.0], "soft_label": labels}
    pq.write_table(pa.table(columns), tmp_path / "s.parquet")
    asked = {"scores": [str(tmp_path / "s.parquet")], "out": str(tmp_path / "w.parquet"), "keep_share": 1.0}
    with pytest.raises(NcauditError, match="soft_label is null in 1 row that would be kept") as told:
        ncaudit.filter_pairs(FilterOptions(**asked, write_as=FilterForm.weights))
    assert "--min-soft-label 0" in told.value.fix
    assert [path.name for path in tmp_path.iterdir()] == ["s.parquet"]
    del told
    gc.collect()
    assert not unraisable  # a writer left open says so when it is collected
    ncaudit.filter_pairs(FilterOptions(**asked, write_as=FilterForm.weights, min_soft_label=0.0))
    written = pq.read_table(tmp_path / "w.parquet")
    assert written.to_pydict() == {"pair_id": ["a", "c"], "weight": [0.5, 0.25]}

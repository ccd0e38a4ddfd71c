import json
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import EvalRetrievalOptions, EvalScoresOptions
from ncaudit.verbs.evaluate.retrieval import eval_retrieval
from ncaudit.verbs.evaluate.scores import eval_scores
from tests.worlds import processes


def write(path, **columns):
    pq.write_table(pa.table(columns), path)
    return str(path)


def scored(path, **columns):
    rows = len(next(iter(columns.values())))
    ids = {"pair_id": [f"s/{i}" for i in range(rows)], "status": ["ok"] * rows}
    return write(path, **{**ids, **columns})


def evaluated(*tables, truth="is_match", **options):
    return eval_scores(EvalScoresOptions(scores=tables, truth=truth, **options))


# Mismatches at .1 and .3, matches at .2, .4 and .5.
VALUES = [0.4, 0.1, 0.2, 0.3, 0.5]
MATCH = [True, False, True, False, True]


def test_detection_is_what_a_hand_counts(tmp_path):
    found = evaluated(scored(tmp_path / "s.parquet", similarity=VALUES, is_match=MATCH))
    similarity = found.similarity
    assert similarity.auroc == pytest.approx(5 / 6)  # .1 is below all 3 matches, .3 below 2: 5 of 6 comparisons
    assert similarity.average_precision == pytest.approx(5 / 6)  # found at rank 1 (1 of 1) and rank 3 (2 of 3)
    assert similarity.precision_at_true_count == 0.5  # the two lowest are .1 (mismatch) and .2 (match)
    assert (similarity.pairs, similarity.mismatched) == (found.judged, found.mismatched) == (5, 2)
    assert (found.soft_label, found.score, found.calibration_error, found.reliability) == (None, None, None, None)


def test_calibration_is_what_a_hand_counts(tmp_path):
    table = scored(tmp_path / "s.parquet", soft_label=[0.25, 0.25, 0.75, 0.75], is_match=[False, False, True, False])
    found = evaluated(table, bins=2)
    # promised .25, seen 0 of 2; promised .75, seen 1 of 2: both off by .25
    assert found.calibration_error == pytest.approx(0.25)
    bins = [(b.mean_probability, b.observed, b.count) for b in found.reliability]
    assert bins == [(0.25, 0, 2), (0.75, 0.5, 2)]


@pytest.mark.parametrize(
    "told",
    [
        pa.array(MATCH),
        pa.array([1, 0, 1, 0, 1], pa.int8()),
        pa.array([1.0, 0.0, 1.0, 0.0, 1.0]),
        pa.array(["true", "False", " TRUE", "false", "True"]),
        pa.array(["1", "0", "1", "0", "1"]).dictionary_encode(),
    ],
    ids=lambda told: str(told.type),
)
def test_truth_may_be_boolean_zero_and_one_or_words(tmp_path, told):
    found = evaluated(scored(tmp_path / "s.parquet", similarity=VALUES, is_match=told))
    assert found.similarity.auroc == pytest.approx(5 / 6)


@pytest.mark.parametrize("told", [[1, 2, 0, 0, 2], [0.5, 1, 0, 0, 1], ["yes", "no", "yes", "no", "x"], [[1]] * 5])
def test_a_column_that_is_no_truth_is_refused(tmp_path, told):
    with pytest.raises(BadTable, match=r"s\.parquet: is_match does not say"):
        evaluated(scored(tmp_path / "s.parquet", similarity=VALUES, is_match=told))


def test_a_missing_truth_column_lists_what_is_there(tmp_path):
    with pytest.raises(BadTable, match=r"s\.parquet has no column truth .found: pair_id, status, similarity, is_match"):
        evaluated(scored(tmp_path / "s.parquet", similarity=VALUES, is_match=MATCH), truth="truth")


def test_every_row_is_accounted_for(tmp_path):
    first = scored(
        tmp_path / "a.parquet",
        similarity=[*VALUES, 0.9, None],
        is_match=[*MATCH, None, False],
        status=["ok"] * 6 + ["image_missing"],
    )
    second = scored(tmp_path / "b.parquet", similarity=[None, 0.2], is_match=[True, None])
    found = evaluated(first, second)
    assert (found.accounting.rows, found.accounting.ok, found.accounting.failed) == (9, 8, 1)
    assert found.accounting.statuses == {"ok": 8, "image_missing": 1}
    assert (found.judged, found.truth_missing) == (6, 2)
    assert found.similarity.pairs == 5  # one judged row has no similarity
    assert found.similarity.auroc == pytest.approx(5 / 6)


@pytest.mark.parametrize("told", [True, False])
def test_one_kind_of_truth_gives_a_note_instead_of_a_number(tmp_path, told):
    found = evaluated(scored(tmp_path / "s.parquet", soft_label=VALUES, is_match=[told] * 5))
    label = found.soft_label
    assert (label.auroc, label.average_precision, label.precision_at_true_count) == (None, None, None)
    assert "needs both kinds" in label.note
    assert found.calibration_error is not None


def test_no_truth_at_all_gives_a_note(tmp_path):
    found = evaluated(scored(tmp_path / "s.parquet", similarity=VALUES, is_match=pa.nulls(5, pa.bool_())))
    assert (found.judged, found.truth_missing, found.similarity.auroc) == (0, 5, None)
    assert found.similarity.note == "no pair has both a value and a truth"


def test_a_scorer_without_labels_leaves_that_part_null(tmp_path):
    table = scored(tmp_path / "s.parquet", soft_label=pa.nulls(5, pa.float32()), score=VALUES, is_match=MATCH)
    found = evaluated(table)
    assert (found.soft_label, found.calibration_error, found.reliability) == (None, None, None)
    assert found.score.auroc == pytest.approx(5 / 6)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "tsv"])
def test_a_truth_table_is_joined_by_pair_id_in_any_order(tmp_path, suffix):
    table = scored(tmp_path / "s.parquet", similarity=[*VALUES, 0.7], pair_id=["007", "8", "a,b", "é", "x", "lost"])
    told = [False, True, *MATCH[:2], True, True]
    frame = pd.DataFrame({"other": 1, "is_match": told, "pair_id": ["é", "x", "007", "8", "a,b", "extra"]})
    path = tmp_path / f"truth.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    found = evaluated(table, truth_table=str(path))
    assert found.similarity.auroc == pytest.approx(5 / 6)
    assert (found.judged, found.truth_missing, found.truth_unused) == (5, 1, 1)


def test_a_truth_table_of_another_dataset_is_refused(tmp_path):
    table = scored(tmp_path / "s.parquet", similarity=VALUES)
    truth = write(tmp_path / "t.parquet", pair_id=["other/0"], is_match=[True])
    with pytest.raises(BadTable, match=r"knows no pair .* there: other/0; in the scores: s/0"):
        evaluated(table, truth_table=truth)


def test_a_truth_table_that_contradicts_itself_is_refused_and_a_repeat_is_not(tmp_path):
    table = scored(tmp_path / "s.parquet", similarity=VALUES)
    ids = [f"s/{i}" for i in range(5)]
    repeat = write(tmp_path / "r.parquet", pair_id=[*ids, "s/0"], is_match=[*MATCH, True])
    assert evaluated(table, truth_table=repeat).similarity.auroc == pytest.approx(5 / 6)
    contradiction = write(tmp_path / "c.parquet", pair_id=[*ids, "s/0"], is_match=[*MATCH, False])
    with pytest.raises(BadTable, match=r"c\.parquet says both true and false of pair s/0 \(1 such"):
        evaluated(table, truth_table=contradiction)


@pytest.mark.parametrize(
    ("yes", "no", "mark", "encoding"),
    [("yes", "no", ",", "utf-8"), ("TRUE", "FALSE", ";", "utf-8-sig"), ("WAHR", "FALSCH", "\t", "utf-16")],
)
def test_a_truth_table_may_come_from_a_spreadsheet_program(tmp_path, yes, no, mark, encoding):
    table = scored(tmp_path / "s.parquet", similarity=[*VALUES, 0.7])
    rows = [f"s/{row}{mark}{yes if match else no}" for row, match in enumerate(MATCH)]
    text = "\r\n".join([f"Pair_ID{mark}is match", *rows, f"s/5{mark}cannot tell", ""])
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    found = evaluated(table, truth_table=str(tmp_path / "t.csv"))
    assert found.similarity.auroc == pytest.approx(5 / 6)
    assert (found.judged, found.truth_missing, found.truth_unused) == (5, 1, 0)


def test_a_filled_in_review_whose_names_were_changed_is_a_truth_table(tmp_path):
    place = {"shard": ["a"] * 5, "row": [4, 3, 2, 1, 0]}
    table = scored(tmp_path / "s.parquet", similarity=VALUES, pair_id=[f"{i:05}" for i in range(5)], **place)
    rows = [f"{i},{match},a,{4 - i}" for i, match in enumerate(MATCH)]
    (tmp_path / "t.csv").write_text("\n".join(["pair_id,is_match,shard,row", *rows, ""]))
    found = evaluated(table, truth_table=str(tmp_path / "t.csv"))
    assert found.similarity.auroc == pytest.approx(5 / 6)
    (tmp_path / "t.csv").write_text("\n".join(["pair_id,is_match,shard,row", *rows[:4], f"other,{MATCH[4]},a,0", ""]))
    with pytest.raises(BadTable, match="says pair 'other', but shard and row there are those of pair 00004"):
        evaluated(table, truth_table=str(tmp_path / "t.csv"))


def test_a_truth_table_is_refused_where_its_names_are_those_of_several_rows(tmp_path):
    table = scored(tmp_path / "s.parquet", similarity=VALUES, pair_id=["a", "b", "b", "c", "d"])
    (tmp_path / "t.csv").write_text("pair_id,is_match\na,1\nb,0\n")
    with pytest.raises(BadTable, match=r"pair_id b names several rows, row 1 of .*s\.parquet and row 2: what .*t\.csv"):
        evaluated(table, truth_table=str(tmp_path / "t.csv"))
    (tmp_path / "t.csv").write_text("pair_id,is_match\na,1\nc,0\n")
    assert evaluated(table, truth_table=str(tmp_path / "t.csv")).judged == 2


def test_embeddings_are_to_be_scored_before_they_are_judged(tmp_path):
    table = embedded(tmp_path / "e.parquet", [[1, 0]], [[1, 0]], pair_id=["a"], status=["ok"], is_match=[True])
    with pytest.raises(BadTable, match="holds embeddings, and no scores yet"):
        evaluated(table)
    with pytest.raises(BadTable, match="has none of soft_label, similarity, score"):
        evaluated(write(tmp_path / "t.parquet", pair_id=["a"], status=["ok"], is_match=[True]))


def test_a_truth_table_without_the_column_is_refused(tmp_path):
    table = scored(tmp_path / "s.parquet", similarity=VALUES)
    (tmp_path / "t.csv").write_text("pair_id,good\ns/0,1\n")
    with pytest.raises(BadTable, match=r"t\.csv has no column is_match .found: pair_id, good"):
        evaluated(table, truth_table=str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("values", "said"), [(["high"] * 5, "soft_label is string"), ([0.1, 0.2, 1.5, 0, 0], "from 0 to 1.5")]
)
def test_a_soft_label_that_is_no_probability_is_refused(tmp_path, values, said):
    with pytest.raises(BadTable, match=said):
        evaluated(scored(tmp_path / "s.parquet", soft_label=values, is_match=MATCH))


def embedded(path, image, text, **columns):
    kind = pa.list_(pa.float32())
    image, text = (pa.array([list(map(float, row)) if row else None for row in rows], kind) for rows in (image, text))
    return write(path, image_embedding=image, text_embedding=text, **columns)


def retrieved(*tables):
    return eval_retrieval(EvalRetrievalOptions(embeddings=tables, device="cpu"))


def test_retrieval_is_what_a_hand_counts_and_any_true_caption_counts(tmp_path):
    # Photo A = (1, 0) in two rows of two files, photo B = (0, 1).
    first = embedded(tmp_path / "a.parquet", [(1, 0)], [(1, 0)], image_hash=["A"])
    second = embedded(tmp_path / "b.parquet", [(1, 0), (0, 1)], [(0.6, 0.8), (0.8, 0.6)], image_hash=["A", "B"])
    found = retrieved(first, second)
    m = found.metrics
    assert (m.images, m.captions) == (2, 3)
    # A finds its first caption (1 against .6 and .8); B finds A's second (.8) before its own (.6)
    assert (m.i2t_r1, m.i2t_r5, m.i2t_median_rank) == (50, 100, 1.5)
    # the first caption finds A; the second is nearer to B, the third to A
    assert m.t2i_r1 == pytest.approx(100 / 3)
    assert m.t2i_median_rank == 2
    assert m.rsum == pytest.approx(50 + 200 + 100 / 3 + 200)


def test_failed_rows_are_left_out_of_retrieval_and_counted(tmp_path):
    table = embedded(tmp_path / "a.parquet", [(1, 0), None, (0, 1)], [(1, 0), (0, 1), (0, 1)])
    found = retrieved(table)
    assert (found.accounting.rows, found.accounting.ok, found.accounting.failed) == (3, 2, 1)
    assert (found.metrics.images, found.metrics.i2t_r1) == (2, 100)


def test_encoders_without_a_shared_space_cannot_retrieve(tmp_path):
    with pytest.raises(BadTable, match=r"images of 2 and captions of 3 dimensions: they share no space"):
        retrieved(embedded(tmp_path / "a.parquet", [(1, 0)], [(1, 0, 0)]))


def test_a_table_without_an_ok_row_cannot_be_evaluated(tmp_path):
    with pytest.raises(BadTable, match="no row has a usable pair"):
        retrieved(embedded(tmp_path / "a.parquet", [(0, 0)], [(1, 0)]))


# Mean average precision: with a label column

THREE = ([(1, 0), (0, 1), (0.8, 0.6)], [(1, 0), (0.6, 0.8), (0, 1)])


def by_class(*tables, column="kind", **options):
    return eval_retrieval(EvalRetrievalOptions(embeddings=tables, device="cpu", label_column=column, **options))


def test_precision_by_class_is_what_a_hand_counts(tmp_path):
    found = by_class(embedded(tmp_path / "a.parquet", *THREE, kind=["x", "y", "x"]), map_at=1).by_class
    # photo 0 ranks its own caption, y, x; photo 1 x, y, x; photo 2 y, x, its own
    assert found.image_to_text.map_all == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2 + (1 / 2 + 2 / 3) / 2) / 3)
    assert found.image_to_text.map_at_k == pytest.approx(1 / 3)
    # caption 0 ranks its own photo, x, y; caption 1 x, its own; caption 2 y, its own, x
    assert found.text_to_image.map_all == pytest.approx((1 + 1 / 2 + (1 / 2 + 2 / 3) / 2) / 3)
    assert (found.classes, found.unlabelled, found.image_to_text.queries) == (2, 0, 3)


def test_a_repeated_photo_is_one_item_with_the_classes_of_all_its_rows(tmp_path):
    image, text = [(1, 0), (1, 0), (0, 1), (0, 1)], [(1, 0), (0.8, 0.6), (0, 1), (0.6, 0.8)]
    labels = [["x"], ["z", "x"], ["z"], ["y"]]
    found = by_class(embedded(tmp_path / "a.parquet", image, text, image_hash=list("AABC"), kind=labels)).by_class
    assert (found.image_to_text.queries, found.image_to_text.items) == (3, 4)
    assert (found.text_to_image.queries, found.text_to_image.items) == (4, 3)
    # A (x, z) ranks x, xz, y, z; B (z) ranks z, y, xz, x; C (y), at the same place as B, ranks z, y, xz, x
    expected = ((1 + 1 + 3 / 4) / 3 + (1 + 2 / 3) / 2 + 1 / 2) / 3
    assert found.image_to_text.map_all == pytest.approx(expected)


def test_rows_without_a_class_are_neither_asked_about_nor_ranked_and_are_counted(tmp_path):
    first = embedded(tmp_path / "a.parquet", *THREE, kind=pa.array(["x", "y", None]))
    second = embedded(tmp_path / "b.parquet", [None, (0, 1)], [(1, 0), (0, 1)], kind=pa.array(["x", ""]).slice(0, 2))
    third = embedded(tmp_path / "c.parquet", [(1, 0)], [(1, 0)], kind=pa.nulls(1))
    result = by_class(first, second, third)
    assert result.by_class.unlabelled == 2  # the failed row is not among them
    assert result.by_class.image_to_text.items == 3
    assert result.metrics == retrieved(first, second, third).metrics
    assert not hasattr(retrieved(first), "by_class")


@pytest.mark.parametrize(
    ("column", "labels", "said"),
    [
        ("topic", ["x", "y", "x"], "has no column 'topic'"),
        ("kind", pa.nulls(3, pa.string()), "no ok row has a class in column kind"),
        ("kind", [[], [], None], "no ok row has a class in column kind"),
        ("kind", [0.5, 1.5, 0.5], "column kind is of type double"),
        ("pair_id", ["x", "y", "x"], "column pair_id names the pairs"),
    ],
)
def test_a_column_without_classes_is_refused(tmp_path, column, labels, said):
    table = embedded(tmp_path / "a.parquet", *THREE, kind=labels, pair_id=["1", "2", "3"])
    with pytest.raises(BadTable, match=said):
        by_class(table, column=column)


def test_text_in_one_table_and_numbers_in_another_are_refused(tmp_path):
    tables = [embedded(tmp_path / f"{i}.parquet", *THREE, kind=kind) for i, kind in enumerate([list("xyx"), [1, 2, 1]])]
    with pytest.raises(BadTable, match=r"column kind holds text in .*0\.parquet and numbers in .*1\.parquet"):
        by_class(*tables)


def test_a_depth_without_classes_is_a_contradiction():
    with pytest.raises(UsageError, match="--map-at is about classes"):
        EvalRetrievalOptions(embeddings=["e"], map_at=5)
    with pytest.raises(NcauditError, match="--map-at is 0"):
        EvalRetrievalOptions(embeddings=["e"], label_column="kind", map_at=0)


def cli(*arguments):
    run = processes.run([sys.executable, "-m", "ncaudit", "eval", *arguments], capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


@pytest.mark.slow
def test_the_command_prints_tables_for_people_and_one_object_for_programs(tmp_path):
    table = scored(tmp_path / "s.parquet", soft_label=VALUES, similarity=VALUES, is_match=MATCH)
    code, out, _ = cli("scores", table, "--truth", "is_match")
    assert code == 0
    assert "0.833" in out
    code, out, _ = cli("scores", table, "--truth", "is_match", "--json")
    assert json.loads(out)["similarity"]["auroc"] == pytest.approx(5 / 6)
    code, out, err = cli("scores", table, "--truth", "nope")
    assert (code, out) == (1, "")
    assert "fix: name the truth column" in err


@pytest.mark.slow
def test_the_command_for_retrieval_prints_recall(tmp_path):
    table = embedded(tmp_path / "a.parquet", np.eye(3).tolist(), np.eye(3).tolist())
    code, out, _ = cli("retrieval", table, "--device", "cpu", "--json")
    assert (code, json.loads(out)["metrics"]["rsum"]) == (0, 600)
    assert "by_class" not in json.loads(out)
    table = embedded(tmp_path / "b.parquet", np.eye(3).tolist(), np.eye(3).tolist(), kind=["x", "y", None])
    code, out, _ = cli("retrieval", table, "--device", "cpu", "--label-column", "kind", "--map-at", "7")
    assert "image to caption" in out
    assert "100.0" in out
    assert "Mean average precision (1 = perfect), 2 classes of kind" in out
    assert "@7" in out
    assert "1 ok row has no class" in out

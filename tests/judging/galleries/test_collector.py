"""Which rows are in which gallery: known answers, and the same answers however the rows are cut into batches."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.judging.galleries import rules
from ncaudit.judging.galleries.cells import LENGTH, MOST_CHARACTERS
from ncaudit.judging.galleries.collector import Collector

GALLERIES = (
    *(rules.WORST, rules.UNSURE, rules.SUGGESTED, *rules.AGAINST_SIMILARITY, rules.FAILED),
    *(rules.of_reason("mismatch"), rules.of_status("image_missing")),
)
#            id   status           label  cosine score verdict   reason      suggested
ROWS = [
    *(("a", "ok", 0.10, 0.30, -2.0, "noisy", "mismatch", "a red ball"),),
    *(("b", "ok", 0.95, 0.20, 2.0, "clean", None, None),),
    *(("c", "image_missing", None, None, None, None, None, None),),
    *(("d", "ok", 0.55, 0.25, 0.5, "unsure", None, None),),
    *(("e", "ok", 0.10, 0.40, -3.0, "noisy", "mismatch", "a blue ball"),),
    *(("f", "ok", 0.85, 0.10, 1.0, "unsure", None, None),),
    *(("g", "ok", 0.99, 0.15, 3.0, "clean", None, None),),
]


def table(rows=ROWS) -> pa.RecordBatch:
    names = ("pair_id", "status", "soft_label", "similarity", "score", "verdict", "reason", "suggested_caption")
    kinds = [pa.string(), pa.string(), pa.float32(), pa.float32(), pa.float32(), pa.string(), pa.string(), pa.string()]
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    probability = pa.array([None if row[-1] is None else 0.9 if row[0] == "e" else 0.6 for row in rows], pa.float32())
    return pa.RecordBatch.from_arrays([*arrays, probability], names=[*names, "suggested_probability"])


def collected(batch: pa.RecordBatch, most: int = 5, cut: int = 100) -> Collector:
    collector = Collector(GALLERIES, most)
    for first in range(0, len(batch), cut):
        collector.add(batch.slice(first, cut))
    return collector


def ids(collector: Collector, gallery: rules.Gallery) -> str:
    return "".join(row.get("pair_id") for row in collector[gallery].rows)


@pytest.mark.parametrize(
    ("gallery", "first"),
    [
        (rules.WORST, "eadfb"),  # of two labels of .1 the lower score comes first
        (rules.UNSURE, "df"),
        (rules.SUGGESTED, "ea"),
        (rules.NOISY_BUT_CLOSE, "ea"),
        (rules.CLEAN_BUT_FAR, "gb"),
        (rules.FAILED, "c"),
        (rules.of_reason("mismatch"), "ea"),
        (rules.of_status("image_missing"), "c"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_each_gallery_holds_its_rows_in_its_order(gallery, first):
    assert ids(collected(table()), gallery) == first


def test_a_gallery_counts_all_that_qualify_and_keeps_the_first():
    worst = collected(table(), most=2)[rules.WORST]
    assert (worst.count, [row.place for row in worst.rows]) == (6, [4, 0])


def test_without_labels_the_worst_are_those_with_the_lowest_score():
    batch = table([(i, s, None, c, n, None, None, None) for i, s, _, c, n, *_ in ROWS])
    collector = collected(batch)
    assert ids(collector, rules.WORST) == "eadfb"
    assert collector[rules.UNSURE].count == 0


def test_without_any_score_the_cosine_ranks():
    batch = table([(i, s, None, c, None, None, None, None) for i, s, _, c, *_ in ROWS])
    assert ids(collected(batch), rules.WORST) == "fgbda"


def test_a_table_without_verdicts_is_cut_where_score_cuts():
    batch = table().select(["pair_id", "status", "soft_label", "similarity"])
    collector = collected(batch)
    assert (ids(collector, rules.UNSURE), ids(collector, rules.NOISY_BUT_CLOSE)) == ("df", "ea")


def test_a_table_of_failed_rows_has_nothing_but_those():
    batch = table([(i, "image_missing", *[None] * 6) for i, *_ in ROWS])
    collector = collected(batch)
    assert {one.gallery.name: one.count for one in collector.found() if one.count} == {
        "failed": 7,
        "status-image_missing": 7,
    }


def test_a_long_caption_is_cut_and_its_length_told():
    batch = pa.RecordBatch.from_pydict({"status": ["ok"], "soft_label": [0.5], "caption": ["x" * 1_000_000]})
    row = collected(batch)[rules.WORST].rows[0]
    assert (len(row.get("caption")), row.get("caption" + LENGTH)) == (MOST_CHARACTERS, 1_000_000)


@settings(deadline=None, max_examples=40)
@given(
    labels=st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0])), min_size=1, max_size=60),
    cut=st.integers(1, 20),
    most=st.integers(1, 8),
)
def test_batches_do_not_change_what_is_found(labels, cut, most):
    rows = [(str(i), "ok", label, 0.1 * (i % 7), float(i % 3), "unsure", None, None) for i, label in enumerate(labels)]
    one, many = collected(table(rows), most, len(rows)), collected(table(rows), most, cut)
    assert one.found() == many.found()


def test_the_worst_are_the_lowest_of_many():
    label = np.random.default_rng(0).permutation(10_000) / 10_000
    collector = Collector([rules.WORST], 10)
    for part in np.split(label, 20):
        collector.add(pa.RecordBatch.from_pydict({"status": ["ok"] * len(part), "soft_label": part}))
    assert [row.get("soft_label") for row in collector[rules.WORST].rows] == [i / 10_000 for i in range(10)]


def test_text_that_is_not_utf8_is_shown_as_far_as_it_can_be():
    strange = pa.array([b"a\xffb"]).cast(pa.binary()).view(pa.string())
    batch = pa.RecordBatch.from_pydict({"status": ["ok"], "soft_label": [0.5], "caption": strange, "pair_id": strange})
    assert collected(batch)[rules.WORST].rows[0].get("caption") == "a\ufffdb"

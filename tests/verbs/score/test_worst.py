"""The worst pairs of a run: the five that the tables hold, whatever was finished before, and however rows are cut."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ncaudit
from ncaudit import ScoreOptions
from ncaudit.verbs.score.worst import MOST, Worst, WorstPair

QUICK = {"scorer": "clip-score", "check": False}


def rows(labels, scores, status=None):
    count = len(labels)
    return pa.RecordBatch.from_pydict(
        {
            "pair_id": [f"p{i}" for i in range(count)],
            "status": status or ["ok"] * count,
            "soft_label": pa.array(labels, pa.float32()),
            "score": pa.array(scores, pa.float32()),
        }
    )


def names(worst):
    return [pair.pair_id for pair in worst.pairs()]


def score(folder, out, **more):
    return ncaudit.score(ScoreOptions(embeddings=[str(folder)], out=str(out), **{**QUICK, **more}))


def worst_in(folder):
    """As a reader of the tables would find them."""
    table = pa.concat_tables([pq.read_table(path) for path in sorted(folder.glob("*.parquet"))])
    found = [row for row in table.to_pylist() if row["status"] == "ok"]
    first = sorted(found, key=lambda row: (row["soft_label"], row["score"]))[:MOST]
    told = [{name: row[name] for name in ("pair_id", "caption", "soft_label", "score")} for row in first]
    return tuple(WorstPair(**each) for each in told)


def test_lowest_labels_first_then_lowest_scores_then_as_they_stand():
    worst = Worst()
    worst.add(rows([0.2, 0.1, 0.1, 0.1, 0.9, 0.0, None], [9, 3, 2, 3, 0, 5, -9], ["ok"] * 6 + ["image_missing"]))
    assert names(worst) == ["p5", "p2", "p1", "p3", "p0"]


def test_without_labels_the_lowest_scores():
    worst = Worst()
    worst.add(rows([None] * 7, [5, 4, 3, 2, 1, 0, None]))
    assert names(worst) == ["p5", "p4", "p3", "p2", "p1"]


@given(labels=st.lists(st.sampled_from([0.0, 0.25, 0.5]), max_size=40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_however_rows_are_cut_into_batches_and_tables_the_same_are_the_worst(labels, cuts):
    whole, parts, batch = Worst(), Worst(), rows(labels, [0.0] * len(labels))
    whole.add(batch)
    ends = [*sorted(cut for cut in cuts if cut < len(labels)), len(labels)]
    for begin, end in zip([0, *ends], ends, strict=False):
        table = Worst()
        table.add(batch.slice(begin, end - begin))
        parts.take(table)
    assert parts.pairs() == whole.pairs()


def test_they_are_those_of_the_tables(write_embeddings, tmp_path):
    write_embeddings("a", n=120, seed=1)
    folder = write_embeddings("b", n=90, seed=2)
    result = score(folder, tmp_path / "s")
    assert result.worst == worst_in(tmp_path / "s")
    assert len(result.worst) == MOST


@pytest.mark.parametrize("lost", [["a"], ["b"], [], ["a", "b"]])
def test_a_rerun_tells_the_same_with_what_was_finished_before(lost, write_embeddings, tmp_path):
    write_embeddings("a", n=120, seed=1)
    folder = write_embeddings("b", n=90, seed=2)
    first = score(folder, tmp_path / "s").worst
    for stem in lost:
        (tmp_path / f"s/{stem}.parquet").unlink()
    again = score(folder, tmp_path / "s")
    assert again.accounting.shards_resumed == 2 - len(lost)
    assert again.worst == first


def test_a_finished_table_without_captions_has_none_to_tell(write_embeddings, tmp_path):
    folder = write_embeddings(n=120)
    first = score(folder, tmp_path / "s", columns=["is_match"]).worst
    again = score(folder, tmp_path / "s", columns=["is_match"]).worst
    assert None not in [pair.caption for pair in first]
    assert [(pair.pair_id, pair.caption) for pair in again] == [(pair.pair_id, None) for pair in first]


def test_one_table_has_them_and_a_stream_none(write_embeddings, tmp_path, capfdbinary):
    folder = write_embeddings(n=120)
    assert len(score(folder, tmp_path / "one.parquet").worst) == MOST
    assert score(folder, "-").worst == ()


def test_where_some_rows_are_not_known_none_are_told():
    worst, beside = Worst(), Worst()
    worst.add(rows([0.5], [1]))
    beside.add_unknown()
    worst.take(beside)
    assert worst.pairs() == ()


def test_memory_does_not_grow_with_the_rows():
    worst = Worst()
    for start in range(50):
        worst.add(rows(np.linspace(0, 1, 1000) + start, np.zeros(1000)))
    assert len(worst._kept) == MOST

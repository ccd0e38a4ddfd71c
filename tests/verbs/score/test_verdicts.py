"""`score --verdicts`: people's judgements of a few pairs correct what the score cannot see."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import SampleOptions, ScoreOptions
from ncaudit.errors import BadTable, NcauditError
from ncaudit.verbs.score.score import ScoreResult

N, WRONG = 1_000, 400


def twins(folder: Path) -> np.ndarray:
    """500 scenes with two photos each; WRONG pairs have the twin's caption, which looks just as right. True: match."""
    draw = np.random.default_rng(0)
    seen = np.repeat(draw.normal(size=(N // 2, 16)), 2, axis=0) + 0.1 * draw.normal(size=(N, 16))
    said = np.repeat(seen[::2], 2, axis=0) + 0.3 * draw.normal(size=(N, 16))
    match = np.ones(N, dtype=bool)
    match[:WRONG] = False
    said[:WRONG] = said[:WRONG].reshape(-1, 2, 16)[:, ::-1].reshape(-1, 16)
    folder.mkdir()
    order = draw.permutation(N)
    columns = {"image_embedding": seen[order], "text_embedding": said[order]}
    table = {name: pa.array(rows.tolist(), pa.list_(pa.float32())) for name, rows in columns.items()}
    pq.write_table(pa.table(table), folder / "a.parquet")
    return match[order]


def score(folder: Path, out: str, **more: object) -> ScoreResult:
    given = {"scorer": "clip-score", "check": False, **more}
    return ncaudit.score(ScoreOptions(embeddings=[str(folder / "e")], out=str(folder / out), **given))


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    match = twins(folder / "e")
    blind = score(folder, "blind")
    ncaudit.sample(SampleOptions(scores=[str(folder / "blind")], out=str(folder / "review.parquet"), n=200))
    review = pq.read_table(folder / "review.parquet").to_pandas()
    review["is_match"] = [match[int(name.split("/")[1])] for name in review["pair_id"]]
    review.to_csv(folder / "review.csv", index=False)
    return folder, blind


def test_verdicts_correct_a_rate_that_the_score_cannot_see(judged):
    folder, blind = judged
    assert blind.noise_rate < 0.1
    told = score(folder, "told", verdicts=str(folder / "review.csv"))
    assert told.noise_rate == pytest.approx(WRONG / N, abs=0.1)
    assert told.noise_rate_low <= WRONG / N <= told.noise_rate_high
    assert told.mean_soft_label == pytest.approx(1 - told.noise_rate, abs=0.05)
    assert told.fit_facts["rate_of_scores"]["rate"] == blind.noise_rate
    assert told.fit_facts["verdicts"] == 200


def test_verdicts_keep_the_order_and_the_scores(judged):
    folder, _ = judged
    score(folder, "kept", verdicts=str(folder / "review.csv"))
    before, after = (pq.read_table(folder / f"{out}/a.parquet").to_pandas() for out in ("blind", "kept"))
    assert before["score"].equals(after["score"])
    ranked = after["soft_label"].to_numpy()[np.argsort(after["score"].to_numpy(), kind="stable")]
    assert (np.diff(ranked) >= 0).all()


def test_verdicts_in_the_folder_of_an_earlier_run_redo_it(judged):
    folder, _ = judged
    first = score(folder, "redone")
    second = score(folder, "redone", verdicts=str(folder / "review.csv"))
    assert (first.accounting.shards_resumed, second.accounting.shards_resumed) == (0, 0)
    third = score(folder, "redone", verdicts=str(folder / "review.csv"))
    assert third.accounting.shards_resumed == 1
    assert third.fit_id == second.fit_id != first.fit_id


def test_a_judged_pair_that_is_not_in_the_tables_is_named(judged):
    folder, _ = judged
    (folder / "other.csv").write_text("pair_id,is_match\na/1,yes\nb/7,no\n")
    with pytest.raises(BadTable, match=r"1 of 2 judged pairs .*first: b/7"):
        score(folder, "other", verdicts=str(folder / "other.csv"))


def test_verdicts_need_a_calibration_to_correct(tmp_path, write_embeddings):
    write_embeddings(n=30, folder="e")
    (tmp_path / "v.csv").write_text("pair_id,is_match\n0/1,yes\n")
    with pytest.raises(NcauditError, match="no calibration"):
        score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))

"""`score --verdicts`: people's judgements of a few pairs correct what the score cannot see."""

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import SampleOptions, ScoreOptions
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.shards.files.provenance import provenance_of
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


def metadata(folder, out):
    path = folder / out
    told = provenance_of(pq.read_schema(path / "a.parquet" if path.is_dir() else path))
    return told.get("shards", [told])[0]


def test_a_run_without_the_verdicts_of_the_run_before_says_that_it_drops_them(judged):
    folder, _ = judged
    for out in ("dropped", "dropped.parquet"):
        told = score(folder, out, verdicts=str(folder / "review.csv"))
        assert (told.judged_pairs, told.judging["judges"], told.judging["agreement"]) == (200, 1, None)
        assert metadata(folder, out)["judged_pairs"] == 200
        again = score(folder, out)
        assert again.judged_pairs is None
        assert [note for note in again.notes if "rested on 200 judged pairs" in note]
        assert "judged_pairs" not in metadata(folder, out)
        assert not [note for note in score(folder, out).notes if "judged pairs" in note]


def other_judge(folder, name, change):
    """The review after somebody else went over it. change: of a row's number and its verdict to the new one."""
    rows = list(csv.DictReader((folder / "review.csv").open(encoding="utf-8-sig", newline="")))
    for number, row in enumerate(rows):
        row["is_match"] = change(number, row["is_match"])
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(folder / name)


def test_judges_who_agree_are_as_one_and_what_they_dispute_counts_as_not_told(judged):
    folder, _ = judged
    first = str(folder / "review.csv")
    flip = {"True": "no", "False": "yes"}
    second = other_judge(folder, "second.csv", lambda n, old: flip[old] if n < 20 else "?" if n < 30 else old)
    told = score(folder, "two", verdicts=(first, second))
    # of 200 pairs the second judge disputes 20, and cannot tell of 10, which the first one's word decides
    assert told.judged_pairs == 180
    assert told.judging["agreement"]["pairs"] == 190
    assert (told.judging["judges"], told.judging["cannot_tell"], told.judging["disputed"]) == (2, 10, 20)
    assert told.judging["agreement"]["share"] == pytest.approx(170 / 190)
    assert 0.7 < told.judging["agreement"]["alpha"] < 0.85
    assert told.noise_rate_low <= WRONG / N <= told.noise_rate_high
    alone = score(folder, "alone", verdicts=(first, other_judge(folder, "same.csv", lambda _, old: old)))
    assert (alone.judged_pairs, alone.judging["agreement"]["alpha"]) == (200, 1.0)


def test_one_file_is_one_judge():
    with pytest.raises(UsageError, match="--verdicts names one file twice"):
        ScoreOptions(embeddings=["e"], out="s", verdicts=["v.csv", "v.csv"])


def test_judges_may_share_one_drawing_between_them(judged):
    folder, _ = judged
    whole = score(folder, "whole", verdicts=str(folder / "review.csv"))
    lines = (folder / "review.csv").read_text().splitlines(keepends=True)
    halves = [folder / "first-half.csv", folder / "second-half.csv"]
    for path, rows in zip(halves, (lines[1:100], lines[100:]), strict=True):
        path.write_text(lines[0] + "".join(rows))
    both = score(folder, "halves", verdicts=[str(path) for path in halves])
    assert (both.judged_pairs, both.noise_rate) == (200, whole.noise_rate)
    assert both.judging["agreement"] == {"pairs": 0, "disputed": 0, "share": None, "alpha": None}


def renamed(folder, names):
    """The one table there with other pair_ids."""
    path = next(folder.glob("*.parquet"))
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index("pair_id"), "pair_id", pa.array(names)), path)
    return table


def test_what_a_spreadsheet_made_of_the_names_is_found_by_shard_and_row(tmp_path, write_embeddings):
    table = renamed(write_embeddings(n=300, folder="e"), [f"{row:09}" for row in range(300)])
    rows = [f"{row},{'yes' if row > 100 else 'no'},{table['shard'][0]},{row}" for row in range(0, 300, 7)]
    (tmp_path / "v.csv").write_text("pair_id,is_match,shard,row\n" + "\n".join(rows) + "\n")
    told = score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))
    assert (told.judged_pairs, told.judging["changed_ids"]) == (len(rows), len(rows))
    (tmp_path / "v.csv").write_text("pair_id,is_match\n7,yes\n")
    with pytest.raises(BadTable, match=r"1 of 1 judged pair .*first: 7; the first one here is 000000000"):
        score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))


@pytest.mark.parametrize("words", [["", ""], ["", "cannot tell"]])
def test_a_review_that_nobody_has_judged_is_told_before_any_work(tmp_path, words):
    (tmp_path / "v.csv").write_text("pair_id,is_match\n" + "".join(f"{i},{word}\n" for i, word in enumerate(words)))
    with pytest.raises(BadTable, match=r"no pair is judged yet \(2 pairs"):
        score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))  # there are no embeddings either


def test_names_of_several_rows_are_scored_and_noted_but_no_verdict_is_taken_on_them(tmp_path, write_embeddings):
    renamed(write_embeddings(n=100, folder="e"), [f"photo{row // 2}" for row in range(100)])
    (note,) = [note for note in score(tmp_path, "s").notes if "share their pair_id" in note]
    assert note.startswith("100 rows share their pair_id with another row (first: photo0, in ")
    (tmp_path / "v.csv").write_text("pair_id,is_match\nphoto3,yes\n")
    with pytest.raises(BadTable, match=r"pair_id photo3 names several rows, row 6 of .* and row 7"):
        score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))


def test_a_judged_pair_that_is_not_in_the_tables_is_named(judged):
    folder, _ = judged
    (folder / "other.csv").write_text("pair_id,is_match\na/1,yes\nb/7,no\n")
    with pytest.raises(BadTable, match=r"1 of 2 judged pairs .*first: b/7"):
        score(folder, "other", verdicts=str(folder / "other.csv"))


@pytest.fixture
def no_fit(monkeypatch):
    """Whatever comes to the fit has been let through."""

    def fitted(*_):
        raise AssertionError("a fit is made")

    monkeypatch.setattr("ncaudit.verbs.score.parts.the_fit", fitted)


def test_names_of_several_rows_or_of_none_are_told_before_the_fit(tmp_path, write_embeddings, no_fit):
    renamed(write_embeddings(n=100, folder="e"), [f"photo{row // 2}" for row in range(98)] + ["a", "b"])
    for name, said in (("photo3", "names several rows"), ("photo99", "1 of 1 judged pair has no score")):
        (tmp_path / "v.csv").write_text(f"pair_id,is_match\n{name},no\n")
        with pytest.raises(BadTable, match=said):
            score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))
    assert not (tmp_path / "s").exists()
    (tmp_path / "v.csv").write_text("pair_id,is_match\na,yes\nb,no\n")
    with pytest.raises(AssertionError, match="a fit is made"):
        score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))


def test_a_name_of_two_rows_of_which_one_cannot_be_used_is_that_of_the_other(tmp_path, write_embeddings, no_fit):
    path = next(write_embeddings(n=100, folder="e").glob("*.parquet"))
    table = renamed(path.parent, [f"photo{max(row, 1)}" for row in range(100)])  # the first two are called alike
    vectors = table["image_embedding"].to_pylist()
    broken = pa.array([[0.0] * len(vectors[0]), *vectors[1:]], table.schema.field("image_embedding").type)
    named = pq.read_table(path)
    pq.write_table(named.set_column(named.column_names.index("image_embedding"), "image_embedding", broken), path)
    (tmp_path / "v.csv").write_text("pair_id,is_match\nphoto1,yes\n")
    with pytest.raises(AssertionError, match="a fit is made"):
        score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))


def test_verdicts_need_a_calibration_to_correct(tmp_path, write_embeddings):
    write_embeddings(n=30, folder="e")
    (tmp_path / "v.csv").write_text("pair_id,is_match\n0/1,yes\n")
    with pytest.raises(NcauditError, match="no calibration"):
        score(tmp_path, "s", verdicts=str(tmp_path / "v.csv"))

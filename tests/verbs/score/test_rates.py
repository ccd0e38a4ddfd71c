"""Rows that came after the fit: a rate of their own, the same after a kill, told to who reads or ranks their tables."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import EvalScoresOptions, FilterOptions, InspectOptions, NcauditError, ScoreOptions, TrainOptions
from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words.score import lines
from ncaudit.options import FilterForm
from ncaudit.verbs.score import rates
from ncaudit.verbs.score import score as score_verb
from ncaudit.verbs.score.score import ScoreResult
from tests.worlds import processes
from tests.worlds.embeddings import embedding_table, lists


def shard(folder: Path, seed: int, noise: float, *, n: int = 400, failed: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(embedding_table(n, noise=noise, seed=seed, failed=failed), folder / f"day{seed}.parquet")


def run(folder: Path, **more: object) -> ScoreResult:
    options = {"embeddings": [str(folder / "emb")], "out": str(folder / "s"), "check": False, "scorer": "csls", **more}
    return ncaudit.score(ScoreOptions(**options))


def told(folder: Path, seed: int) -> dict:
    return json.loads(pq.read_schema(folder / f"s/day{seed}.parquet").metadata[b"ncaudit"])


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "s").glob("*.parquet"))}


@pytest.fixture
def two_days(tmp_path):
    shard(tmp_path / "emb", 1, 0.0)
    run(tmp_path)
    shard(tmp_path / "emb", 2, 0.8)
    return tmp_path


def test_new_rows_get_a_rate_of_their_own_and_old_ones_keep_theirs(two_days):
    before = tables(two_days)
    result = run(two_days)
    assert [one["noise_rate"] for one in result.rates] == pytest.approx([0.0, 0.8], abs=0.08)
    assert [one["seen_by_fit"] for one in result.rates] == [True, False]
    assert result.noise_rate == pytest.approx(0.4, abs=0.05)
    assert result.noise_rate_low <= result.noise_rate <= result.noise_rate_high
    assert tables(two_days)["day1.parquet"] == before["day1.parquet"]
    label = pq.read_table(two_days / "s/day2.parquet")["soft_label"].to_numpy()
    assert label.mean() == pytest.approx(0.2, abs=0.08)


def test_both_rates_stand_in_the_words_and_in_the_table(two_days):
    result = run(two_days)
    said = "\n".join(plain(lines(result)))
    assert "400 rows of day2.parquet, came after the fit: " in said
    assert "their own; that of the fit is " in said
    table = told(two_days, 2)
    assert table["noise_rate"]["rate"] == pytest.approx(0.8, abs=0.08)
    assert table["rate_of_fit"] == told(two_days, 1)["noise_rate"]
    assert table["scores_of_fit"] == told(two_days, 1)["fit"] != table["fit"]


def test_a_run_that_was_killed_before_the_new_table_gives_the_same_bytes(two_days):
    run(two_days)
    whole = tables(two_days)
    (two_days / "s/day2.parquet").unlink()
    run(two_days)
    assert tables(two_days) == whole


def test_a_later_shard_does_not_move_the_rate_of_an_earlier_one(two_days):
    run(two_days)
    whole = tables(two_days)
    shard(two_days / "emb", 3, 0.3)
    result = run(two_days)
    assert result.accounting.shards_resumed == 2
    assert {name: found for name, found in tables(two_days).items() if name != "day3.parquet"} == whole
    assert [one["noise_rate"] for one in result.rates] == pytest.approx([0.0, 0.8, 0.3], abs=0.08)


def test_too_few_new_rows_take_the_fits_rate_and_it_is_said(two_days):
    shard(two_days / "emb", 2, 0.5, n=20)
    result = run(two_days)
    assert result.rates[1]["estimated"] is False
    assert any("day2.parquet: fewer than 50 usable pairs" in note for note in result.notes)
    assert told(two_days, 2)["noise_rate"] == told(two_days, 1)["noise_rate"]


def test_new_rows_without_embeddings_are_no_error(two_days):
    shard(two_days / "emb", 2, 0.0, n=30, failed=30)
    assert run(two_days).accounting.failed == 30


def test_new_rows_whose_captions_are_all_wrong_get_no_labels_beside_rows_that_have_them(two_days):
    shard(two_days / "emb", 2, 1.0)
    result = run(two_days)
    assert result.noise_rate is None
    assert "captions are wrong" in result.rates[1]["label_means"]
    assert pq.read_table(two_days / "s/day2.parquet")["verdict"].null_count == 400
    assert pq.read_table(two_days / "s/day1.parquet")["verdict"].null_count == 0
    assert "no soft label" in "\n".join(plain(lines(result)))


def test_refit_fits_all_rows_anew_and_forgets_the_rates(two_days):
    run(two_days)
    result = run(two_days, refit=True)
    assert not result.rates
    assert not run(two_days).rates


def test_a_saved_fit_rates_the_rows_that_it_did_not_see_alone(two_days):
    run(two_days, out=str(two_days / "all"), fit=str(two_days / "s/_fit"))
    first, second = (
        json.loads(pq.read_schema(two_days / f"all/day{day}.parquet").metadata[b"ncaudit"]) for day in (1, 2)
    )
    assert first["noise_rate"] == told(two_days, 1)["noise_rate"]
    assert second["noise_rate"]["rate"] == pytest.approx(0.8, abs=0.08)


def kept_shards(folder: Path) -> list[set[str]]:
    return [{*group["shards"]} for group in json.loads((folder / "_fit/rates.json").read_text())["later"]]


@pytest.mark.parametrize("when", ["estimating", "writing"])
def test_of_two_runs_that_rate_different_shards_side_by_side_both_rates_are_kept(two_days, monkeypatch, when):
    shard(two_days / "emb", 3, 0.3)
    fit, out = str(two_days / "s/_fit"), str(two_days / "all")
    day = {number: [str(two_days / f"emb/day{number}.parquet")] for number in (2, 3)}
    place = rates if when == "estimating" else score_verb
    name = "_rated" if when == "estimating" else "_write"
    usual = getattr(place, name)

    def beside(*told: object) -> object:
        monkeypatch.setattr(place, name, usual)
        stale = two_days / "all/_fit/rates.json"
        before = stale.read_bytes() if stale.exists() else None
        run(two_days, embeddings=day[3], fit=fit, out=out)
        if before is not None:  # the other had read the file before this run wrote it
            told_by_other = json.loads(stale.read_bytes())
            told_by_other["later"] = told_by_other["later"][-1:]
            stale.write_text(json.dumps(told_by_other))
        return usual(*told)

    monkeypatch.setattr(place, name, beside)
    run(two_days, embeddings=day[2], fit=fit, out=out)
    assert sorted(map(sorted, kept_shards(two_days / "all"))) == [["day2.parquet"], ["day3.parquet"]]
    whole = {path.name: path.read_bytes() for path in (two_days / "all").glob("*.parquet")}
    again = run(two_days, embeddings=[*day[2], *day[3]], fit=fit, out=out)
    assert again.accounting.shards_resumed == 2
    assert {path.name: path.read_bytes() for path in (two_days / "all").glob("*.parquet")} == whole


def test_two_equal_runs_keep_a_rate_once(two_days, monkeypatch):
    usual = rates._rated

    def beside(*told: object) -> object:
        monkeypatch.setattr(rates, "_rated", usual)
        run(two_days)
        return usual(*told)

    monkeypatch.setattr(rates, "_rated", beside)
    run(two_days)
    assert kept_shards(two_days / "s") == [{"day2.parquet"}]


def test_who_ranks_tables_of_two_rates_is_told(two_days):
    run(two_days)
    kept = ncaudit.filter_pairs(FilterOptions(scores=[str(two_days / "s")], out=str(two_days / "k"), keep_share=0.5))
    judged = ncaudit.eval_scores(EvalScoresOptions(scores=[str(two_days / "s")], truth="is_match"))
    for notes in (kept.notes, judged.notes):
        assert any("2 noise rates of their own" in note for note in notes)


def test_who_ranks_tables_of_two_fits_is_told_that_scores_have_no_common_scale(two_days):
    run(two_days)
    shard(two_days / "other", 7, 0.2)
    run(two_days, embeddings=[str(two_days / "other")], out=str(two_days / "s7"))
    both = [str(two_days / "s"), str(two_days / "s7")]
    kept = ncaudit.filter_pairs(FilterOptions(scores=both, out=str(two_days / "k"), keep_share=0.5))
    assert any("2 different fits" in note for note in kept.notes)


@pytest.mark.parametrize(
    "rule",
    [
        {"min_soft_label": 0.5},
        {"verdict": ["clean"]},
        {"kept_precision": 0.9},
        {"where": "verdict = 'clean'"},
        {"where": "row >= 0 and soft_label >= .5"},
        {"where": "not verdict in ('noisy')"},
        {"where": "soft_label is not null"},
        {"keep_share": 0.5, "write_as": FilterForm.weights, "out": "k.parquet"},
    ],
)
def test_filter_by_label_refuses_tables_without_labels_with_their_reason(rule, tmp_path):
    shard(tmp_path / "emb", 1, 1.0)
    run(tmp_path)
    asked = {**rule, "out": str(tmp_path / rule.get("out", "k"))}
    with pytest.raises(NcauditError, match=r"day1.parquet: no row has a label .* all captions are wrong"):
        ncaudit.filter_pairs(FilterOptions(scores=[str(tmp_path / "s")], **asked))
    assert {path.name for path in tmp_path.iterdir()} == {"emb", "s"}


@pytest.mark.parametrize("rule", [{"where": "verdict is null"}, {"where": "soft_label IS NULL"}, {"keep_share": 0.5}])
def test_who_asks_for_rows_without_a_label_or_for_the_best_gets_them(rule, tmp_path):
    shard(tmp_path / "emb", 1, 1.0)
    run(tmp_path)
    kept = ncaudit.filter_pairs(FilterOptions(scores=[str(tmp_path / "s")], out=str(tmp_path / "k"), **rule))
    assert kept.kept > 0


def test_train_by_label_refuses_tables_without_labels_with_their_reason(tmp_path):
    shard(tmp_path / "emb", 1, 1.0)
    run(tmp_path)
    options = {"embeddings": [str(tmp_path / "emb")], "scores": [str(tmp_path / "s")], "out": str(tmp_path / "h")}
    with pytest.raises(NcauditError, match=r"no row has a label to train by .* all captions are wrong"):
        ncaudit.train(TrainOptions(tune="heads", **options))


def filled_in(path: Path) -> None:
    """The table as somebody leaves it who has labels from elsewhere: what it says of itself stays."""
    table = pq.read_table(path)
    label = np.linspace(0, 1, table.num_rows, dtype=np.float32)
    named = {"soft_label": label, "verdict": np.where(label < 0.5, "noisy", "clean")}
    for name, values in named.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), [values])
    pq.write_table(table, path)


def test_labels_that_somebody_filled_in_are_filtered_and_trained_by(tmp_path):
    shard(tmp_path / "emb", 1, 1.0)
    run(tmp_path)
    filled_in(tmp_path / "s/day1.parquet")
    for place, rule in enumerate([{"min_soft_label": 0.5}, {"verdict": ["clean"]}, {"where": "soft_label >= .5"}]):
        options = {"scores": [str(tmp_path / "s")], "out": str(tmp_path / f"k{place}"), **rule}
        kept = ncaudit.filter_pairs(FilterOptions(**options))
        assert (kept.kept, [note for note in kept.notes if "labels" in note]) == (200, [])
    options = {"embeddings": [str(tmp_path / "emb")], "scores": [str(tmp_path / "s")], "out": str(tmp_path / "h")}
    trained = ncaudit.train(TrainOptions(tune="heads", epochs=1, batch_pairs=100, val_share=0.0, **options))
    assert trained.mean_label == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rule", [("--min-soft-label", ".5"), ("--kept-precision", ".74")])
def test_labels_that_somebody_filled_in_are_filtered_by_on_standard_input(tmp_path, rule):
    shard(tmp_path / "emb", 1, 1.0)
    run(tmp_path)
    filled_in(tmp_path / "s/day1.parquet")
    table, stream = pq.read_table(tmp_path / "s/day1.parquet"), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    words = [sys.executable, "-m", "ncaudit", "-q", "filter", "-", "--out", tmp_path / "k.parquet", *rule]
    done = processes.run(list(map(str, words)), input=stream.getvalue(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert pq.read_metadata(tmp_path / "k.parquet").num_rows == pytest.approx(200, abs=10)


def test_random_pairs_that_no_longer_look_like_the_fits_are_told(two_days):
    table = embedding_table(400, noise=0.1, seed=2)
    for place, name in ((4, "image_embedding"), (5, "text_embedding")):
        rows = np.stack(table[name].to_numpy(zero_copy_only=False))
        table = table.set_column(place, name, lists(rows + np.eye(16, dtype=np.float16)[0]))  # a narrow cone
    pq.write_table(table, two_days / "emb/day2.parquet")
    (two_days / "emb/day2.parquet").rename(two_days / "day2.parquet")
    run(two_days, scorer="clip-score", out=str(two_days / "d"))
    (two_days / "day2.parquet").rename(two_days / "emb/day2.parquet")
    result = run(two_days, scorer="clip-score", out=str(two_days / "d"))
    assert any("day2.parquet score otherwise than those of the fit" in note for note in result.notes)
    assert result.rates[1]["null_departure"] > 0.5


def test_inspect_sends_people_to_a_file_of_pairs_where_nobody_can_tell(tmp_path):
    shard(tmp_path / "emb", 1, 1.0)
    run(tmp_path)
    told = ncaudit.inspect(InspectOptions(sources=[str(tmp_path / "s")]))
    assert told.next[0] == f"ncaudit sample {tmp_path}/s --out review.csv"


def test_a_shard_that_came_back_changed_gets_a_rate_anew(two_days):
    run(two_days)
    pq.write_table(embedding_table(400, noise=0.2, seed=9), two_days / "emb/day2.parquet")
    assert run(two_days).rates[1]["noise_rate"] == pytest.approx(0.2, abs=0.08)


def test_rates_of_another_fit_are_passed_over_without_a_word(tmp_path):
    later = {"shards": {"a.parquet": "1"}, "pairs": 0, "facts": None, "fit": "one"}
    (tmp_path / "rates.json").write_text(json.dumps({"fit": "one", "later": [later]}))
    notes = []
    progress = SimpleNamespace(note=notes.append)
    assert rates._load(str(tmp_path / "rates.json"), SimpleNamespace(fit_id="another"), progress) == []
    assert notes == []

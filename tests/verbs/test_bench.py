"""The bench injects what it says, measures it by hand-checkable numbers, and tells what it leaves out."""

import json
from functools import partial
from statistics import mean, stdev

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from ncaudit.cli.app import app
from ncaudit.errors import NcauditError
from ncaudit.judging import calibration
from ncaudit.judging.mismatches import Neighbours, swapped
from ncaudit.options import BenchOptions
from ncaudit.progress import Silent
from ncaudit.scoring import shared_space
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.bench import MEASURED, bench, corrected_auroc, expected_rate
from tests.worlds.embeddings import lists, unit

FAST = {"scorers": ["csls", "clip-score"], "seeds": 2, "rates": [0.3]}


def benched(folder, **options):
    return bench(BenchOptions(embeddings=[str(folder)], **{**FAST, **options}))


def write(folder, text_dims=16, n=300, dims=16):
    """n pairs, a tenth of them with each other's captions; captions of other widths are in a space of their own."""
    draw = np.random.default_rng(0)
    image = unit(draw.normal(size=(n, dims)))
    text = unit(image + 0.15 * draw.normal(size=(n, dims)))
    text[: n // 10] = np.roll(text[: n // 10], 1, axis=0)
    text = text if text_dims == dims else unit(text @ draw.normal(size=(dims, text_dims)))
    columns = {"pair_id": [str(i) for i in range(n)], "caption": [f"caption {i}" for i in range(n)]}
    for name, x in (("image_embedding", image), ("text_embedding", text)):
        columns[name] = lists(x)
    pq.write_table(pa.table(columns), folder / "00000.parquet")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _few_replicates():
    """They make the interval of a noise rate, which nothing here looks at, and take most of a fit's time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "noise_rate", partial(calibration.noise_rate, replicates=10))
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("embeddings"))


@pytest.fixture(scope="module")
def both(table, tmp_path_factory):
    """Every kind, two seeds, written as CSV."""
    out = tmp_path_factory.mktemp("bench") / "runs.csv"
    return benched(table, out=str(out))


def world(n=80, dims=16, captions=1):
    draw = np.random.default_rng(4)
    image = torch.from_numpy(unit(draw.normal(size=(n, dims))).astype(np.float32))
    text = torch.from_numpy(unit(draw.normal(size=(n, dims))).astype(np.float32))
    row = torch.arange(n)
    return Pairs(image[row // captions], text, row // captions, 1_000 + row, [str(i) for i in range(n)])


def test_there_is_a_run_per_scorer_kind_rate_and_seed_and_a_setting_per_scorer_kind_and_rate(both):
    asked = [(scorer, kind) for scorer in ("csls", "clip-score") for kind in ("random", "topic", "near")]
    assert [(setting.scorer, setting.kind) for setting in both.settings] == asked
    assert [(run.scorer, run.kind, run.seed) for run in both.runs] == [(*one, seed) for one in asked for seed in (0, 1)]
    assert both.pairs == 300
    assert both.notes == ()


def test_a_setting_is_mean_and_standard_deviation_of_its_runs(both):
    first = both.settings[0]
    for name in MEASURED:
        values = [getattr(run, name) for run in both.runs[:2]]
        assert first.measures[name].mean == pytest.approx(mean(values))
        assert first.measures[name].sd == pytest.approx(stdev(values))
    assert "rate" not in MEASURED
    assert "injected_called_noisy" in MEASURED


def test_random_mismatches_are_found(both):
    csls = both.settings[0].measures
    assert csls["auroc"].mean > 0.85  # a tenth of the others are mismatched, too: at best .95
    assert csls["auroc_corrected"].mean > 0.95
    assert csls["precision_at_injected_count"].mean > 0.75
    assert csls["average_precision"].mean > 0.7
    assert csls["injected_called_noisy"].mean > 0.8
    assert csls["untouched_called_noisy"].mean < 0.25
    assert csls["noise_rate"].mean == pytest.approx(csls["noise_rate_expected"].mean, abs=0.08)


def test_what_is_corrected_for_noise_there_before_is_told_for_random_mismatches_only(both):
    for run in both.runs:
        known = run.kind == "random"
        assert (run.auroc_corrected is not None) == (run.calibration_error_corrected is not None) == known
        if known:
            assert run.auroc_corrected == corrected_auroc(run.auroc, run.noise_rate_before)


def test_near_mismatches_are_harder_than_random_ones(both):
    by_kind = {setting.kind: setting.measures["auroc"].mean for setting in both.settings[:3]}
    assert by_kind["near"] < by_kind["random"]


def test_the_expected_rate_is_what_a_hand_counts(both):
    # 20 of 100 mismatched; 30 swapped, of which 6 were mismatched before: 14 + 30 = 44
    assert expected_rate(0.2, 0.3) == pytest.approx(0.44)
    assert (expected_rate(0, 0.3), expected_rate(1, 0.3)) == (0.3, 1)
    for run in both.runs:
        assert run.noise_rate_expected == pytest.approx(expected_rate(run.noise_rate_before, run.injected / run.pairs))


def test_the_corrected_auroc_is_what_a_hand_counts():
    # .2 of the untouched are random-like and win half their comparisons, the others win .9: .1 + .72 = .82
    assert corrected_auroc(0.82, 0.2) == pytest.approx(0.9)
    assert (corrected_auroc(0.99, 0.2), corrected_auroc(0.05, 0.2), corrected_auroc(0.5, 1.0)) == (1, 0, None)


@pytest.mark.parametrize("kind", ["random", "topic", "near"])
def test_a_swapped_pair_has_another_photos_caption_with_its_embedding_and_the_rest_is_untouched(kind):
    pairs = world(captions=2)
    got, injected = swapped(pairs, kind, 0.5, 3, Neighbours.of(pairs, [kind], 0))
    assert 20 < injected.sum() < 40 if kind == "topic" else injected.sum() == 40  # some clusters hold one photo only
    source = got.caption_id - 1_000
    assert torch.equal(got.text, pairs.text[source])
    assert torch.equal(got.image, pairs.image)
    assert torch.equal(got.image_id, pairs.image_id)
    assert ((pairs.image_id[source] != pairs.image_id).numpy() == injected).all()
    assert ((source != torch.arange(80)).numpy() == injected).all()


def test_random_mismatches_are_a_permutation_and_lower_rates_are_part_of_higher_ones():
    pairs = world()
    near = Neighbours.of(pairs, [], 0)
    got, few = swapped(pairs, "random", 0.2, 0, near)
    assert sorted(got.caption_id.tolist()) == sorted(pairs.caption_id.tolist())
    assert (few <= swapped(pairs, "random", 0.4, 0, near)[1]).all()
    assert (few != swapped(pairs, "random", 0.2, 1, near)[1]).any()


def test_what_is_swapped_is_not_what_a_scorer_draws_with_the_same_seed():
    pairs = world(n=200)
    for seed in range(3):
        _, injected = swapped(pairs, "random", 0.3, seed, Neighbours.of(pairs, [], 0))
        same = np.random.default_rng(seed).permutation(len(pairs))[: injected.sum()]
        assert 0.1 < injected[same].mean() < 0.5  # three of ten by chance


def test_topic_mismatches_stay_in_their_cluster_and_near_ones_among_the_nearest_captions():
    pairs = world()
    near = Neighbours.of(pairs, ["topic", "near"], 0)
    topic, swaps = swapped(pairs, "topic", 0.5, 0, near)
    assert (near.cluster[(topic.caption_id - 1_000).numpy()] == near.cluster).all()
    assert swaps.sum() > 20
    got, swaps = swapped(pairs, "near", 0.5, 0, near)
    similarity = (pairs.text @ pairs.text.T).fill_diagonal_(-2)
    rank = (similarity > (got.text * pairs.text).sum(dim=1, keepdim=True) + 1e-6).sum(dim=1)
    assert (rank[torch.from_numpy(swaps)] < 10).all()
    assert len(rank[torch.from_numpy(swaps)].unique()) > 3  # not the nearest alone


def test_where_there_is_no_other_photo_nothing_is_swapped():
    pairs = world(captions=80)
    for kind in ("random", "topic", "near"):
        got, injected = swapped(pairs, kind, 0.5, 0, Neighbours.of(pairs, [kind], 0))
        assert not injected.any()
        assert torch.equal(got.caption_id, pairs.caption_id)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(table):
    one = {"scorers": ["clip-score"], "kinds": ["random"], "seeds": 1, "pairs": 100}
    first = benched(table, seed=1, **one)
    assert first == benched(table, seed=1, **one)
    assert first.settings[0].measures["auroc"].sd is None
    assert first.runs[0].auroc != benched(table, seed=2, **one).runs[0].auroc


def test_scorers_that_need_one_space_are_left_out_with_a_note_where_there_is_none(tmp_path):
    path = write(tmp_path, text_dims=24)
    found = benched(path, scorers=["csls", "structure"], kinds=["random"], seeds=1, pairs=100)
    assert {run.scorer for run in found.runs} == {"structure"}
    assert found.notes == ("csls is left out: it needs one space, but images are 16 and captions 24 wide",)
    with pytest.raises(NcauditError, match="csls is left out"):
        benched(path, scorers=["csls"])


def test_a_cosine_that_tells_nothing_is_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_space, "warning", lambda found: f"nothing shared by {found.pairs} pairs")
    found = benched(write(tmp_path), scorers=["structure"], kinds=["random"], seeds=1, pairs=100)
    assert found.notes == ("nothing shared by 100 pairs",)


def test_a_file_has_one_row_per_run_in_any_format(both, table, tmp_path):
    rows = pa_csv.read_csv(both.out)
    assert rows["auroc"].to_pylist() == pytest.approx([run.auroc for run in both.runs])
    assert rows["kind"].to_pylist() == [run.kind for run in both.runs]
    for name in ("runs.parquet", "runs.jsonl"):
        out = str(tmp_path / name)
        found = benched(table, out=out, scorers=["clip-score"], kinds=["near"], pairs=100)
        if name.endswith(".parquet"):
            read = pq.read_table(out).to_pylist()
        else:
            with open(out, encoding="utf-8") as file:
                read = [json.loads(line) for line in file]
        assert read == [vars(run) for run in found.runs]


def test_a_file_that_is_there_is_not_overwritten(table, tmp_path):
    out = tmp_path / "runs.csv"
    out.write_text("mine")
    with pytest.raises(NcauditError, match="is there already"):
        benched(table, out=str(out))
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scorers": ["cosmic"]}, "no scorer is called 'cosmic'"),
        ({"kinds": ["odd"]}, "--kinds is odd"),
        ({"rates": [0.2, 1.0]}, "--rates is 1.0"),
        ({"rates": [0.0]}, "--rates is 0.0"),
        ({"rates": []}, "--rates is empty"),
        ({"seeds": 0}, "--seeds is 0"),
        ({"out": "runs.txt"}, "--out is runs.txt"),
    ],
)
def test_what_cannot_be_asked_is_told(table, wrong, told):
    with pytest.raises(NcauditError, match=told):
        benched(table, **wrong)


def test_too_few_pairs_are_told(write_embeddings):
    with pytest.raises(NcauditError, match="40 usable pairs"):
        benched(write_embeddings(n=40))


def test_every_fit_is_told(table):
    class Count(Silent):
        total = done = 0

        def stage(self, name, total, unit="rows"):
            self.total, self.done = total, 0

        def advance(self, done, failed=0):
            self.done += done

    count = Count()
    asked = {"scorers": ["clip-score"], "kinds": ["random"], "rates": [0.001, 0.3], "seeds": 2, "pairs": 100}
    found = bench(BenchOptions(embeddings=[str(table)], **asked), count)
    assert count.total == count.done == 6  # twice: untouched, and two rates, of which one is too small to swap
    assert found.notes == ("no random mismatch could be made at rate 0.001: too few pairs, or all alike",)


def test_the_command_draws_a_table_or_gives_one_json_object(table, tmp_path):
    command = ["-q", "bench", str(table), "--scorers", "clip-score", "--kinds", "random", "--kinds", "near"]
    command += ["--rates", "0.3", "--seeds", "1", "--pairs", "100"]
    ran = CliRunner().invoke(app, [*command, "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert [run["kind"] for run in found["runs"]] == ["random", "near"]
    assert found["pairs"] == 100
    assert found["settings"][1]["measures"]["auroc_corrected"] == {"mean": None, "sd": None}
    drawn = CliRunner().invoke(app, command)
    assert drawn.exit_code == 0, drawn.output
    assert "AUROC*" in drawn.stdout
    assert f"{found['runs'][0]['auroc']:.3f}" in drawn.stdout

"""A scorer with its labels: they mean the same for every scorer, follow the noise, and survive saving."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import ncaudit
from ncaudit import NcauditError, ScoreOptions, scorers
from ncaudit.core.statistics.null_rate import NoiseRate
from ncaudit.errors import BadTable
from ncaudit.judging import calibrated
from ncaudit.judging.calibrated import Scored
from ncaudit.judging.calibration import Cuts, verdicts
from ncaudit.judging.saved_fits import SavedFit, load_fit, save_fit
from ncaudit.options import ScorerOptions
from ncaudit.schema import VERDICTS
from ncaudit.scoring.pairs import Pairs, rooted
from ncaudit.verbs.score.score import ScoreResult

CPU = torch.device("cpu")


def world(n: int, noise: float, *, dims: int = 16, blur: float = 0.15, seed: int = 0) -> tuple[Pairs, np.ndarray]:
    """n pairs in random order, a share with another pair's caption; and which truly belong together."""
    draw = np.random.default_rng(seed)
    seen = draw.normal(size=(n, dims)) / dims**0.5
    said = seen + blur * draw.normal(size=(n, dims))
    caption, wrong = np.arange(n), draw.permutation(n)[: round(noise * n)]
    caption[wrong] = np.roll(caption[wrong], 1)
    image, text = (torch.nn.functional.normalize(torch.tensor(side, dtype=torch.float32)) for side in (seen, said))
    ids = torch.arange(n)
    pairs = Pairs(image, text[caption], ids, torch.from_numpy(caption), [str(i) for i in range(n)])
    return pairs, caption == np.arange(n)


def labels(pairs: Pairs, fit: calibrated.Fit) -> np.ndarray:
    return calibrated.applier(fit, CPU)(pairs).soft_label.numpy()


def options(scorer: str = "csls", **more: object) -> ScorerOptions:
    return ScorerOptions(scorer=scorer, device="cpu", **more)


def test_the_labels_of_different_scorers_mean_the_same():
    pairs, match = world(800, 0.25)
    means = [
        labels(pairs, calibrated.learn(pairs, options(scorer))).mean() for scorer in ("csls", "clip-score", "bicro")
    ]
    assert max(means) - min(means) < 0.05
    np.testing.assert_allclose(means, match.mean(), atol=0.05)


@pytest.mark.parametrize("scorer", ["csls", "clip-score", "bicro"])
@pytest.mark.parametrize("noise", [0.0, 0.3, 0.9])
def test_the_noise_rate_is_near_the_truth(scorer, noise):
    pairs, _ = world(1_000, noise)
    fit = calibrated.learn(pairs, options(scorer))
    assert fit.facts["noise_rate"]["rate"] == pytest.approx(noise, abs=0.08)
    assert fit.facts["noise_rate"]["low"] <= fit.facts["noise_rate"]["rate"] <= fit.facts["noise_rate"]["high"]


def test_where_nearly_every_pair_is_mismatched_nearly_every_label_is_below_one_half():
    pairs, _ = world(1_000, 0.97)
    fit = calibrated.learn(pairs, options())
    assert (labels(pairs, fit) < 0.5).mean() > 0.93


def test_labels_never_contradict_the_score_within_a_stratum():
    dirty, clean = (world(500, noise, seed=seed)[0] for seed, noise in ((1, 0.6), (2, 0.05)))
    pairs, stratum = beside(dirty, clean)
    fit = calibrated.learn(pairs, options(), {0: "dirty", 1: "clean"})
    assert [entry["name"] for entry in fit.facts["strata"]] == ["dirty", "clean"]
    scores = calibrated.applier(fit, CPU)(pairs)
    for number in (0, 1):
        inside = stratum == number
        order = scores.score[inside].argsort()
        assert (scores.soft_label[inside][order].diff() >= 0).all()


def beside(first: Pairs, second: Pairs) -> tuple[Pairs, torch.Tensor]:
    """Two sources in one random order, none sharing a photo, and the source of each pair."""
    n = len(first)
    order = torch.from_numpy(np.random.default_rng(0).permutation(n + len(second)))
    joined = Pairs(
        torch.cat([first.image, second.image]),
        torch.cat([first.text, second.text]),
        torch.cat([first.image_id, second.image_id + n]),
        torch.cat([first.caption_id, second.caption_id + n]),
        [str(i) for i in range(n + len(second))],
        stratum_id=torch.cat([torch.zeros(n), torch.ones(len(second))]).long(),
    ).take(order)
    assert joined.stratum_id is not None
    return joined, joined.stratum_id


@pytest.mark.parametrize("scorer", ["csls", "bicro"])
def test_a_saved_fit_gives_the_same_labels(scorer, tmp_path):
    pairs, _ = beside(world(300, 0.6, seed=1)[0], world(300, 0.05, seed=2)[0])
    fit = calibrated.learn(pairs, options(scorer), {0: "dirty", 1: "clean"})
    save_fit(SavedFit(fit, None, {}), str(tmp_path / "fit"))
    saved = load_fit(str(tmp_path / "fit")).fit
    fresh, again = (calibrated.applier(one, CPU)(pairs) for one in (fit, saved))
    assert torch.equal(fresh.soft_label, again.soft_label)
    assert torch.equal(fresh.verdict, again.verdict)


def test_verdicts_are_the_labels_cut():
    pairs, match = world(600, 0.3, blur=0.3)
    fit = calibrated.learn(pairs, options(noisy_precision=0.9))
    scores = calibrated.applier(fit, CPU)(pairs)
    cuts = Cuts(**fit.facts["cuts"])
    told = np.array(VERDICTS)[scores.verdict.numpy()]
    assert (told == verdicts(scores.soft_label.numpy(), cuts)).all()
    assert 1 - match[told == "noisy"].mean() == pytest.approx(0.9, abs=0.1)


def test_one_caption_for_all_photos_is_refused_or_still_tells_pairs_apart():
    pairs, _ = world(200, 0.0)
    same = replace(pairs, text=pairs.text[:1].expand(200, -1).contiguous(), caption_id=torch.zeros(200).long())
    for scorer in scorers.names():
        try:
            fit = calibrated.learn(same, options(scorer))
        except NcauditError as error:
            assert error.fix  # noqa: PT017 - both ends are allowed
            continue
        label = labels(same, fit)
        assert np.isfinite(label).all()
        assert np.ptp(label) > 0, scorer


@pytest.mark.parametrize("scorer", scorers.names())
def test_identical_pairs_are_refused(scorer):
    one = torch.nn.functional.normalize(torch.ones(100, 16))
    pairs = Pairs(one, one, torch.arange(100), torch.arange(100), [str(i) for i in range(100)])
    with pytest.raises(NcauditError):
        calibrated.learn(pairs, options(scorer))


def test_an_old_fit_on_cleaner_rows_takes_their_noise_rate():
    dirty, clean = world(700, 0.5, blur=0.25, seed=1)[0], world(700, 0.1, blur=0.25, seed=2)[0]
    fit = calibrated.learn(dirty, options())
    rerated = calibrated.rerated(fit, clean, options())
    assert rerated.facts["noise_rate"]["rate"] == pytest.approx(0.1, abs=0.08)
    assert rerated.facts["rate_of_fit"] == fit.facts["noise_rate"]
    assert labels(clean, rerated).mean() == pytest.approx(0.9, abs=0.08)
    assert (labels(clean, rerated) >= labels(clean, fit) - 1e-6).all()  # all odds move alike
    assert labels(clean, rerated).mean() > labels(clean, fit).mean() + 0.01


def test_new_rows_of_the_same_kind_are_no_departure():
    fit = calibrated.learn(world(600, 0.3, seed=1)[0], options())
    told = calibrated.rerated(fit, world(600, 0.3, seed=2)[0], options())
    assert not told.facts["null_departure"]["significant"]


def test_random_pairs_that_score_otherwise_than_the_fits_are_told():
    fit = calibrated.learn(world(600, 0.3, seed=1)[0], options("clip-score"))
    other = world(600, 0.3, seed=2)[0]
    cone = torch.nn.functional.normalize(other.image + 1), torch.nn.functional.normalize(other.text + 1)
    told = calibrated.rerated(fit, replace(other, image=cone[0], text=cone[1]), options("clip-score"))
    assert told.facts["null_departure"]["significant"]


def test_too_few_new_rows_leave_the_old_rate():
    fit = calibrated.learn(world(300, 0.3)[0], options())
    assert calibrated.rerated(fit, world(49, 0.0, seed=2)[0], options()) is fit


def test_peoples_verdicts_move_rate_and_labels():
    pairs, _ = world(600, 0.3)
    fit = calibrated.learn(pairs, options())
    score = calibrated.applier(fit, CPU)(pairs).score.double().numpy()
    told = calibrated.judged(fit, score, np.ones(600, bool), np.ones(600), NoiseRate(1.0, 0.99, 1.0))
    assert told.facts["noise_rate"]["rate"] == 1.0
    assert told.facts["rate_of_scores"] == fit.facts["noise_rate"]
    assert labels(pairs, told).mean() < 0.05


def shard(folder: Path, stem: str, noise: float, seed: int, source: str | None = None) -> None:
    pairs, _ = world(600, noise, seed=seed)
    folder.mkdir(exist_ok=True)
    table = pa.table(
        {
            "image_embedding": pa.array(pairs.image.numpy().tolist(), pa.list_(pa.float32())),
            "text_embedding": pa.array(pairs.text.numpy().tolist(), pa.list_(pa.float32())),
            "source": pa.array([source or stem] * 600),
        }
    )
    pq.write_table(table, folder / f"{stem}.parquet")


@pytest.fixture(scope="module")
def two_shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "e"
    shard(folder, "clean", 0.05, 1)
    shard(folder, "dirty", 0.6, 2)
    return folder


def run(embeddings: Path, out: Path, **more: object) -> ScoreResult:
    given = {"scorer": "csls", "check": False, **more}
    return ncaudit.score(ScoreOptions(embeddings=[str(embeddings)], out=str(out), **given))


@pytest.mark.parametrize("stratify", ["auto", "source"])
def test_two_sources_of_different_noise_get_their_own_rates(stratify, two_shards, tmp_path):
    result = run(two_shards, tmp_path / "s", stratify=stratify)
    rates = {entry["name"].removesuffix(".parquet"): entry["noise_rate"] for entry in result.fit_facts["strata"]}
    assert rates == {"clean": pytest.approx(0.05, abs=0.1), "dirty": pytest.approx(0.6, abs=0.1)}
    assert result.fit_facts["stratified_by"] == {"auto": "shard"}.get(stratify, stratify)
    for name, wanted in (("clean", 0.95), ("dirty", 0.4)):
        assert np.mean(pq.read_table(tmp_path / f"s/{name}.parquet")["soft_label"]) == pytest.approx(wanted, abs=0.1)


def test_without_strata_there_is_one_rate(two_shards, tmp_path):
    result = run(two_shards, tmp_path / "s", stratify="none")
    assert result.fit_facts["strata"] == []
    assert result.noise_rate == pytest.approx(0.325, abs=0.08)


def test_a_column_to_stratify_by_that_is_not_there_is_named(two_shards, tmp_path):
    with pytest.raises(BadTable, match="no column origin"):
        run(two_shards, tmp_path / "s", stratify="origin")


def test_a_fit_on_cleaner_shards_tells_their_rate_and_on_its_own_shards_changes_nothing(tmp_path):
    shard(tmp_path / "dirty", "dirty", 0.6, 2)
    shard(tmp_path / "clean", "clean", 0.05, 1)
    first = run(tmp_path / "dirty", tmp_path / "s", save_fit=str(tmp_path / "fit"))
    same = run(tmp_path / "dirty", tmp_path / "again", fit=str(tmp_path / "fit"))
    assert same.fit_id == first.fit_id
    assert pq.read_table(tmp_path / "again/dirty.parquet").equals(pq.read_table(tmp_path / "s/dirty.parquet"))
    other = run(tmp_path / "clean", tmp_path / "other", fit=str(tmp_path / "fit"))
    assert other.noise_rate == pytest.approx(0.05, abs=0.08)
    assert other.fit_facts["rate_of_fit"]["rate"] == first.noise_rate == pytest.approx(0.6, abs=0.08)
    assert other.fit_id != first.fit_id


def test_scores_of_the_same_pairs_are_kept_and_are_what_would_be_made():
    pairs = rooted(world(600, 0.3, seed=1)[0])
    fit = calibrated.learn(pairs, options("clip-score"))
    photos = calibrated.same_photos(fit, CPU)
    kept = Scored.of(fit, photos.of(pairs), 0, null_pairs=600)
    fit.made.clear()
    made = Scored.of(fit, photos.of(pairs), 0, null_pairs=600)
    assert np.array_equal(kept.observed, made.observed)
    assert np.array_equal(kept.null, made.null)
    assert torch.equal(kept.null_row, made.null_row)


def test_other_pairs_or_another_seed_get_scores_of_their_own():
    pairs = rooted(world(600, 0.3, seed=1)[0])
    fit = calibrated.learn(pairs, options("csls"))
    for asked, seed in ((pairs.head(300), 0), (rooted(world(600, 0.3, seed=2)[0]), 0), (pairs, 5)):
        found = Scored.of(fit, asked, seed)
        fit.made.clear()
        alone = Scored.of(fit, asked, seed)
        assert np.array_equal(found.observed, alone.observed)
        assert np.array_equal(found.null, alone.null)


@pytest.mark.parametrize("captions", [1, 5])
@pytest.mark.parametrize("scorer", ["csls", "bicro"])
def test_pairs_scored_in_parts_for_want_of_memory_get_the_same_scores(scorer, captions):
    pairs, _ = world(600, 0.2)
    photo = torch.arange(600) // captions
    pairs = replace(pairs, image=pairs.image[photo * captions], image_id=photo)
    fit = calibrated.learn(pairs.head(400), options(scorer))
    apply, sizes = scorers.applier(fit, CPU), []

    def limited(part):
        sizes.append(len(part))
        if len(part) > 100:
            raise torch.OutOfMemoryError
        return apply(part)

    parts, whole = calibrated.within_memory(limited, pairs), apply(pairs)
    assert sizes[:3] == [600, 300, 150]
    assert sum(size for size in sizes if size <= 100) == 600
    for name in ("score", "similarity", "image_anchor", "is_anchor"):
        one, other = getattr(parts, name), getattr(whole, name)
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, equal_nan=True)


def test_no_memory_for_the_pairs_of_one_photo_is_an_error():
    def never(part):
        raise torch.OutOfMemoryError

    pairs, _ = world(60, 0.2)
    with pytest.raises(NcauditError, match="no memory to score the pairs of a single photo"):
        calibrated.within_memory(never, pairs)

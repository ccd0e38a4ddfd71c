"""Suggestions: the photo's own captions where it has others, hardly any where nothing fits; what the number means."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit import NcauditError, ScoreOptions
from ncaudit.schema import SCORE, SUGGESTION
from ncaudit.verbs.score.score import ScoreResult
from ncaudit.verbs.score.suggestions import LEAST, _equal_odds

Rows = list[dict[str, Any]]


def write(
    folder: Path, seen: np.ndarray, photo: np.ndarray, *, noise: float, words: bool = True, seed: int = 1
) -> Path:
    """One row per row of `seen`, (n, d): a photo of it, and a caption of it or, for a share of the rows, of another."""
    draw = np.random.default_rng(seed)
    n, dims = seen.shape
    of_row, wrong = np.arange(n), draw.permutation(n)[: round(noise * n)]
    of_row[wrong] = np.roll(wrong, 1)
    said = (seen + 0.15 * draw.normal(size=seen.shape) / dims**0.5)[of_row]
    columns: dict[str, Any] = {"image_embedding": list(seen.astype("f4")), "text_embedding": list(said.astype("f4"))}
    columns["image_hash"] = [str(number) for number in photo]
    columns |= {"caption": [f"caption {number}" for number in of_row]} if words else {}
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({**columns, "of_row": of_row}), folder / "a.parquet")
    return folder


def strangers(n: int, dims: int = 32, seed: int = 0) -> np.ndarray:
    """Scenes that have nothing in common."""
    return np.random.default_rng(seed).normal(size=(n, dims)) / dims**0.5


def score(embeddings: Path, out: Path | str, **options: object) -> ScoreResult:
    asked = {"scorer": "csls", "check": False, "suggest": True, "device": "cpu", **options}
    return ncaudit.score(ScoreOptions(embeddings=[str(embeddings)], out=str(out), **asked))


def rows(out: Path) -> Rows:
    return pq.read_table(out / "a.parquet").to_pylist()


def of(pair_id: str) -> int:
    return int(pair_id.split("/")[-1])


@pytest.fixture(scope="module")
def albums(tmp_path_factory) -> Path:
    """400 photos with three captions each, a fifth of them swapped."""
    return write(tmp_path_factory.mktemp("albums"), strangers(400).repeat(3, axis=0), np.arange(1200) // 3, noise=0.2)


@pytest.fixture(scope="module")
def loners(tmp_path_factory) -> Path:
    """1,000 photos with one caption each, four of ten swapped."""
    return write(tmp_path_factory.mktemp("loners"), strangers(1_000, dims=12), np.arange(1_000), noise=0.4)


@pytest.fixture(scope="module")
def album_scores(albums, tmp_path_factory) -> tuple[ScoreResult, Rows]:
    out = tmp_path_factory.mktemp("scores")
    return score(albums, out), rows(out)


def test_a_photos_own_clean_caption_is_suggested_with_the_label_that_it_has_there(album_scores):
    _, table = album_scores
    suggested = [(of(row["pair_id"]), row) for row in table if row["suggested_pair"]]
    noisy = sum(row["verdict"] == "noisy" for row in table)
    assert len(suggested) > 0.7 * noisy > 100
    own = [
        (row, table[of(row["suggested_pair"])]) for at, row in suggested if of(row["suggested_pair"]) // 3 == at // 3
    ]
    assert len(own) > 0.9 * len(suggested)
    for row, source in own:
        assert source["verdict"] == "clean"
        assert row["suggested_probability"] == source["soft_label"]
        assert row["suggested_caption"] == source["caption"] != row["caption"]


def test_only_noisy_pairs_get_a_suggestion_and_never_a_number_below_the_least(album_scores):
    result, table = album_scores
    for row in table:
        given = [row[name] is not None for name in SUGGESTION.names]
        assert all(given) or not any(given)
        assert not any(given) or (row["verdict"] == "noisy" and LEAST <= row["suggested_probability"] <= 1)
    assert result.suggestions == sum(row["suggested_pair"] is not None for row in table)


@pytest.mark.parametrize("scorer", ["csls", "clip-score", pytest.param("bicro", marks=pytest.mark.slow)])
def test_where_no_caption_fits_hardly_any_is_suggested(scorer, loners, tmp_path):
    score(loners, tmp_path / "s", scorer=scorer)
    noisy = [row for row in rows(tmp_path / "s") if row["verdict"] == "noisy"]
    assert len(noisy) > 300
    assert sum(row["suggested_pair"] is not None for row in noisy) < 0.05 * len(noisy)


def test_where_all_pairs_are_random_hardly_any_caption_is_suggested(tmp_path):
    score(write(tmp_path / "e", strangers(900), np.arange(900), noise=0.9), tmp_path / "s")
    assert sum(row["suggested_pair"] is not None for row in rows(tmp_path / "s")) < 0.05 * 900


def test_a_suggestion_is_of_the_same_scene_far_more_often_than_chance(tmp_path):
    # every tenth scene was photographed twice: the twin's caption fits, and most photos have no twin
    seen = strangers(1_500)
    scene = np.concatenate([np.arange(1_500), np.arange(0, 1_500, 10)])
    blurred = seen[scene] + 0.05 * strangers(len(scene), seed=5)
    score(write(tmp_path / "e", blurred, np.arange(len(scene)), noise=0.3), tmp_path / "s")
    given = [row for row in rows(tmp_path / "s") if row["suggested_pair"]]
    right = [scene[of(row["pair_id"])] == scene[of(row["suggested_pair"])] for row in given]
    assert len(given) > 20
    assert np.mean(right) > 0.5  # by chance 1 in 1,500


def test_tables_without_captions_name_the_pair_alone(tmp_path):
    embeddings = write(tmp_path / "e", strangers(200).repeat(3, axis=0), np.arange(600) // 3, noise=0.2, words=False)
    score(embeddings, tmp_path / "s")
    given = [row for row in rows(tmp_path / "s") if row["suggested_pair"]]
    assert given
    assert all(row["suggested_caption"] is None for row in given)


def test_the_columns_come_when_asked_for_and_then_finished_shards_are_written_again(albums, tmp_path):
    score(albums, tmp_path / "s", suggest=False)
    assert pq.read_schema(tmp_path / "s/a.parquet").names[: len(SCORE) + 1] == [*SCORE.names, "caption"]
    assert score(albums, tmp_path / "s").accounting.shards_resumed == 0
    schema = pq.read_schema(tmp_path / "s/a.parquet")
    assert schema.names[len(SCORE) :][: len(SUGGESTION)] == SUGGESTION.names
    assert [schema.field(name).type for name in SUGGESTION.names] == SUGGESTION.types
    before = (tmp_path / "s/a.parquet").read_bytes()
    again = score(albums, tmp_path / "s")
    assert (again.accounting.shards_resumed, again.suggestions > 100) == (1, True)
    score(albums, tmp_path / "s", refit=True)
    assert (tmp_path / "s/a.parquet").read_bytes() == before


def test_the_users_dataset_gets_prefixed_columns(albums, album_scores, tmp_path):
    score(albums, tmp_path / "s", data=[str(albums)])
    written = pq.read_table(tmp_path / "s/a.parquet")
    for name in SUGGESTION.names:
        assert written[f"ncaudit_{name}"].to_pylist() == [row[name] for row in album_scores[1]]


def test_with_a_saved_fit_captions_come_from_the_tables_at_hand(albums, album_scores, tmp_path):
    score(albums, tmp_path / "s", suggest=False, save_fit=str(tmp_path / "fit"))
    score(albums, tmp_path / "t", fit=str(tmp_path / "fit"))
    assert rows(tmp_path / "t") == album_scores[1]
    new = write(
        tmp_path / "e", strangers(200, seed=7).repeat(3, axis=0), 1_000 + np.arange(600) // 3, noise=0.2, seed=8
    )
    score(new, tmp_path / "u", fit=str(tmp_path / "fit"))
    given = [row for row in rows(tmp_path / "u") if row["suggested_pair"]]
    assert len(given) > 50
    assert {row["suggested_caption"] for row in given} <= {row["caption"] for row in rows(tmp_path / "u")}


def test_without_a_calibration_it_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(NcauditError, match="no pair is called noisy") as told:
        score(write(tmp_path / "e", strangers(40), np.arange(40), noise=0.2), tmp_path / "s.parquet")
    assert "at least 50 pairs" in told.value.fix
    assert not (tmp_path / "s.parquet").exists()


def test_equal_odds_by_hand():
    # strangers 1, 2, 3 (and one to come at 6), own 3, 5, 6: alone below 3, at 3 one of either (1/3 to 1/4), above
    # two own to one stranger (2/3 to 1/4)
    worth = _equal_odds(np.array([3.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0]))
    known = {1.0: 0.0, 2.0: 0.0, 3.0: 4 / 7, 5.0: 8 / 11, 6.0: 8 / 11, 9.0: 8 / 11}
    found = [float(worth.of(worth.at.new_tensor(score))) for score in known]
    np.testing.assert_allclose(found, list(known.values()))

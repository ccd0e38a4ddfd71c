"""Why a pair should be looked at: counts over all shards, and the first reason that holds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import ncaudit
from ncaudit import ScoreOptions
from ncaudit.schema import VERDICTS
from ncaudit.scoring import same_photo
from ncaudit.scoring.pairs import Pairs
from ncaudit.shards.tables.repeats.counts import count_pairs
from ncaudit.verbs.score.reasons import OFTEN, Family, columns
from tests.worlds.embeddings import unit

CLEAN, UNSURE, NOISY = range(len(VERDICTS))
NO_FAMILY = Family(*(np.empty(0, dtype=np.int64) for _ in range(3)))


def reasons(photo: list[int], caption: list[int], verdict: int | list[int] | None, family: Family = NO_FAMILY) -> dict:
    photos, captions = np.array(photo, dtype=np.int64), np.array(caption, dtype=np.int64)
    told = None if verdict is None else np.broadcast_to(np.array(verdict, dtype=np.int64), len(photos))
    found = columns(photos, photos, captions, told, family, count_pairs([(photos, captions)]))
    return {name: list(values) for name, values in found.items()}


def test_a_photo_with_many_captions_is_a_placeholder_unless_it_is_clean():
    photo, caption = [7] * 12 + [8], [*range(12), 50]
    assert reasons(photo, caption, NOISY)["reason"] == ["placeholder_image"] * 12 + ["mismatch"]
    assert reasons(photo, caption, UNSURE)["reason"] == ["placeholder_image"] * 12 + [None]
    assert reasons(photo, caption, CLEAN)["reason"] == [None] * 13
    assert reasons(photo, caption, NOISY)["image_count"] == [12] * 12 + [1]


def test_a_caption_on_many_photos_is_generic_unless_it_is_clean():
    found = reasons([*range(12), 50], [7] * 12 + [8], [NOISY] * 6 + [CLEAN] * 7)
    assert found["reason"] == ["generic_caption"] * 6 + [None] * 7
    assert found["caption_count"] == [12] * 12 + [1]


def test_few_repeats_are_a_coincidence():
    many, few = list(range(OFTEN)), list(range(OFTEN - 1))
    assert set(reasons([7] * OFTEN, many, UNSURE)["reason"]) == {"placeholder_image"}
    assert set(reasons([7] * len(few), few, UNSURE)["reason"]) == {None}


def test_a_copy_of_a_clean_pair_is_a_duplicate_and_of_a_noisy_one_a_mismatch():
    assert reasons([1, 1, 2], [5, 5, 6], CLEAN)["reason"] == ["duplicate", "duplicate", None]
    assert reasons([1, 1, 2], [5, 5, 6], NOISY)["reason"] == ["mismatch"] * 3
    assert reasons([1, 1, 2], [5, 5, 6], None)["reason"] == ["duplicate", "duplicate", None]


def test_the_photo_is_blamed_before_the_caption_and_the_caption_before_the_pair():
    # photo 0 has captions 0 to 11, caption 0 has photos 0 to 11: the pair (0, 0) is both
    photo, caption = [0] * 12 + [*range(1, 12)], [*range(12)] + [0] * 11
    assert reasons(photo, caption, NOISY)["reason"] == ["placeholder_image"] * 12 + ["generic_caption"] * 11


def test_copies_of_one_pair_are_no_placeholder():
    assert set(reasons([7] * 12, [5] * 12, NOISY)["reason"]) == {"mismatch"}


def test_near_equal_photos_are_counted_as_one():
    draw = np.random.default_rng(0)
    image = torch.nn.functional.normalize(torch.tensor(draw.normal(size=(40, 16)), dtype=torch.float32))
    image[:12] = torch.nn.functional.normalize(image[0] + 1e-4 * torch.tensor(draw.normal(size=(12, 16))).float())
    ids = torch.arange(40) + 100
    pairs = Pairs(image, image, ids, torch.arange(40), [str(i) for i in range(40)])
    photos = same_photo.find(pairs)
    rows = [*ids.tolist(), 103]  # a byte-equal copy of one of them too
    repeats = count_pairs([(np.array(rows), np.arange(41))])
    merged = photos.of(pairs).image_id.numpy()
    verdict = np.full(40, UNSURE)
    found = columns(ids.numpy(), merged, np.arange(40), verdict, Family.of(photos, repeats), repeats)
    assert found["image_count"].tolist() == [13] * 12 + [1] * 28
    assert found["reason"].tolist() == ["placeholder_image"] * 12 + [None] * 28


def two_shards(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two shards of 200 pairs: photo 0 and caption 0 are all over both. Returns photo, caption and ok of the rows."""
    draw, n = np.random.default_rng(0), 400
    photo, caption, seen = np.arange(n), np.arange(n), draw.normal(size=(n, 16))
    placeholder, generic, copies = np.arange(0, 400, 33), np.arange(1, 400, 33), np.array([5, 205])
    photo[placeholder], caption[generic] = 1_000, 2_000
    photo[copies], caption[copies] = 3_000, 3_000
    image, text = seen.copy(), seen + 0.15 * draw.normal(size=(n, 16))
    image[placeholder], text[generic] = draw.normal(size=16), draw.normal(size=16)
    image[copies], text[copies] = seen[5], seen[5]
    ok = ~np.isin(np.arange(n), [0, 201])  # one of them is a placeholder
    image[201] = 0  # and one has no direction
    folder.mkdir()
    for number in range(2):
        rows = slice(200 * number, 200 * (number + 1))
        table = pa.table(
            {
                "image_embedding": pa.array(np.nan_to_num(unit_or_zero(image[rows])).tolist(), pa.list_(pa.float32())),
                "text_embedding": pa.array(unit(text[rows]).astype(np.float32).tolist(), pa.list_(pa.float32())),
                "image_hash": pa.array([f"photo {i}" for i in photo[rows]]),
                "caption": pa.array([f"caption {i}" for i in caption[rows]]),
                "status": pa.array(["image_missing" if i == 0 else "ok" for i in range(n)[rows]]),
            }
        )
        pq.write_table(table, folder / f"{number}.parquet")
    return photo, caption, ok


def unit_or_zero(rows: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(length > 0, length, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reasons")
    truth = two_shards(folder / "e")
    options = ScoreOptions(embeddings=[str(folder / "e")], out=str(folder / "s"), scorer="csls", check=False)
    result = ncaudit.score(options)
    table = pa.concat_tables([pq.read_table(folder / f"s/{number}.parquet") for number in range(2)])
    return result, table.to_pandas(), *truth


def test_counts_are_exact_over_all_shards(scored):
    _, table, photo, caption, _ = scored
    with_hash = np.array([i != 0 for i in range(400)])  # the status says it failed; a zero vector has its hash still
    for column, ids in (("image_count", photo), ("caption_count", caption)):
        values, rows = np.unique(ids[with_hash], return_counts=True)
        known = dict(zip(values.tolist(), rows.tolist(), strict=True))
        given = table[column][table["status"] == "ok"]
        assert (np.abs(given.to_numpy() - [known[i] for i in ids[given.index]]) <= (ids[given.index] == ids[201])).all()
    assert table["image_count"][33] == 12
    assert table["caption_count"][1] == 13


def test_failed_rows_have_no_counts_no_label_and_no_reason(scored):
    result, table, _, _, ok = scored
    assert table["status"][~ok].tolist() == ["image_missing", "embedding_invalid"]
    assert table.loc[~ok, ["caption_count", "image_count", "reason", "soft_label", "verdict"]].isna().all(axis=None)
    assert result.accounting.ok == int(ok.sum()) == table["soft_label"].notna().sum()


def test_every_kind_of_reason_reaches_the_table_and_the_summary(scored):
    result, table, _, _, _ = scored
    assert (table["reason"][33:400:33] == "placeholder_image").all()
    assert (table["reason"][1:400:33] == "generic_caption").mean() > 0.9
    assert table["reason"][[5, 205]].tolist() == ["duplicate", "duplicate"]
    assert result.reasons == table["reason"].value_counts().to_dict()
    assert result.verdicts == table["verdict"].value_counts().to_dict()

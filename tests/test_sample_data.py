"""The committed sample: what its makers draw today is what is in the files, and the files are what they claim to be."""

import hashlib
import io
import sys
from collections import Counter
from random import Random

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from tests.worlds.sample import SAMPLE

sys.path.insert(0, str(SAMPLE))  # the makers are scripts, not part of the package

import make
import tiny_clip
from drawing import placeholder, render
from grammar import describe, stated_facts, text
from noise import COUNTS, add_noise, clean_pairs
from scenes import false_facts, random_scene, split_scenes, truth

MODEL = SAMPLE / "tiny-clip"
COLUMNS = ["key", "jpg", "caption", "is_match", "noise_type", "truth"]
PIXEL_HASHES = {  # the start of SHA-256, before JPEG
    0: "565ad34e48513539",
    1: "770e445241e309ea",
    2: "a2e2dacb162fd954",
    500: "0ca9e34c722df2c0",
    999: "b78288a9462745cb",
}
HELDOUT_RECALL = {1: 24.4, 10: 69.7}  # as `make.py` printed it when the weights were made


@pytest.fixture(scope="module")
def scenes():
    return split_scenes(make.SEED, **make.SPLITS)


@pytest.fixture(scope="module")
def pairs(scenes):
    return add_noise(clean_pairs(scenes["train"], "train"), "train")


@pytest.fixture(scope="module")
def train():
    return pq.read_table(SAMPLE / "train.parquet")


@pytest.fixture(scope="module")
def heldout():
    return pq.read_table(SAMPLE / "heldout.parquet")


@pytest.mark.parametrize("row", PIXEL_HASHES)
def test_the_same_seed_draws_the_same_pixels(row, scenes):
    pair = clean_pairs(scenes["heldout"], "heldout")[row]
    assert hashlib.sha256(render(pair.scene, pair.seed).tobytes()).hexdigest()[:16] == PIXEL_HASHES[row]


def test_the_stored_pictures_are_the_drawn_ones(heldout, scenes):
    for row in (0, 500, 999):
        pair = clean_pairs(scenes["heldout"], "heldout")[row]
        stored = np.asarray(Image.open(io.BytesIO(heldout["jpg"][row].as_py())), dtype=float)
        assert np.abs(stored - render(pair.scene, pair.seed)).mean() < 8  # what JPEG loses; a wrong picture is at 40


def test_the_stored_captions_and_truths_are_the_made_ones(train, pairs):
    assert train["caption"].to_pylist() == [text(pair.caption) for pair in pairs]
    assert train["noise_type"].to_pylist() == [pair.noise_type for pair in pairs]
    assert train["is_match"].to_pylist() == [pair.is_match for pair in pairs]
    np.testing.assert_allclose(train["truth"].to_numpy(), [pair.truth for pair in pairs], rtol=1e-6)


def test_every_kind_of_noise_has_its_exact_count(train):
    assert Counter(train["noise_type"].to_pylist()) == {"none": 1400, **COUNTS}
    assert sum(COUNTS.values()) == 600


def test_both_tables_have_the_same_columns_and_no_null(train, heldout):
    for table, rows in ((train, 2000), (heldout, 1000)):
        assert (table.column_names, table.num_rows) == (COLUMNS, rows)
        assert all(column.null_count == 0 for column in table.columns)
    assert not set(train["key"].to_pylist()) & set(heldout["key"].to_pylist())


def test_a_match_states_facts_and_all_of_them_hold(train, heldout):
    for table in (train, heldout):
        assert table["is_match"].to_pylist() == [share == 1 for share in table["truth"].to_pylist()]
    assert all(heldout["is_match"].to_pylist())


def test_only_clean_and_cut_off_captions_match(train):
    kinds = zip(train["noise_type"].to_pylist(), train["is_match"].to_pylist(), strict=True)
    matching = Counter(kind for kind, match in kinds if match)
    assert set(matching) == {"none", "truncated"}
    assert matching["none"] == 1400


def test_a_near_miss_is_wrong_in_exactly_one_fact(pairs):
    wrong = [false_facts(stated_facts(p.caption), p.scene) for p in pairs if p.noise_type == "near_miss"]
    assert wrong == [1] * COUNTS["near_miss"]


def test_half_of_the_placeholders_are_equal_bytes_and_all_look_alike(train):
    kinds, images = train["noise_type"].to_pylist(), train["jpg"].to_pylist()
    images = [image for image, kind in zip(images, kinds, strict=True) if kind == "placeholder"]
    assert Counter(images).most_common(1)[0][1] == 30
    decoded = [np.asarray(Image.open(io.BytesIO(image)), dtype=float) for image in images]
    assert max(np.abs(image - placeholder()).mean() for image in decoded) < 8


def test_a_fresh_caption_is_always_wholly_true():
    rng = Random("any scene")
    for i in range(500):
        scene = random_scene(rng)
        assert truth(stated_facts(describe(scene, Random(i))), scene) == 1


def test_no_scene_is_in_two_splits(scenes):
    everywhere = [scene for part in scenes.values() for scene in part]
    assert len(set(everywhere)) == len(everywhere) == 34_000


def test_everything_stays_below_8_mb():
    paths = [*SAMPLE.glob("*.parquet"), *MODEL.iterdir()]
    assert len(paths) == 5
    assert sum(path.stat().st_size for path in paths) < 8_000_000


def test_stock_open_clip_loads_the_model_and_its_tokenizer():
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{MODEL}", require_pretrained=True)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{MODEL}", bpe_path=str(MODEL / tiny_clip.MERGES))
    with torch.no_grad():
        image = model.eval().encode_image(preprocess(Image.fromarray(placeholder()))[None])
        caption = model.encode_text(tokenizer(["a red circle", "今日は"]))
    assert image.shape == (1, 96)
    assert caption.shape == (2, 96)
    assert tokenizer.vocab_size == model.token_embedding.num_embeddings


def test_the_pruned_tokenizer_cuts_known_words_as_the_stock_one_does(heldout):
    stock, pruned = open_clip.SimpleTokenizer(), tiny_clip.load(MODEL)[1]
    for caption in heldout["caption"].to_pylist()[:200]:
        cuts = [[t.decoder[token] for token in t.encode(caption)] for t in (stock, pruned)]
        assert cuts[0] == cuts[1]


def test_retrieval_of_the_heldout_pairs_is_what_was_recorded(heldout):
    image, caption = make.embed_table(SAMPLE, heldout)
    for k, recorded in HELDOUT_RECALL.items():
        assert make.recall(image, caption, k) == pytest.approx(recorded, abs=2)

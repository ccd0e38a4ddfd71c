"""Some of the pictures, to compare on: whose they are, how many, and that a large batch is no reason to refuse."""

import pytest
import torch

from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.open_clip import load_encoder
from ncaudit.errors import NcauditError
from ncaudit.options import ModelOptions, TrainOptions
from ncaudit.verbs.train.data import decoded_pairs
from ncaudit.verbs.train.data.decoded_pairs import sampled_pairs
from ncaudit.verbs.train.data.split import held_out
from tests.worlds.sample import SAMPLE, TINY

TRAIN = str(SAMPLE / "train.parquet")


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(ModelOptions(model=f"local-dir:{TINY}", device="cpu", precision="float32"))


def sampled(encoder, most, **changes):
    options = TrainOptions(out="o", data=[TRAIN], model=f"local-dir:{TINY}", objective="auto", **changes)
    with DecodePool(0) as pool:
        return sampled_pairs(options, encoder, pool, most)


def test_about_as_many_as_asked_for_come_in_random_order_and_none_that_validates(encoder):
    pairs = sampled(encoder, 300, val_share=0.2)
    assert len(pairs) == pytest.approx(300, abs=60)
    assert not held_out(pairs.photo.numpy(), share=0.2, seed=0).any()
    assert pairs.pair_id != sorted(pairs.pair_id)
    assert torch.equal(pairs.photo, sampled(encoder, 300, val_share=0.2).photo)


def test_large_pictures_make_the_sample_smaller(encoder, monkeypatch):
    monkeypatch.setattr(decoded_pairs, "SAMPLED_BYTES", 100 * 64 * 64 * 3)
    assert len(sampled(encoder, 3_000)) == pytest.approx(100, abs=40)


def test_a_batch_may_be_larger_than_the_sample_but_not_than_all_pairs(encoder):
    assert len(sampled(encoder, 200, batch_pairs=1_500)) < 1_500
    with pytest.raises(NcauditError, match="a batch takes 5,000"):
        sampled(encoder, 5_000, batch_pairs=5_000)

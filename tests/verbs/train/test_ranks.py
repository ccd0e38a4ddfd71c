"""What one of several ranks is given: a share of the batch, and nothing decoded beyond it."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from ncaudit.encoders import decode_pool
from ncaudit.encoders.decode_pool import DecodePool
from ncaudit.encoders.images import Preprocess
from ncaudit.engines.ranks import ALONE, Ranks
from ncaudit.errors import UsageError
from ncaudit.options import TrainOptions
from ncaudit.progress import SILENT
from ncaudit.shards.columns import find_columns
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard
from ncaudit.verbs.train import ranks as training_ranks
from ncaudit.verbs.train.data.decoded_pairs import Decoding, HeldPairs, StreamedPairs, read_all
from ncaudit.verbs.train.data.labelled_shards import LabelledShard
from ncaudit.verbs.train.ranks import for_rank
from tests.worlds.sample import SAMPLE

PAIRS, BATCH = 26, 8
OPTIONS = TrainOptions(scores=["s"], data=["d"], out="o", batch_pairs=BATCH, device="cpu")


def test_a_process_that_is_alone_keeps_its_options():
    assert for_rank(OPTIONS, ALONE) is OPTIONS


def test_the_processes_of_a_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(decode_pool, "cores", lambda: 7)
    assert for_rank(OPTIONS, Ranks(1, 8, 1, 2)).workers == 3
    assert for_rank(OPTIONS, Ranks(1, 8, 1, 8)).workers == 1
    assert for_rank(replace(OPTIONS, workers=5), Ranks(1, 8, 1, 8)).workers == 5
    assert for_rank(replace(OPTIONS, threads=4), Ranks(1, 8, 1, 2)).workers == 2


def test_each_process_takes_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setattr(training_ranks, "pick_device", torch.device)
    ranks = Ranks(rank=5, count=8, local=1, local_count=4)
    assert for_rank(replace(OPTIONS, device="cuda"), ranks).device == "cuda:1"
    assert for_rank(replace(OPTIONS, device="cuda:3"), ranks).device == "cuda:3"
    assert for_rank(OPTIONS, ranks).device == "cpu"


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(UsageError) as error:
        for_rank(OPTIONS, Ranks(0, 3))
    assert error.value.message == "--batch-pairs is 8, which 3 processes cannot share"
    assert "multiple of 3" in error.value.fix


def test_batchnorm_cannot_be_trained_on_shares():
    with pytest.raises(UsageError, match="--train-batchnorm needs whole batches"):
        for_rank(replace(OPTIONS, train_batchnorm=True), Ranks(0, 2))


class Counting(DecodePool):
    """Knows how many images it was given."""

    given = 0

    def submit(self, images, *rest):
        self.given += len(images)
        return super().submit(images, *rest)


@pytest.fixture
def pairs(tmp_path):
    """The first pairs of the sample, held and streamed, with what decodes them."""
    rows = pq.read_table(SAMPLE / "train.parquet", columns=["key", "jpg", "caption"]).slice(0, PAIRS)
    pq.write_table(rows, tmp_path / "00000.parquet")
    (shard,) = find_shards([str(tmp_path)])
    columns = find_columns(open_shard(shard).schema, shard.name, OPTIONS, key="key", carry=[])
    shards = [LabelledShard(shard, columns, None, "soft_label", None)]
    preprocess = Preprocess.of({"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3})
    with Counting(0) as pool:
        decoding = Decoding(pool, preprocess, 10**8)

        def tokenize(captions):
            return torch.tensor([[len(caption)] for caption in captions])

        held = HeldPairs(preprocess)
        read_all(shards, decoding, lambda window, pixels: held.add(pixels, window, tokenize), SILENT)
        streamed = StreamedPairs(shards, decoding, tokenize, lambda window: np.ones(len(window), dtype=bool), PAIRS)
        yield {"held": held, "streamed": streamed}, pool


@pytest.mark.parametrize("kind", ["held", "streamed"])
@pytest.mark.parametrize("count", [2, 4])
def test_the_batches_of_all_ranks_together_are_those_of_one_process(pairs, kind, count):
    source, _ = pairs
    whole = list(source[kind].batches(1, batch_pairs=BATCH, seed=3))
    assert len(whole) == PAIRS // BATCH
    parts = [
        source[kind].batches(1, batch_pairs=BATCH, seed=3, rows=Ranks(rank, count).share(BATCH))
        for rank in range(count)
    ]
    for batch, *shares in zip(whole, *parts, strict=True):
        assert [len(share) for share in shares] == [BATCH // count] * count
        for name in ("image", "text", "label", "photo", "caption"):
            assert torch.equal(torch.cat([getattr(share, name) for share in shares]), getattr(batch, name)), name
        assert [name for share in shares for name in share.pair_id] == list(batch.pair_id)


def test_a_rank_decodes_its_own_share_only(pairs):
    source, pool = pairs
    before = pool.given
    batches = list(source["streamed"].batches(1, batch_pairs=BATCH, seed=0, rows=Ranks(1, 4).share(BATCH)))
    assert pool.given - before == len(batches) * BATCH // 4

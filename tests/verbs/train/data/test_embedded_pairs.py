"""Embeddings at hand for training: the same from memory and from the spool, which leaves nothing behind."""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from ncaudit.errors import NcauditError
from ncaudit.verbs.train.data import embedded_pairs
from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, record_type

N = 50


def records(n: int = N) -> np.ndarray:
    made = np.zeros(n, dtype=record_type(6, 4))
    made["image"] = np.arange(n * 6).reshape(n, 6)
    made["text"] = -np.arange(n * 4).reshape(n, 4)
    made["label"], made["photo"], made["caption"] = np.linspace(0, 1, n), np.arange(n) // 2, np.arange(n)
    return made


def filled(folder: Path) -> EmbeddedPairs:
    pairs = EmbeddedPairs(6, 4, at_most=2 * N, folder=str(folder))
    for part in np.split(records(), [13, 13, 40]):
        pairs.add(part)
    return pairs


@pytest.fixture(params=[2**30, 0], ids=["held", "spooled"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(embedded_pairs, "HELD_BYTES", request.param)
    return tmp_path / "out"


def test_every_pair_comes_back_as_it_was_added(folder):
    with filled(folder) as pairs:
        assert len(pairs) == N
        places = np.array([49, 0, 13, 13, 39])
        assert (pairs.take(places) == records()[places]).all()


def test_an_epoch_is_a_pure_function_of_seed_and_number_and_takes_no_pair_twice(folder):
    with filled(folder) as pairs:
        epochs = []
        for epoch, seed in ((1, 0), (2, 0), (1, 0), (1, 7)):
            batches = list(pairs.batches(epoch, batch_pairs=12, seed=seed))
            assert [len(batch) for batch in batches] == [12] * 4
            epochs.append(torch.cat([batch.caption for batch in batches]).tolist())
    first, second, again, other = epochs
    assert first == again
    assert first != second
    assert first != other
    assert len(set(first)) == 48


def test_rows_of_a_batch_are_its_own_pairs(folder):
    with filled(folder) as pairs:
        whole = next(pairs.batches(1, batch_pairs=12, seed=0))
        part = next(pairs.batches(1, batch_pairs=12, seed=0, rows=slice(3, 6)))
        assert torch.equal(part.image, whole.image[3:6])
        assert torch.equal(whole.image, torch.from_numpy(records()["image"][whole.caption.numpy()]))
        assert torch.equal(whole.text, torch.from_numpy(records()["text"][whole.caption.numpy()]))
        assert torch.equal(whole.photo, whole.caption // 2)


def test_some_pairs_alone_come_again_until_there_are_as_many_batches(folder):
    among = np.arange(N) % 5 == 0  # 10 of 50
    with filled(folder) as pairs:
        batches = list(pairs.places(1, batch_pairs=12, seed=0, among=among))
    assert [len(batch) for batch in batches] == [12] * 4
    seen = np.concatenate(batches)
    assert set(seen) == set(np.flatnonzero(among))
    assert set(np.unique(seen, return_counts=True)[1]) <= {4, 5}  # the last of five passes is cut short


def test_held_and_spooled_batches_are_the_same(tmp_path, monkeypatch):
    seen = []
    for size in (2**30, 0):
        monkeypatch.setattr(embedded_pairs, "HELD_BYTES", size)
        monkeypatch.setattr(embedded_pairs, "MAPPED_BYTES", 0)  # pages are given back after every batch
        with filled(tmp_path) as pairs:
            seen.append(list(pairs.batches(1, batch_pairs=12, seed=0)))
    for held, spooled in zip(*seen, strict=True):
        assert all(torch.equal(getattr(held, name), getattr(spooled, name)) for name in records().dtype.names)


def test_nothing_is_left_of_the_spool(folder):
    with filled(folder) as pairs:
        assert len(list(pairs.batches(1, batch_pairs=12, seed=0))) == 4
    assert not folder.exists() or not list(folder.iterdir())


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_pairs, "HELD_BYTES", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    pairs = EmbeddedPairs(6, 4, at_most=10**6, folder=str(tmp_path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # bytes a file may have
    try:
        with pytest.raises(NcauditError, match="cannot take the embeddings of all pairs: File too large") as error:
            pairs.add(records(1_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "make room" in error.value.fix

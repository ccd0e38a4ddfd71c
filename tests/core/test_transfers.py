"""Copies that nobody waits for give the numbers of others: on a CPU, and on a GPU where there is one."""

from itertools import count, islice

import numpy as np
import pytest
import torch

from ncaudit.core.transfers import Fetched, one_behind, sent, staged

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=NO_GPU)]


@pytest.mark.parametrize("name", DEVICES)
def test_what_is_staged_sent_and_fetched_is_what_it_was(name):
    device = torch.device(name)
    arrays = [np.random.default_rng(i).integers(256, size=(4, 5, 3), dtype=np.uint8) for i in range(3)]
    there = sent(staged(arrays, device), device)
    assert there.device.type == name
    assert Fetched(there).wait().tolist() == np.stack(arrays).tolist()


@pytest.mark.parametrize("name", DEVICES)
def test_batches_in_flight_keep_to_themselves(name):
    device = torch.device(name)
    batches = [torch.full((512, 512), float(i)) for i in range(40)]
    begun = (Fetched(sent(batch, device) @ torch.eye(512, device=device)) for batch in batches)
    for i, rows in enumerate(one_behind(begun)):
        assert (rows.wait() == i).all()


def test_what_was_fetched_is_an_ordinary_tensor():
    with torch.inference_mode():
        fetched = Fetched(torch.ones(2))
    rows = fetched.wait()
    rows += 1  # a tensor of inference mode would refuse
    assert not rows.is_inference()
    assert fetched.wait().tolist() == [1, 1]  # a copy: whoever changes one changes nobody else's


def test_one_more_is_asked_for_before_one_is_handed_on_and_never_two():
    asked = count()
    handed = one_behind(iter(lambda: next(asked), 6))
    assert [(item, next(asked)) for item in islice(handed, 2)] == [(0, 2), (1, 4)]


def test_nothing_hands_on_nothing():
    assert list(one_behind([])) == []

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.lessons.judged.refining import believed, refined, restarts


def test_a_label_moves_by_a_fifth_and_is_nothing_below_a_tenth():
    label, now = np.array([0.5, 0.1, 0.125, 1.0], np.float32), np.array([0.9, 0.0, 0.0, 1.0], np.float32)
    assert refined(label, now) == pytest.approx([0.58, 0.0, 0.1, 1.0])


def test_a_pair_that_is_believed_more_never_has_the_smaller_label():
    now = np.linspace(0, 1, 50, dtype=np.float32)
    for label in (0.0, 0.3, 1.0):
        assert (np.diff(refined(np.full(50, label, np.float32), now)) >= 0).all()


def test_the_rounds_are_the_papers_shares_and_the_last_is_the_longest():
    assert restarts(45) == {6, 11, 16}
    for epochs in range(4, 60):
        begun = sorted(restarts(epochs))
        lengths = np.diff([1, *begun, epochs + 1])
        assert len(lengths) == 4
        assert lengths.min() >= 1
        assert lengths[-1] == lengths.max()


def test_a_pair_that_fits_is_believed_and_one_that_fits_nothing_is_not():
    generator = torch.Generator().manual_seed(0)
    image = normalize(torch.randn(60, 16, generator=generator), dim=1)
    text = image.clone()
    text[:10] = image[torch.arange(1, 11)]
    ids = torch.arange(60)
    told = believed(Pairs(image, text, ids, ids + 100, [""] * 60), torch.arange(40))
    assert told[:10].max() < 0.2
    assert told[10:].min() > 0.4

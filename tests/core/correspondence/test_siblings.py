"""The evidence of sibling captions, worked out by hand."""

import torch
from torch.testing import assert_close

from ncaudit.core.correspondence.siblings import LEAST, MOST, clean_ratio, sibling_evidence


def evidence(ratio: list[float], clean: list[float], there: list[bool]) -> torch.Tensor:
    return sibling_evidence(torch.tensor([ratio]), torch.tensor([clean]), torch.tensor([there]))


def test_the_mixed_ratio_is_unmixed() -> None:
    # observed = share · f1 + (1 - share) · f0, so f1/f0 = (observed/f0 - (1 - share)) / share: (2 - .36) / .64 = 2.5625
    assert_close(clean_ratio(torch.tensor([2.0]), both_clean=0.64), torch.tensor([2.5625]))


def test_with_only_clean_siblings_the_ratio_stays() -> None:
    assert clean_ratio(torch.tensor([0.5, 3.0]), both_clean=1.0).tolist() == [0.5, 3.0]


def test_no_ratio_is_beyond_what_a_sample_can_tell() -> None:
    assert_close(clean_ratio(torch.tensor([0.0, 1e9]), both_clean=0.5), torch.tensor([LEAST, MOST]))


def test_each_sibling_counts_as_far_as_it_is_clean() -> None:
    # log(.5 · 3 + .5) + log(.25 · .2 + .75) = log 2 + log .8
    assert_close(evidence([3.0, 0.2], [0.5, 0.25], [True, True]).exp(), torch.tensor([1.6]))


def test_a_sibling_that_is_surely_wrong_says_nothing() -> None:
    assert evidence([100.0, 0.05], [0.0, 0.0], [True, True]).tolist() == [0]


def test_a_sibling_that_does_not_resemble_the_caption_speaks_against_it() -> None:
    assert evidence([0.2], [0.9], [True]) < 0 < evidence([5.0], [0.9], [True])


def test_without_siblings_there_is_no_evidence() -> None:
    assert evidence([9.0, 0.1], [1.0, 1.0], [False, False]).tolist() == [0]

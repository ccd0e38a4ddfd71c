import torch
from torch.testing import assert_close

from ncaudit.core.correspondence.csls import crowding, csls_score


def test_csls_takes_both_neighbourhoods_from_twice_the_similarity():
    # image's best captions .3 .1, caption's best images .4 .2: 2 * .5 - .2 - .3
    score = csls_score(torch.tensor([0.5]), crowding(torch.tensor([[0.3, 0.1]])), crowding(torch.tensor([[0.4, 0.2]])))
    assert_close(score, torch.tensor([0.5]))


def test_a_hub_caption_scores_lower():
    score = csls_score(torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.2]), torch.tensor([0.2, 0.45]))
    assert score[1] < score[0]


def test_missing_competitors_do_not_count_and_none_is_nan():
    value = crowding(torch.tensor([[0.4, -torch.inf], [-torch.inf, -torch.inf]]))
    assert_close(value, torch.tensor([0.4, torch.nan]), equal_nan=True)

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from ncaudit.core.metrics import retrieval
from ncaudit.core.metrics.retrieval import retrieval_metrics
from tests.worlds.embeddings import random_unit


def test_recalls_by_hand():
    image = torch.eye(3)
    text = normalize(torch.tensor([[9.0, 1, 0], [9, 0, 1], [0, 5, 9], [1, 0, 9]]), dim=1)  # 0, 0: right; 2: not 1's; 3
    result = retrieval_metrics(image, text, torch.tensor([0, 0, 1, 2]))
    # images: 0 finds its own first; 1's best caption is 2 (.49), which is its own; 2's best are 3 and then 2
    assert (result.i2t_r1, result.i2t_r5) == (100, 100)
    # captions: 0, 1 and 3 find their image first; caption 2 is nearer to image 2 than to its own
    assert (result.t2i_r1, result.t2i_r5, result.t2i_r10) == (75, 100, 100)
    assert result.rsum == 575
    assert (result.images, result.captions) == (3, 4)
    assert (result.i2t_median_rank, result.t2i_median_rank) == (1, 1)


def test_any_of_an_images_captions_is_right_and_the_others_do_not_count_against_it():
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    text = normalize(torch.tensor([[1.0, 0.0], [1.0, 9.0], [1.0, 3.0]]), dim=1)
    result = retrieval_metrics(image, text, torch.tensor([0, 0, 1]))
    assert result.i2t_r1 == 50  # image 0 finds its first caption; image 1 finds image 0's second
    assert retrieval_metrics(image, text, torch.tensor([0, 1, 1])).i2t_r1 == 100


def test_constant_embeddings_find_nothing():
    same = torch.ones(30, 4) / 2
    result = retrieval_metrics(same, same, torch.arange(30))
    assert result.rsum == 0
    assert result.i2t_median_rank == result.t2i_median_rank == 30


def test_random_embeddings_find_by_chance():
    result = retrieval_metrics(random_unit(1000, 32, 0), random_unit(1000, 32, 1), torch.arange(1000))
    assert result.i2t_r10 < 4
    assert 400 < result.t2i_median_rank < 600


def test_an_image_without_captions_asks_nothing_but_may_be_found():
    image = torch.eye(3)[[0, 1, 1]]
    result = retrieval_metrics(image, torch.eye(3)[:2], torch.tensor([0, 1]))
    assert result.images == 2
    assert result.t2i_r1 == 50  # image 2 equals image 1: a tie counts against


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), images=st.integers(1, 12), captions=st.integers(1, 30), entries=st.integers(1, 200))
def test_blocks_change_nothing_and_ranks_are_those_of_the_definition(seed, images, captions, entries):
    image, text = random_unit(images, 6, seed), random_unit(captions, 6, seed + 1)
    owner = torch.randint(0, images, (captions,), generator=torch.Generator().manual_seed(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "BLOCK_ENTRIES", entries)
        result = retrieval_metrics(image, text, owner)
    similarity = (image.double() @ text.double().T).tolist()
    owner = owner.tolist()
    i2t = [
        1
        + min(sum(row[w] >= row[c] for w in range(captions) if owner[w] != i) for c in range(captions) if owner[c] == i)
        for i, row in enumerate(similarity)
        if i in owner
    ]
    t2i = [
        1 + sum(similarity[i][c] >= similarity[owner[c]][c] for i in range(images) if i != owner[c])
        for c in range(captions)
    ]
    for ranks, found in (
        (i2t, (result.i2t_r1, result.i2t_r5, result.i2t_r10)),
        (t2i, (result.t2i_r1, result.t2i_r5, result.t2i_r10)),
    ):
        assert found == pytest.approx([100 * sum(rank <= k for rank in ranks) / len(ranks) for k in (1, 5, 10)])


def test_an_empty_test_set_has_no_recall():
    assert math.isnan(retrieval_metrics(torch.empty(0, 4), torch.empty(0, 4), torch.empty(0, dtype=torch.int64)).rsum)

import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.core.correspondence.assignment import Edges, log_sums


def table(edges: Edges, shares: torch.Tensor) -> torch.Tensor:
    found = torch.zeros(edges.pictures, edges.captions)
    found[edges.picture, edges.caption] = shares
    return found


def test_nothing_is_given_away_twice_and_every_picture_has_almost_one_caption():
    torch.manual_seed(0)
    image, text = (normalize(torch.randn(30, 6), dim=1) for _ in range(2))
    edges = Edges.between(image, text)
    assert len(edges.picture) == 900
    shares = table(edges, edges.shares(8.0))
    assert all(float(shares.sum(dim=side).max()) < 1 + 1e-5 for side in (0, 1))
    assert float(shares.sum(dim=1).min()) > 0.9


def test_of_two_pictures_that_want_one_caption_the_one_that_has_no_other_gets_it():
    # both are nearest to caption 0; picture 1 is near to caption 1, too
    image = normalize(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.9, 0.0]]), dim=1)
    text = normalize(torch.tensor([[1.0, 0.2, 0.0], [0.0, 1.0, 0.0]]), dim=1)
    similarity = image @ text.T
    assert similarity.argmax(dim=1).tolist() == [0, 0]
    edges = Edges.between(image, text)
    assert table(edges, edges.shares(20.0)).argmax(dim=1).tolist() == [0, 1]


def test_fewer_captions_than_pictures_leave_pictures_with_less_than_one():
    image = normalize(torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.9, 0.0]]), dim=1)
    shares = Edges.between(image, torch.tensor([[1.0, 0.0]])).shares(1.0)
    assert bool((shares <= 1).all())


def test_each_edge_is_there_once_and_only_between_near_rows():
    torch.manual_seed(1)
    image, text = normalize(torch.randn(40, 8), dim=1), normalize(torch.randn(50, 8), dim=1)
    edges = Edges.between(image, text, k=3)
    both = torch.stack([edges.picture, edges.caption])
    assert both.shape[1] == torch.unique(both, dim=1).shape[1] <= 3 * 90
    assert_close(edges.similarity, (image @ text.T)[edges.picture, edges.caption])
    similarity = image @ text.T
    wanted = set()
    for i, row in enumerate(similarity.topk(3, dim=1).indices.tolist()):
        wanted |= {(i, j) for j in row}
    for j, column in enumerate(similarity.T.topk(3, dim=1).indices.tolist()):
        wanted |= {(i, j) for i in column}
    assert set(zip(*both.tolist(), strict=True)) == wanted


def test_log_sums_of_large_numbers_do_not_overflow():
    found = log_sums(torch.tensor([1000.0, 1000.0, -1000.0]), torch.tensor([0, 0, 2]), 3)
    assert_close(found, torch.tensor([1000.6931, -torch.inf, -1000.0]))

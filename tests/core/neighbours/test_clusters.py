import torch
from torch.nn.functional import normalize

from ncaudit.core.neighbours.clusters import kmeans


def blobs(count=300):
    draw = torch.Generator().manual_seed(0)
    truth = torch.arange(count) % 3
    return normalize(torch.eye(16)[truth] + 0.1 * torch.randn(count, 16, generator=draw), dim=1), truth


def test_clear_groups_are_found():
    x, truth = blobs()
    found = kmeans(x, 3, seed=0)
    assert all(len(found[truth == group].unique()) == 1 for group in range(3))
    assert len(found.unique()) == 3


def test_the_same_seed_gives_the_same_groups():
    x, _ = blobs(500)
    assert torch.equal(kmeans(x, 20, seed=7), kmeans(x, 20, seed=7))


def test_more_clusters_than_rows_and_no_rows_at_all_are_fine():
    assert kmeans(torch.eye(4), 50, seed=0).max() < 4
    assert len(kmeans(torch.empty(0, 4), 3, seed=0)) == 0


def test_copies_share_a_group():
    x, _ = blobs(60)
    found = kmeans(torch.cat([x, x]), 10, seed=0)
    assert torch.equal(found[:60], found[60:])
    assert found.dtype == torch.int64


def test_nothing_is_printed(capfd):
    kmeans(blobs(30)[0], 10, seed=0)
    assert capfd.readouterr() == ("", "")

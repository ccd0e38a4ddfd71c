import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from ncaudit.core.neighbours import known
from ncaudit.core.neighbours.known import MORE, KnownNeighbours
from ncaudit.core.neighbours.search import nearest, prepare_keys

CPU = torch.device("cpu")


def rows(n, seed):
    return normalize(torch.randn(n, 64, generator=torch.Generator().manual_seed(seed)), dim=1)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 12), m=st.integers(1, 120), k=st.integers(1, 12), ids=st.integers(1, 8), copies=st.integers(1, 4)
)
def test_asked_again_with_other_groups_the_answer_is_that_of_a_search(n, m, k, ids, copies):
    draw = torch.Generator().manual_seed(n + m + k)
    queries, bank = rows(n, seed=1), prepare_keys(rows(m, seed=2)[torch.arange(m) // copies])
    remembered = KnownNeighbours(k, n, CPU)
    for _ in range(3):
        row = torch.randint(n, (2 * n,), generator=draw)
        own, groups = torch.randint(ids, (2 * n,), generator=draw), torch.randint(ids, (m,), generator=draw)
        found = remembered.nearest(row, queries[row], bank, query_groups=[own], key_groups=[groups])
        expected = nearest(queries[row], bank, k, query_groups=[own], key_groups=[groups])
        assert torch.equal(found.index, expected.index)
        assert torch.equal(found.similarity, expected.similarity)


def test_a_row_is_looked_up_once(monkeypatch):
    asked = []

    def counting(queries, *args, **more):
        asked.append(len(queries))
        return nearest(queries, *args, **more)

    monkeypatch.setattr(known, "nearest", counting)
    queries, bank, remembered = rows(6, seed=1), prepare_keys(rows(100, seed=2)), KnownNeighbours(3, 6, CPU)
    for row in ([0, 1, 1, 0], [1, 2], [0, 1, 2]):
        remembered.nearest(torch.tensor(row), queries[row], bank, query_groups=[], key_groups=[])
    assert asked == [2, 1]


def test_more_copies_of_ones_own_photo_than_are_kept_hide_nobody():
    photo = torch.zeros(5 + MORE + 60, dtype=torch.int64)
    photo[5 + MORE :] = torch.arange(1, 61)
    keys = torch.cat([rows(1, seed=3).expand(5 + MORE, -1), rows(60, seed=4)])
    own = torch.zeros(1, dtype=torch.int64)
    found = KnownNeighbours(4, 1, CPU).nearest(
        own, keys[:1], prepare_keys(keys), query_groups=[own], key_groups=[photo]
    )
    expected = nearest(keys[:1], keys, 4, query_groups=[own], key_groups=[photo])
    assert torch.equal(found.index, expected.index)
    assert (found.index >= 5 + MORE).all()

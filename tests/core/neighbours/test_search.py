import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.core.neighbours import search
from ncaudit.core.neighbours.search import nearest, prepare_keys

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


def rows(n, d=16, seed=0):
    return normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def plain(queries, keys, k, query_groups=(), key_groups=()):
    """The definition: every similarity, excluded ones at -inf, a stable sort."""
    similarity = (queries[:, None, :] * keys[None]).sum(dim=2)
    for query_ids, key_ids in zip(query_groups, key_groups, strict=True):
        similarity = similarity.masked_fill(query_ids[:, None] == key_ids[None], -torch.inf)
    similarity, index = similarity.sort(dim=1, descending=True, stable=True)
    index = index.where(similarity.isfinite(), -1)
    short = (0, max(0, k - keys.shape[0]))
    pad = torch.nn.functional.pad
    return pad(similarity[:, :k], short, value=-torch.inf), pad(index[:, :k], short, value=-1)


def assert_found(found, expected):
    assert torch.equal(found.index, expected[1])
    assert_close(found.similarity, expected[0], rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(0, 9), m=st.integers(0, 70), k=st.integers(1, 12), ids=st.integers(1, 6),
    block=st.integers(1, 9), key_block=st.sampled_from([7, 32, 1000]), dtype=st.sampled_from(DTYPES),
)  # fmt: skip
def test_any_size_gives_what_the_definition_gives(n, m, k, ids, block, key_block, dtype):
    draw = torch.Generator().manual_seed(n * 100 + m)
    queries, keys = rows(n, 64, seed=1), rows(m, 64, seed=2)
    groups = [[torch.randint(0, ids, (count,), generator=draw) for _ in range(2)] for count in (n, m)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "KEY_BLOCK", key_block)
        patch.setattr(search, "EXACT_ENTRIES", 100)
        bank = prepare_keys(keys, dtype=dtype)
        found = nearest(queries, bank, k, query_groups=groups[0], key_groups=groups[1], block=block)
    assert_found(found, plain(queries, keys, k, *groups))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 10])
def test_many_keys_in_a_narrow_cone_are_ranked_as_in_float32(dtype, k):
    cone = rows(1, 64, seed=9)
    queries, keys = (normalize(rows(n, 64, seed=n) + 2 * cone, dim=1) for n in (60, 6001))
    assert_found(nearest(queries, prepare_keys(keys, dtype=dtype), k), plain(queries, keys, k))


@pytest.mark.parametrize("dtype", DTYPES)
def test_neighbours_closer_than_half_precision_can_tell_are_ranked_right(dtype):
    keys = normalize(rows(1, 64) + 0.002 * rows(3000, 64, seed=1), dim=1)  # the best ten lie within 1e-4
    queries = rows(5, 64, seed=2)
    assert_found(nearest(queries, prepare_keys(keys, dtype=dtype), 10), plain(queries, keys, 10))


@pytest.mark.parametrize("dtype", DTYPES)
def test_five_hundred_copies_of_a_placeholder_do_not_hide_the_true_neighbours(dtype):
    keys = torch.cat([rows(1, 64).expand(500, -1), rows(2000, 64, seed=3)])
    photo = torch.cat([torch.zeros(500, dtype=torch.int64), torch.arange(1, 2001)])
    found = nearest(keys[:20], prepare_keys(keys, dtype=dtype), 10, query_groups=[photo[:20]], key_groups=[photo])
    assert_found(found, plain(keys[:20], keys, 10, [photo[:20]], [photo]))
    assert (found.index >= 500).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_of_equal_keys_the_lower_number_comes_first(dtype):
    keys = rows(50, 64)[torch.arange(5000) % 50]
    found = nearest(rows(50, 64), prepare_keys(keys, dtype=dtype), 5)
    assert torch.equal(found.index, torch.arange(50)[:, None] + 50 * torch.arange(5))


def test_too_few_allowed_keys_are_padded_with_no_key():
    same = torch.zeros(3, dtype=torch.int64)
    found = nearest(rows(3), rows(3), 2, query_groups=[same], key_groups=[same])
    assert (found.index == -1).all()
    assert (found.similarity == -torch.inf).all()


def test_the_number_of_queries_at_once_changes_nothing():
    queries, bank = rows(300), prepare_keys(rows(4000, seed=1))
    one, other = nearest(queries, bank, 7, block=300), nearest(queries, bank, 7, block=11)
    assert torch.equal(one.index, other.index)
    assert torch.equal(one.similarity, other.similarity)


def test_groups_without_their_counterpart_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        nearest(rows(3), rows(3), 1, query_groups=[torch.zeros(3)], key_groups=[])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_rough_pass_errs_by_less_than_it_is_trusted_to(dtype):
    keys = normalize(rows(3000, 512, seed=1) + rows(1, 512, seed=2), dim=1)
    bank = prepare_keys(keys, dtype=dtype)
    rough = (keys[:300].to(dtype) @ bank.rough.T).float() + (keys[:300] @ bank.mean)[:, None]
    truth = keys[:300] @ keys.T
    assert ((rough - truth).abs() < search.ROUNDING[dtype] * (1 + truth.abs())).all()


@settings(deadline=None, max_examples=40)
@given(
    m=st.integers(700, 1200), k=st.integers(1, 4), cone=st.sampled_from([0.0, 0.5, 5.0]), copies=st.integers(1, 40),
    ids=st.integers(2, 300), dtype=st.sampled_from(DTYPES), away=st.booleans(),
)  # fmt: skip
def test_groups_of_maxima_find_what_the_definition_finds(m, k, cone, copies, ids, dtype, away):
    """Enough keys for two levels of maxima; copies tie, a cone brings them close, queries may point away from all."""
    draw = torch.Generator().manual_seed(m + copies)
    keys = normalize(rows(m, 64, seed=m) + cone * rows(1, 64, seed=9), dim=1)[
        torch.randperm(m, generator=draw) // copies
    ]
    queries = normalize(rows(5, 64, seed=3) - (cone + 1) * keys.mean(dim=0) * away, dim=1)
    groups = [[torch.randint(0, ids, (count,), generator=draw)] for count in (5, m)]
    found = nearest(queries, prepare_keys(keys, dtype=dtype), k, query_groups=groups[0], key_groups=groups[1])
    assert_found(found, plain(queries, keys, k, *groups))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("spread", [0.02, 0.3, 2.0])  # neighbours closer than halves can tell, and clusters
def test_what_is_not_looked_at_could_not_have_been_among_the_nearest(monkeypatch, dtype, spread):
    draw = torch.Generator().manual_seed(4)
    centres = torch.randn(40, 64, generator=draw)
    rows = normalize(centres[torch.arange(1200) % 40] + spread * torch.randn(1200, 64, generator=draw), dim=1)
    photo = torch.arange(1200) // 5
    keys = prepare_keys(rows, dtype=dtype)
    narrow = nearest(rows[:200], keys, 6, query_groups=[photo[:200]], key_groups=[photo])
    looked: list[int] = []
    asked = search._Search._in_question

    def everything(self, rough, hidden):
        looked.append(int(asked(self, rough, hidden).sum()))
        return ~hidden

    monkeypatch.setattr(search._Search, "_in_question", everything)
    wide = nearest(rows[:200], keys, 6, query_groups=[photo[:200]], key_groups=[photo])
    assert torch.equal(narrow.index, wide.index)
    assert torch.equal(narrow.similarity, wide.similarity)
    assert sum(looked) < 200 * (6 + search.SPARE)

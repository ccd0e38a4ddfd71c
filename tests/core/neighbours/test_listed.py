import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from ncaudit.core.neighbours import listed
from ncaudit.core.neighbours.listed import listed_products, listed_sums


@settings(deadline=None, max_examples=40)
@given(n=st.integers(0, 6), m=st.integers(1, 9), c=st.integers(0, 12), d=st.integers(0, 40))
def test_products_are_those_of_rows_and_keys_side_by_side(n, m, c, d):
    draw = torch.Generator().manual_seed(n + 10 * m + 100 * c)
    rows, keys = torch.randn(n, d, generator=draw), torch.randn(m, d, generator=draw)
    index = torch.randint(m, (n, c), generator=draw)  # unordered, and the same key may come twice
    expected = torch.einsum("nd,ncd->nc", rows.double(), keys.double()[index])
    assert_close(listed_products(rows, keys, index).double(), expected, atol=1e-5, rtol=1e-5)


def test_a_product_depends_on_no_other_row_and_on_no_number_of_threads():
    draw = torch.Generator().manual_seed(0)
    rows, keys = torch.randn(300, 512, generator=draw), torch.randn(400, 512, generator=draw)
    index = torch.randint(400, (300, 26), generator=draw)
    together = listed_products(rows, keys, index)
    alone = torch.cat([listed_products(rows[i : i + 1], keys, index[i : i + 1]) for i in range(300)])
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert torch.equal(listed_products(rows, keys, index), together)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone, together)


@pytest.mark.parametrize("keys_there", [2, 50])  # fewer than are listed, and more
@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_what_is_wanted_has_the_same_bits_and_the_rest_is_nothing(keys_there, share):
    draw = torch.Generator().manual_seed(1)
    rows, keys = torch.randn(20, 512, generator=draw), torch.randn(keys_there, 512, generator=draw)
    index = torch.randint(keys_there, (20, 9), generator=draw)
    wanted = torch.rand(20, 9, generator=draw) < share
    wanted[3] = False
    found = listed_products(rows, keys, index, wanted)
    assert torch.equal(found, listed_products(rows, keys, index).where(wanted, -torch.inf))


def test_keys_that_are_a_part_of_wider_rows_are_read_right():
    rows, wide = torch.randn(5, 8), torch.randn(9, 20)
    index = torch.randint(9, (5, 3))
    assert_close(listed_products(rows, wide[:, 4:12], index), (wide[:, 4:12][index] * rows[:, None]).sum(dim=2))


def test_equal_keys_give_equal_bits():
    row, key = torch.randn(1, 384), torch.randn(384)
    found = listed_products(row, key.expand(50, -1).contiguous(), torch.arange(50)[None])
    assert len(found.unique()) == 1


def test_torch_says_nothing_of_sparse_tensors_on_the_way():
    listed._announce_sparse.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listed_products(torch.eye(2), torch.eye(2), torch.tensor([[0], [1]]))


@pytest.mark.parametrize(("n", "c"), [(3, 2), (0, 2)])
def test_sums_are_those_of_weighted_keys(n, c):
    weight, keys, index = torch.rand(n, c), torch.randn(5, 7), torch.randint(5, (n, c))
    assert_close(listed_sums(weight, keys, index), torch.einsum("nc,ncd->nd", weight, keys[index]))

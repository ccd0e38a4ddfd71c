"""Components of a graph: as scipy finds and numbers them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ncaudit.scoring.connected import components


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), edges=st.integers(0, 90))
def test_it_numbers_components_as_scipy_does(seed, count, edges):
    left, right = np.random.default_rng(seed).integers(count, size=(2, edges))
    graph = coo_array((np.ones(edges), (left, right)), shape=(count, count))
    assert components(left, right, count).tolist() == connected_components(graph, directed=False)[1].tolist()


def test_a_long_chain_in_any_order_is_one_component_and_soon_found():
    order = np.random.default_rng(0).permutation(100_000)
    assert not components(order[:-1], order[1:], len(order)).any()

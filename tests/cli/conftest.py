"""A store for real commands, one per file of tests and empty for each, and a proxy before it."""

from collections.abc import Iterator

import pytest

from tests.worlds import stores


@pytest.fixture(scope="module")
def server() -> Iterator[stores.Store]:
    with stores.served() as store:
        yield store


@pytest.fixture
def store(server: stores.Store) -> stores.Store:
    stores.fresh_bucket(server)
    return server


@pytest.fixture
def proxy(store: stores.Store) -> Iterator[stores.Proxy]:
    with stores.proxied(store.url) as before:
        yield before

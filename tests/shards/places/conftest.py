"""The store that tests of this folder share, with an empty bucket each."""

import pytest

from ncaudit.stores import OPTIONS
from tests.worlds import stores


@pytest.fixture(scope="module")
def server():
    with stores.served() as store:
        yield store


@pytest.fixture
def store(server, monkeypatch):
    for name, value in {**stores.KEYS, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(OPTIONS, raising=False)
    stores.fresh_bucket(server)
    stores.forget_stores()
    yield server
    stores.forget_stores()


@pytest.fixture
def proxy(store, monkeypatch):
    with stores.proxied(store.url) as before:
        monkeypatch.setenv("AWS_ENDPOINT_URL", before.url)
        stores.forget_stores()
        yield before

"""One browser for all tests of a module: starting it takes longer than most of them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.worlds.browsers import Watched, chromium, watched


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window that anyone sees."""
    with chromium() as found:
        yield found


@pytest.fixture
def window(browser: Any) -> Iterator[Watched]:
    """A window with a store of its own."""
    with watched(browser) as opened:
        yield opened

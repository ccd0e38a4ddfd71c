"""One browser for all tests of a module: starting it takes longer than most of them."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.worlds.browsers import NoBrowser, Watched, chromium, watched

REQUIRED = "NCAUDIT_BROWSER"  # what CI sets to `required`: there a test of a page is never left out


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, without a window that anyone sees; the tests that ask for it are skipped where it is not there."""
    try:
        with chromium() as found:
            yield found
    except NoBrowser as error:
        if os.environ.get(REQUIRED) == "required":
            raise
        pytest.skip(str(error))


@pytest.fixture
def window(browser: Any) -> Iterator[Watched]:
    """A window with a store of its own."""
    with watched(browser) as opened:
        yield opened

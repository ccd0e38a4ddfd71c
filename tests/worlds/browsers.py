"""A real browser for pages of ours: Chromium as the system has it, and what a page does in it that it should not."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--no-sandbox", "--disable-dev-shm-usage")  # containers run as root, and with little shared memory
REQUIRED = "NCAUDIT_BROWSER"  # what CI sets to `required`: there a test of a page is never left out
SCREENSHOTS = "NCAUDIT_SCREENSHOTS"
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
DARK = {"color_scheme": "dark"}
SERIOUS = {"serious", "critical"}


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser; the tests that ask for it are skipped, with the reason, where it is not there."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        _missing("there is no chromium: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("there is no playwright: pip install 'ncaudit[dev]'")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page in a window of its own, and all it does beyond showing itself: requests, dialogs, errors, refused code."""

    def __init__(self, browser: Any, **looks: Any) -> None:
        self.context = browser.new_context(**looks)
        self.strange: list[str] = []
        self.page = self.window()

    def window(self) -> Any:
        """One more window on the same store."""
        page = self.context.new_page()
        page.on("request", lambda request: self._requested(page, request))
        page.on("dialog", self._asked)
        page.on("pageerror", lambda error: self.strange.append(f"error: {error}"))
        page.on("console", lambda line: self.strange.append(f"{line.type}: {line.text}"))
        page.on("popup", lambda popup: self.strange.append(f"popup: {popup.url}"))
        return page

    def open(self, path: Path) -> Any:
        """The page with this file, loaded."""
        self.page.goto(path.as_uri())
        return self.page

    def serious_faults(self) -> list[str]:
        """What axe-core finds that keeps people from using the page. The window must look past the page's policy."""
        self.page.add_script_tag(content=files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        return [
            f"{one['id']}: {one['help']}: {node['html'][:200]}: {node['failureSummary'][:300]}"
            for one in found
            if one["impact"] in SERIOUS
            for node in one["nodes"][:3]
        ]

    def _requested(self, page: Any, request: Any) -> None:
        if not request.url.startswith("data:") and not request.is_navigation_request():
            self.strange.append(f"request: {request.url}")
        if request.is_navigation_request() and request.url.startswith("http"):
            self.strange.append(f"left for {request.url}")

    def _asked(self, dialog: Any) -> None:
        self.strange.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def watched(browser: Any, **looks: Any) -> Iterator[Watched]:
    """A window that is closed in the end."""
    window = Watched(browser, **looks)
    try:
        yield window
    finally:
        window.context.close()


def is_as_wide_as_its_window(page: Any) -> bool:
    """Whether nothing sticks out to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def shoot(page: Any, name: str) -> None:
    """Keep a picture of it for people to look at, where a folder for them is named."""
    if folder := os.environ.get(SCREENSHOTS):
        page.screenshot(path=f"{folder}/{name.replace(' ', '-')}.png", full_page=True)


def _missing(reason: str) -> None:
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(reason)
    pytest.skip(reason)

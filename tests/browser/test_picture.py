"""The picture of the README is one of the report, and small; the script that makes it finds its way on any report."""

import io
import runpy

from PIL import Image

from ncaudit.options import ReportOptions
from ncaudit.verbs.report.report import report
from tests.pages import DOCS
from tests.worlds import shown as world
from tests.worlds.browsers import watched

MOST_BYTES = 200_000


def test_the_picture_is_small_and_wide_enough_to_be_read():
    path = DOCS / "report.png"
    assert path.stat().st_size < MOST_BYTES
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.width >= 1_000


def test_the_script_shows_the_answer_and_the_worst_pairs(tmp_path, browser):
    data = world.dataset(tmp_path)
    scores = world.table(tmp_path / "scores/data.parquet", of=data)
    page = tmp_path / "report.html"
    report(ReportOptions(scores=[str(scores)], data=[str(data)], out=str(page), workers=0))
    picture = runpy.run_path(str(DOCS / "make_picture.py"))["picture"]
    with watched(browser, viewport={"width": 1100, "height": 900}) as window:
        found = picture(window.open(page))
        whole = Image.open(io.BytesIO(window.page.screenshot(full_page=True)))
    made = Image.open(io.BytesIO(found))
    assert made.format == "PNG"
    assert (made.width, len(found) < MOST_BYTES) == (1100, True)
    assert 300 < made.height < whole.height

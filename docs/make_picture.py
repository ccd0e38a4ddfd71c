"""Makes docs/report.png, the picture of the README, of the report about the sample: `python docs/make_picture.py`.

Knows the report's sections and Chromium (as the system has it, driven by Playwright); nothing of how a report is made.
What the picture shows is the page itself: its head with the answer, and below it the first row of the worst pairs.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import ncaudit

HERE = Path(__file__).parent
PICTURE = HERE / "report.png"
MOST_BYTES = 200_000
WIDTH = 1100
COLOURS = 128
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]  # containers run as root, and with little shared memory
# (left, top, width, height) of what is shown: the head down to what the rate means; title and first row of a gallery
HEAD = """() => {
  const bottom = (place) => (document.querySelector(place)?.getBoundingClientRect().bottom ?? 0) + scrollY
  const last = Math.max(...['#answer .headline', '#answer .legend + p', '#answer figure'].map(bottom))
  return {x: 0, y: 0, width: innerWidth, height: Math.ceil(last) + 12}
}"""
WORST = """() => {
  const top = document.querySelector('#worst').getBoundingClientRect().top + scrollY
  const card = document.querySelector('#worst .card').getBoundingClientRect()
  return {x: 0, y: Math.floor(top), width: innerWidth, height: Math.ceil(card.bottom + scrollY - top) + 12}
}"""


def report_of_sample(folder: str) -> Path:
    """The page, computed alike on every machine."""
    options = ncaudit.AuditOptions(
        sources=[str(HERE.parent / "sample_data/train.parquet")], out=folder, device="cpu", precision="float32",
        model=f"local-dir:{HERE.parent / 'sample_data/tiny-clip'}",
    )  # fmt: skip
    return Path(ncaudit.audit(options).report.out)


def picture(page: Any) -> bytes:
    """The PNG of a report that is open in a browser's window."""
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    parts = [_part(shot, page.evaluate(where)) for where in (HEAD, WORST)]
    whole = Image.new("RGB", (shot.width, sum(part.height for part in parts)))
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    file = io.BytesIO()
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _part(shot: Image.Image, place: dict[str, int]) -> Image.Image:
    return shot.crop((place["x"], place["y"], place["x"] + place["width"], place["y"] + place["height"]))


def main() -> None:
    """Writes the picture."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        sys.exit("there is no Chromium: install it (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        window = browser.new_page(viewport={"width": WIDTH, "height": 900})
        window.goto(report_of_sample(folder).as_uri())
        found = picture(window)
        browser.close()
    if len(found) > MOST_BYTES:
        sys.exit(f"the picture has {len(found):,} bytes, and may have {MOST_BYTES:,}")
    PICTURE.write_bytes(found)


if __name__ == "__main__":
    main()

"""How long a report takes to open in a real browser: until all of it is there, and until its judge answers a key.

    python tests/benchmarks/report_browser.py                    # of the sample, 5 rounds
    python tests/benchmarks/report_browser.py report.html --json

Every round opens the page in a new window of headless Chromium with an empty store. Seconds, from the command to open
it: `interactive`, when the browser has read the page and runs its script; `loaded`, with its pictures; `answered`, when
the first key has become a verdict on the page (only where there is something to judge). Figures are medians and the
largest. Go by a machine that does nothing else.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
TIMING = "performance.getEntriesByType('navigation').map(t => [t.domInteractive, t.loadEventEnd])[0]"
JUDGED = "document.querySelector('[data-part=count]').textContent.startsWith('1 of')"


def main() -> None:
    """Measures every round, and prints medians."""
    options = _options()
    sys.path.insert(0, str(ROOT))
    from tests.worlds.browsers import chromium

    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        page = Path(options.report) if options.report else _made(Path(folder))
        rounds = [_opened(browser, page.resolve()) for _ in range(options.rounds)]
        told = {"bytes": page.stat().st_size, **_medians(rounds)}
    print(json.dumps(told, indent=1) if options.json else _table(told))


def _made(folder: Path) -> Path:
    """The report of the sample."""
    data, model = str(SAMPLE / "train.parquet"), f"local-dir:{SAMPLE / 'tiny-clip'}"
    for words in (
        ["embed", data, "--model", model, "--out", "embeddings"],
        ["score", "embeddings", "--out", "scores"],
        ["report", "scores", "--data", data, "--out", "report.html"],
    ):
        subprocess.run([sys.executable, "-m", "ncaudit", "-q", *words], cwd=folder, check=True, capture_output=True)
    return folder / "report.html"


def _opened(browser: Any, path: Path) -> dict[str, float]:
    from tests.worlds.browsers import watched

    with watched(browser) as window:
        begun = time.perf_counter()
        page = window.open(path)
        told = {}
        if page.locator("#judge").count():
            page.locator("#judge").focus()
            page.keyboard.press("y")
            page.wait_for_function(JUDGED)
            told["answered"] = time.perf_counter() - begun
        interactive, loaded = page.evaluate(TIMING)
        return {"interactive": interactive / 1000, "loaded": loaded / 1000, **told}


def _medians(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        name: {"median_s": statistics.median(one[name] for one in rounds), "max_s": max(one[name] for one in rounds)}
        for name in rounds[0]
    }


def _table(told: dict[str, Any]) -> str:
    lines = [f"{told['bytes'] / 1e6:.1f} MB", f"{'seconds':12} {'median':>7} {'largest':>8}"]
    for name, one in told.items():
        if name != "bytes":
            lines.append(f"{name:12} {one['median_s']:7.2f} {one['max_s']:8.2f}")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", nargs="?", help="a page that `ncaudit report` wrote; none: that of the sample")
    parser.add_argument("--rounds", type=int, default=5, help="how often the page is opened")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    main()

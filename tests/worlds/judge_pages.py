"""Pages with nothing but the judge's part, made of the package's own files: any pairs, and no dataset behind them."""

import base64
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from ncaudit.verbs.report.page import embedded
from ncaudit.verbs.report.page.render import environment
from ncaudit.verbs.report.shown.judge_pairs import JudgePair, JudgeSample, JudgeStratum

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Judge</title>
<meta http-equiv="content-security-policy" content="{{ policy }}"><meta name="viewport" content="width=device-width">
<style>{{ style }}</style></head><body><main><h1>Pairs</h1>{% include "judge.html" %}</main>
<script>{{ script }}</script></body></html>"""


def picture(shade: int = 0) -> str:
    """A data address of a small picture."""
    file = io.BytesIO()
    Image.new("RGB", (32, 24), (shade % 256, 90, 150)).save(file, "webp")
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def pairs(n: int, strata: int = 4, **fields: Any) -> list[JudgePair]:
    """Pairs of shard a.parquet, with strata in turn."""
    given = {"shard": "a.parquet", "image": picture(), **fields}
    return [
        JudgePair(**{"pair_id": f"p{i}", "row": i, "stratum": i % strata, "caption": f"caption {i}"} | given)
        for i in range(n)
    ]


def judge_page(path: Path, some: Sequence[JudgePair], strata: Sequence[int], **more: Any) -> Path:
    """Write the page. strata: rows of each. more: other fields of `JudgeSample`."""
    drawn = Counter(pair.stratum for pair in some)
    of = [JudgeStratum(rows=rows, drawn=drawn[number]) for number, rows in enumerate(strata)]
    given = {"key": "ncaudit-a", "name": "judged.csv", "command": "ncaudit score", "alone": True, **more}
    judge = JudgeSample(pairs=some, strata=of, **given)
    script = embedded.source("judge.js")
    words = {"judge": judge, "judge_json": embedded.json_for_script(judge.told()), "script": Markup(script)}
    page = environment().from_string(PAGE)
    style = Markup(embedded.source("style.css") + embedded.source("judge.css"))
    written = page.render(words, policy=embedded.policy([script]), style=style)
    path.write_text(written, encoding="utf-8", errors="replace")
    return path

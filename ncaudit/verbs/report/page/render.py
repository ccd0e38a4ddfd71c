"""A page as HTML: one file that holds everything. Knows templates and views; nothing of tables or pictures' making.

All text is escaped by the templates' engine, and its hidden characters are shown before that. What is no text is marked
as such where it is made: style, scripts, charts.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ncaudit.counts import counted
from ncaudit.errors import BadTable
from ncaudit.shards.files.locations import open_file
from ncaudit.verbs.report.page.embedded import HERE, json_for_script, policy, source, visible
from ncaudit.verbs.report.shown.views import Page
from ncaudit.version import __version__

NAME = "ncaudit report"
GENERATOR = f"{NAME} {__version__}"
MARK = f'<meta name="generator" content="{NAME} '
HEAD_BYTES = 4_096  # in which the mark stands
KINDS = frozenset({"clean", "unsure", "noisy", "pure", "hard"})  # what the style has a colour for


def render(page: Page) -> str:
    """The page as HTML, the same for the same page."""
    scripts = [source("judge.js")] if page.judge else []
    if any("</script" in script.lower() or "<!--" in script for script in scripts):
        raise AssertionError("a script of ours ends its own element")
    parts = environment().get_template("parts.html").make_module({"known_kinds": KINDS})
    return environment().get_template("page.html").render(
        page=page,
        generator=GENERATOR,
        policy=policy(scripts),
        style=Markup(source("style.css") + (source("judge.css") if page.judge else "")),
        scripts=[Markup(script) for script in scripts],
        judge=page.judge,
        judge_json=json_for_script(page.judge.told()) if page.judge else None,
        figure_of=parts.figure_of,  # type: ignore[attr-defined]
        gallery_of=parts.gallery_of,  # type: ignore[attr-defined]
    )  # fmt: skip


def is_report(path: str) -> bool:
    """Whether a file says that this command made it."""
    try:
        with open_file(path) as file:
            return MARK.encode() in file.read(HEAD_BYTES)
    except (OSError, BadTable):
        return False


@cache
def environment() -> Environment:
    """What the templates are filled in by."""
    made = Environment(
        loader=FileSystemLoader(Path(HERE)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["counted"] = counted
    return made


def _shown(value: Any) -> Any:
    """Every value that a template writes passes by here."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value

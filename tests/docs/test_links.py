"""Links inside README and docs lead somewhere: to a file of the repository, and to a heading that is there."""

import re

import pytest

from tests.pages import ROOT, name_of, pages

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(page):
    return [link for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))) if "://" not in link]


def anchors(page):
    """As GitHub names headings: lower case, spaces as hyphens, nothing but letters, digits, hyphens and underscores."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.is_file(), link
        assert ROOT in target.parents, link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_linked_from_the_readme():
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}
    assert set(pages()) <= linked | {ROOT / "README.md"}


def test_a_figure_names_a_script_that_is_there():
    scripts = {found for page in pages() for found in re.findall(r"tests/benchmarks/\w+\.py", page.read_text("utf-8"))}
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)

"""The table of the page on clusters is what its script multiplies."""

import runpy

from tests.pages import DOCS


def test_the_table_is_what_the_script_prints():
    made = runpy.run_path(str(DOCS / "make_sizes.py"))["table"]()
    assert made in (DOCS / "clusters.md").read_text(encoding="utf-8"), "run: python docs/make_sizes.py"

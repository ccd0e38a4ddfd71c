"""Hostile text in the page: JSON ends no script, hidden characters are seen, and the policy names our scripts alone."""

import base64
import hashlib
import json

import pytest

from ncaudit.verbs.report.page.embedded import json_for_script, policy, source, visible

HOSTILE = ["</script><script>alert(1)</script>", "<!--", "a\u2028b\u2029c", "&amp;", "\x00", "\ud800", '"', "\\"]


@pytest.mark.parametrize("text", HOSTILE)
def test_json_holds_the_text_and_nothing_that_html_would_read(text):
    told = str(json_for_script({"caption": text}))
    assert json.loads(told) == {"caption": text}
    assert not set("<>&\u2028\u2029") & set(told)
    told.encode()


def test_numbers_that_are_no_json_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        json_for_script(float("nan"))


def test_characters_that_turn_text_around_are_shown():
    assert visible("a\u202eb\u2066c\u200fd\x00") == "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200F⟩d⟨U+0000⟩"
    assert visible("line\nnext\ttab שלום 👩‍🔬 ı̇") == "line\nnext\ttab שלום 👩‍🔬 ı̇"


def test_the_policy_allows_one_script_by_its_hash():
    told = policy(["alert(1)"])
    digest = base64.b64encode(hashlib.sha256(b"alert(1)").digest()).decode()
    assert f"script-src 'sha256-{digest}'" in told
    assert "default-src 'none'" in told
    assert "script-src 'none'" in policy([])


def test_what_the_page_is_made_of_lies_beside_the_code():
    assert "use strict" in source("judge.js")
    assert "judge-data" in source("judge.html")

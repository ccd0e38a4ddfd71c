"""Captions, ids and names that would be code, an address or a trick: the judge shows them, and does nothing else."""

import json
import re
from dataclasses import replace

import pytest

from ncaudit.shards.people.verdicts import read_verdicts
from ncaudit.verbs.report.page.embedded import visible
from tests.browser.test_judging import downloaded, rows_of, text
from tests.worlds.judge_pages import judge_page, pairs

HOSTILE = {
    "a script": "<script>alert(1)</script>",
    "the end of one": "</script><script>alert(2)</script>",
    "a comment": "<!--<script>",
    "a handler": '" onerror="alert(3)" x="',
    "a picture": "<img src=http://127.0.0.1:9/x.png onerror=alert(4)>",
    "a frame": "<iframe srcdoc='<script>parent.alert(5)</script>'></iframe>",
    "a style": "</style><style>body{background:url(http://127.0.0.1:9/y)}",
    "a page to go to": '<meta http-equiv="refresh" content="0;url=http://127.0.0.1:9/">',
    "a template": "{{ 7*7 }} {% raw %} ${7*7}",
    "other directions": "\u202egnp.exe\u2066 \u200f\u202d",
    "no character": "a\x00b",
    "line ends of scripts": "a\u2028b\u2029c",
    "half a character": "x\ud800y",
    "a million letters": "w" * 1_000_000,
    "a million words": "<b>& " * 200_000,
    "nothing": "",
    "spaces": " \n\t ",
}


def test_hostile_captions_and_names_execute_nothing_and_request_nothing(window, tmp_path):
    few = {name: words[:500] or "p" for name, words in HOSTILE.items()}
    some = [pairs(1, caption=words, shard=few[name], pair_id=few[name])[0] for name, words in HOSTILE.items()]
    page = window.open(judge_page(tmp_path / "judge.html", some, [9]))
    for name, words in HOSTILE.items():
        assert window.strange == [], name
        shown = page.locator('[data-part="caption"]').text_content()
        assert shown.startswith(words[:1000].partition("\ud800")[0]), name
        page.keyboard.press("n")
    assert text(page, "end-title") == "All pairs are judged"
    assert nothing_was_made(page)
    assert window.strange == []


@pytest.mark.parametrize("name", ["the end of one", "a handler", "a style", "other directions"])
def test_a_hostile_command_is_text(window, tmp_path, name):
    words = HOSTILE[name]
    page = window.open(judge_page(tmp_path / "judge.html", pairs(1), [9], key=words, command=words))
    page.keyboard.press("y")
    assert page.locator(".judge-command").text_content() == visible(words)
    assert nothing_was_made(page)
    assert window.strange == []


def nothing_was_made(page):
    made = "img[onerror], iframe, meta[http-equiv=refresh], b, svg"
    return page.locator("script").count() == 2 and page.locator(made).count() == 0


def test_a_long_caption_is_cut_where_it_is_shown_and_says_so(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(1, caption="w" * 1_000_000), [9] * 4))
    assert re.fullmatch(r"w{2000} … \(1,000,000 characters\)", text(page, "caption"))
    assert f'"{"w" * 1_000_000}"' in downloaded(page, tmp_path / "judged.csv").read_text("utf-8")


def test_a_caption_that_came_cut_says_how_long_it_was(window, tmp_path):
    some = [replace(pair, caption_characters=50_000) for pair in pairs(1)]
    page = window.open(judge_page(tmp_path / "judge.html", some, [9] * 4))
    assert text(page, "caption") == "caption 0 … (50,000 characters)"


def test_a_pair_without_caption_says_so(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(1, caption=None, shard=None, row=None), [9] * 4))
    assert page.get_by_text("This pair has no caption.").is_visible()
    page.keyboard.press("n")
    assert rows_of(downloaded(page, tmp_path / "judged.csv"))[0]["shard"] == ""


def test_words_of_another_direction_turn_nothing_else_around(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(2, caption="\u202eabc"), [9] * 4))
    assert page.locator('[data-part="caption"]').evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"
    right = window.open(judge_page(tmp_path / "right.html", pairs(1, caption="שלום"), [9] * 4))
    assert right.locator('[data-part="caption"]').evaluate("one => getComputedStyle(one).direction") == "rtl"


def test_hostile_words_come_back_from_the_file_as_they_were(window, tmp_path):
    no_names = ("nothing", "spaces", "half a character")
    ids = [f"{name} {words[:99]}" for name, words in HOSTILE.items() if name not in no_names]
    some = [replace(pair, pair_id=name) for pair, name in zip(pairs(len(ids)), ids, strict=True)]
    page = window.open(judge_page(tmp_path / "judge.html", some, [9] * 4))
    for _ in ids:
        page.keyboard.press("y")
    told = read_verdicts(str(downloaded(page, tmp_path / "judged.csv")))
    assert list(told.pair_id) == ids


def test_the_page_gives_the_judge_no_hint(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(2), [9] * 4))
    data = json.loads(page.locator("#judge-data").text_content())
    told = {"pair_id", "shard", "row", "caption", "caption_characters", "image", "stratum"}
    assert [set(pair) for pair in data["pairs"]] == [told, told]
    assert "stratum" not in page.inner_text("main").lower()

"""Judging by keys and buttons: what is counted, kept and exported, in a real browser."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ncaudit.core.statistics.stratified_sample import stratified_rate
from ncaudit.shards.people.verdicts import read_verdicts
from tests.worlds.browsers import watched
from tests.worlds.judge_pages import judge_page, pairs, picture

KEYS = {"yes": "y", "no": "n", "cannot tell": "Space"}
STRATA = [400, 300, 200, 100]


def text(page, part):
    return page.locator(f'[data-part="{part}"]').inner_text()


def downloaded(page, to: Path) -> Path:
    with page.expect_download() as found:
        page.locator("[data-download]:visible").first.click()
    assert found.value.suggested_filename == "judged.csv"
    found.value.save_as(to)
    return to


def rows_of(path: Path) -> list[dict[str, str]]:
    written = path.read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(written.decode("utf-8-sig"), newline="")))


def test_two_hundred_pairs_take_two_hundred_presses(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(200), STRATA))
    for number in range(200):
        assert page.locator('[data-part="end"]').is_hidden()
        page.keyboard.press("yn 3"[number % 4].replace(" ", "Space"))
    assert text(page, "end-title") == "All pairs are judged"
    assert text(page, "count") == "200 of 200 judged"
    assert text(page, "told") == "50 matches, 50 mismatches, 100 cannot tell"
    assert window.strange == []


@pytest.mark.parametrize("key", ["y", "Y", "1"])
def test_keys_that_say_match(window, tmp_path, key):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(2), STRATA))
    page.keyboard.press(key)
    assert text(page, "told") == "1 match, 0 mismatches, 0 cannot tell"


def test_the_rate_is_at_every_verdict_what_the_command_would_say(window, tmp_path):
    rng = np.random.default_rng(7)
    some = [replace(pair, stratum=int(h)) for pair, h in zip(pairs(40), rng.integers(1, 5, 40), strict=True)]
    strata = [50, 400, 12, 90, 17]  # no verdict is ever on the first
    page = window.open(judge_page(tmp_path / "judge.html", some, strata))
    wrong, place = [], []
    for pair in some:
        word = str(rng.choice(list(KEYS)))
        page.keyboard.press(KEYS[word])
        if word != "cannot tell":
            wrong.append(word == "no")
            place.append(pair.stratum)
        if not place:
            assert text(page, "interval") == "no verdict yet"
            continue
        told = stratified_rate(wrong, place, strata)
        assert float(page.locator('[data-part="rate"]').get_attribute("value")) == pytest.approx(told.rate, abs=1e-12)
        ends = f"90 % interval {told.low:.1%} to {told.high:.1%}, from {len(wrong)} verdict"
        assert text(page, "interval") == ends + ("s" if len(wrong) > 1 else "")


def test_where_every_pair_is_judged_the_interval_has_no_width(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(4, 2), [2, 2]))
    for key in "ynyn":
        page.keyboard.press(key)
    assert text(page, "interval") == "90 % interval 50.0% to 50.0%, from 4 verdicts"


def test_a_verdict_that_was_wrong_is_taken_back(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(3), STRATA))
    for key in ("y", "y", "Backspace", "ArrowLeft", "n", "ArrowRight", "n", "ArrowLeft"):
        page.keyboard.press(key)
    assert text(page, "number") == "Pair 3 of 3"
    assert text(page, "told") == "1 match, 2 mismatches, 0 cannot tell"
    page.keyboard.press("ArrowLeft")
    assert page.locator('[aria-pressed="true"]').get_attribute("data-say") == "yes"


def test_a_key_that_is_held_down_is_one_verdict(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(9), STRATA))
    for _ in range(5):
        page.keyboard.down("n")
    page.keyboard.up("n")
    assert text(page, "count") == "1 of 9 judged"


def test_keys_of_the_browser_are_left_alone(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(9), STRATA))
    for key in ("Control+y", "Alt+n", "Meta+1"):
        page.keyboard.press(key)
    assert text(page, "count") == "0 of 9 judged"


def test_pairs_that_were_passed_over_are_found_at_the_end(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(3), STRATA))
    for key in ("y", "ArrowRight", "y"):
        page.keyboard.press(key)
    assert text(page, "end-title") == "The end: 1 pair not judged yet"
    page.locator('[data-part="open"]').click()
    assert text(page, "number") == "Pair 2 of 3"
    page.keyboard.press("y")
    page.keyboard.press("ArrowRight")
    assert text(page, "end-title") == "All pairs are judged"


def test_a_page_that_holds_more_listens_only_where_the_judge_is(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(3), STRATA, alone=False))
    page.keyboard.press("y")
    assert text(page, "count") == "0 of 3 judged"
    page.locator('[data-part="picture"]').click()
    page.keyboard.press("y")
    assert text(page, "count") == "1 of 3 judged"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("y")
    page.evaluate("location.hash = 'judge'")  # as a link to it does
    page.keyboard.press("y")
    assert text(page, "count") == "2 of 3 judged"


def test_after_a_click_keys_work_and_after_a_press_the_button_keeps_the_focus(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(9), STRATA))
    page.locator('[data-say="yes"]').click()
    page.keyboard.press("Space")
    assert text(page, "told") == "1 match, 0 mismatches, 1 cannot tell"
    page.locator('[data-say="no"]').focus()
    for key in ("Enter", "Space", "Space"):
        page.keyboard.press(key)
    assert text(page, "told") == "1 match, 3 mismatches, 1 cannot tell"


def test_screen_readers_are_told_of_each_pair(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(2), STRATA))
    assert page.get_by_role("img", name="Picture 1", exact=True).count() == 1
    page.keyboard.press("n")
    assert text(page, "spoken") == "Kept: mismatch. Pair 2 of 2: caption 1"
    page.keyboard.press("n")
    assert text(page, "spoken") == "Kept: mismatch. All pairs are judged"
    assert page.evaluate("document.activeElement.dataset.part") == "end-title"


def test_the_picture_is_that_of_the_caption(window, tmp_path):
    some = [replace(pair, image=picture(80 * i) if i != 1 else None) for i, pair in enumerate(pairs(3))]
    page = window.open(judge_page(tmp_path / "judge.html", some, STRATA))
    for pair in some:
        assert text(page, "caption") == pair.caption
        shown = page.locator('[data-part="picture"] img')
        assert [one.get_attribute("src") for one in shown.all()] == ([pair.image] if pair.image else [])
        page.keyboard.press("y")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert text(page, "picture") == "No picture: it could not be read."


def test_verdicts_are_there_again_when_the_page_is(window, tmp_path):
    path = judge_page(tmp_path / "judge.html", pairs(5), STRATA)
    page = window.open(path)
    for key in ("y", "n", "Space"):
        page.keyboard.press(key)
    told = text(page, "told"), text(page, "interval")
    page.reload()
    assert (text(page, "told"), text(page, "interval"), text(page, "number")) == (*told, "Pair 4 of 5")


def test_each_report_keeps_its_own(window, tmp_path):
    window.open(judge_page(tmp_path / "a.html", pairs(5), STRATA)).keyboard.press("y")
    page = window.open(judge_page(tmp_path / "b.html", pairs(5), STRATA, key="ncaudit-b"))
    assert text(page, "count") == "0 of 5 judged"
    assert text(window.open(tmp_path / "a.html"), "count") == "1 of 5 judged"


def test_two_windows_of_one_report_lose_nothing_to_each_other(window, tmp_path):
    path = judge_page(tmp_path / "judge.html", pairs(5), STRATA)
    first, second = window.open(path), window.window()
    second.goto(path.as_uri())
    first.keyboard.press("y")
    second.wait_for_function("document.querySelector('[data-part=count]').textContent.startsWith('1 of')")
    second.keyboard.press("ArrowRight")
    second.keyboard.press("n")
    first.reload()
    assert text(first, "told") == "1 match, 1 mismatch, 0 cannot tell"


def test_a_store_that_is_denied_is_told_and_judging_goes_on(window, tmp_path):
    denied = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError') }})"
    window.context.add_init_script(denied)
    page = window.open(judge_page(tmp_path / "judge.html", pairs(2), STRATA))
    assert "only as long as the page is open" in text(page, "unkept")
    page.keyboard.press("y")
    page.keyboard.press("n")
    leaves_alone = "dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    assert not page.evaluate(leaves_alone)  # the browser asks first: verdicts would be lost
    assert [row["is_match"] for row in rows_of(downloaded(page, tmp_path / "judged.csv"))] == ["yes", "no"]
    assert page.evaluate(leaves_alone)
    assert window.strange == []


def test_what_is_kept_may_be_anything(window, tmp_path):
    path = judge_page(tmp_path / "judge.html", pairs(3), STRATA)
    page = window.open(path)
    page.evaluate("Object.keys(localStorage).forEach(key => localStorage.setItem(key, '<y\\u0000'))")
    page.reload()
    assert text(page, "count") == "1 of 3 judged"
    assert window.strange == []


def test_all_verdicts_are_cleared_only_when_asked_twice(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(3), STRATA))
    page.keyboard.press("y")
    assert page.get_by_text("Clear 1 verdict").is_hidden()
    page.get_by_text("Start again").click()
    page.get_by_text("Clear 1 verdict").click()
    assert text(page, "count") == "0 of 3 judged"
    page.keyboard.press("n")
    assert text(page, "told") == "0 matches, 1 mismatch, 0 cannot tell"


def test_the_file_has_every_pair_and_says_what_was_said(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(5), STRATA))
    for key in ("y", "n", "Space", "ArrowRight"):
        page.keyboard.press(key)
    rows = rows_of(downloaded(page, tmp_path / "judged.csv"))
    names = ["pair_id", "is_match", "caption", "shard", "row", "stratum", "stratum_rows", "stratum_drawn"]
    assert list(rows[0]) == names
    assert [row["is_match"] for row in rows] == ["yes", "no", "cannot tell", "", ""]
    assert list(rows[2].values()) == ["p2", "cannot tell", "caption 2", "a.parquet", "2", "2", "200", "1"]
    told = read_verdicts(str(tmp_path / "judged.csv"))
    assert (told.pair_id, told.is_match.tolist()) == (("p0", "p1"), [True, False])
    assert (told.cannot_tell, told.unjudged) == (1, 3)
    assert told.stratum_rows.tolist() == STRATA


def test_cells_that_would_be_formulas_are_kept_from_running(window, tmp_path):
    captions = ["=1+1", 'a "quoted", one\nof two lines', "＝2", "plain", "-3", "@x"]
    some = [replace(pair, caption=caption) for pair, caption in zip(pairs(6), captions, strict=True)]
    some[3] = replace(some[3], shard="+s.parquet", pair_id="=id")
    page = window.open(judge_page(tmp_path / "judge.html", some, STRATA))
    rows = rows_of(downloaded(page, tmp_path / "judged.csv"))
    assert [row["caption"] for row in rows] == ["'=1+1", captions[1], "'＝2", "plain", "'-3", "'@x"]
    assert (rows[3]["shard"], rows[3]["pair_id"]) == ("'+s.parquet", "=id")


def test_without_scripts_the_page_says_how_to_judge(browser, tmp_path):
    with watched(browser, java_script_enabled=False) as window:
        page = window.open(judge_page(tmp_path / "judge.html", pairs(3), STRATA))
        assert "ncaudit sample" in page.inner_text("noscript")
        assert page.locator('[data-part="ready"]').is_hidden()

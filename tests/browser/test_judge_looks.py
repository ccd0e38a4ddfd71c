"""The judge on phones, in the dark, for those who use no mouse or hear the page."""

from dataclasses import replace

import pytest

from tests.worlds.browsers import DARK, PHONE, is_as_wide_as_its_window, shoot, watched
from tests.worlds.judge_pages import judge_page, pairs

LOOKS = {"light": {}, "dark": DARK, "phone": PHONE, "dark phone": PHONE | DARK}
LONG = ["x" * 3000, "many words " * 300, "short", ""]
STATES = {"begun": (), "gone back to": ("y", "Space", "ArrowLeft"), "ended": ("y", "n", "Space", "ArrowRight")}


PAIRS = list(zip(pairs(4), LONG, strict=True))


def some_pairs():
    """With all that may be too wide, or not there."""
    return [replace(pair, caption=words, image=pair.image if words else None) for pair, words in PAIRS]


@pytest.mark.parametrize("looks", LOOKS)
def test_everyone_can_use_the_judge_and_nothing_sticks_out(browser, tmp_path, looks):
    path = judge_page(tmp_path / "judge.html", some_pairs(), [9] * 4, command="ncaudit score " + "a/" * 300)
    with watched(browser, bypass_csp=True, **LOOKS[looks]) as window:
        for state, keys in STATES.items():
            page = window.open(path)
            for key in keys:
                page.keyboard.press(key)
            shoot(page, f"judge {looks} {state}")
            assert is_as_wide_as_its_window(page), state
            if looks in ("light", "dark"):  # who cannot use it on a phone cannot here
                assert window.serious_faults() == [], state
            page.evaluate("localStorage.clear()")


def test_on_a_phone_picture_caption_and_buttons_are_seen_together(browser, tmp_path):
    three_lines = "a caption that is as long as many captions are, and takes three lines on a phone held upright"
    with watched(browser, **PHONE) as window:
        page = window.open(judge_page(tmp_path / "judge.html", pairs(3, caption=three_lines), [9] * 4))
        buttons = page.locator("[data-say]").first.bounding_box()["y"]
        for what in ('[data-part="picture"]', '[data-part="caption"]', "[data-say]"):
            for one in page.locator(what).all():
                box = one.bounding_box()
                end = box["y"] + box["height"]
                assert 0 <= box["y"] < end <= (PHONE["viewport"]["height"] if "say" in what else buttons), what
        for button in page.locator("[data-say]").all():
            assert button.bounding_box()["height"] >= 44  # a thumb's width
            button.tap()
        assert page.locator('[data-part="count"]').inner_text() == "3 of 3 judged"


def test_all_can_be_reached_by_tab_and_is_seen_to_have_the_focus(window, tmp_path):
    page = window.open(judge_page(tmp_path / "judge.html", pairs(3), [9] * 4))
    page.keyboard.press("y")
    seen = []
    for _ in range(7):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.innerText.trim().split('\\n')[0]"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    starts = ["caption 1", "Match", "Mismatch", "Cannot tell", "Back", "Download", "Start again"]
    assert [one.startswith(start) for one, start in zip(seen, starts, strict=True)] == [True] * 7, seen


def test_nothing_moves_for_who_wants_no_motion(browser, tmp_path):
    with watched(browser, reduced_motion="reduce") as window:
        page = window.open(judge_page(tmp_path / "judge.html", pairs(3), [9] * 4))
        moving = "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s')"
        assert page.evaluate(f"{moving}.length + document.getAnimations().length") == 0


def test_the_judge_is_not_printed_with_the_report(browser, tmp_path):
    with watched(browser) as window:
        page = window.open(judge_page(tmp_path / "judge.html", pairs(3), [9] * 4, alone=False))
        page.emulate_media(media="print")
        assert page.locator("#judge").is_hidden()


def test_these_checks_see_what_they_are_for(browser, tmp_path):
    path = judge_page(tmp_path / "judge.html", pairs(3), [9] * 4)
    with watched(browser, bypass_csp=True) as window:
        page = window.open(path)
        page.evaluate("document.querySelector('#judge img').removeAttribute('alt')")
        page.evaluate("document.querySelector('main').style.minWidth = '300vw'")
        assert [one.partition(":")[0] for one in window.serious_faults()] == ["image-alt"]
        assert not is_as_wide_as_its_window(page)
        page.evaluate("new Image().src = 'http://127.0.0.1:9/x.png'; alert(1)")
        page.wait_for_timeout(300)
        assert {"request: http://127.0.0.1:9/x.png", "dialog: 1"} <= set(window.strange)


def test_other_scripts_than_ours_are_refused(window, tmp_path):
    path = judge_page(tmp_path / "judge.html", pairs(3), [9] * 4)
    path.write_text(path.read_text("utf-8").replace("</main>", "<script>alert(1)</script></main>"), encoding="utf-8")
    page = window.open(path)
    assert len(window.strange) == 1
    assert "Content Security Policy" in window.strange[0]
    page.keyboard.press("y")
    assert page.locator('[data-part="count"]').inner_text() == "1 of 3 judged"

"""Whole reports in a real browser: every part is reached, nobody is kept out, and verdicts change the rate."""

import json
import shutil

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from tests.browser.test_judging import downloaded, text
from tests.worlds.browsers import DARK, PHONE, is_as_wide_as_its_window, shoot, watched
from tests.worlds.report_pages import FAST, HOSTILE, classes, noise_rate_of, report, report_of, scored, succeed
from tests.worlds.reports import scores

LOOKS = {"light": {}, "dark": DARK, "phone": PHONE, "dark phone": PHONE | DARK}
JUDGED = 60
OPEN_ALL = "document.querySelectorAll('details').forEach(one => { one.open = true })"


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model):
    return scored(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page_file(run):
    return report(run, "--judge", JUDGED, "--cards", 8)


@pytest.fixture(scope="module")
def judge_only(run):
    return report(run, "--judge-only", "--judge", JUDGED, name="judge.html")


def judge_all(page):
    for number in range(JUDGED):
        page.keyboard.press(["y", "y", "n", "Space", "1", "2"][number % 6])


def test_every_part_is_reached_by_its_link(window, page_file):
    page = window.open(page_file)
    links = page.locator("nav a").all()
    names = [link.get_attribute("href") for link in links]
    assert {"#answer", "#charts", "#judge", "#provenance"} < set(names)
    for link, name in zip(links, names, strict=True):
        link.click()
        part = page.locator(name)
        assert page.evaluate("location.hash") == name
        assert part.locator("h2").first.is_visible()
        top, nav = part.bounding_box()["y"], page.locator("nav").bounding_box()["height"]
        assert top < page.viewport_size["height"], name
        assert top >= -1 or name == "#answer", name
        assert nav < 120
    assert window.strange == []


def test_every_part_is_in_the_page_without_scripts(browser, page_file):
    with watched(browser, java_script_enabled=False) as window:
        page = window.open(page_file)
        for name in [link.get_attribute("href") for link in page.locator("nav a").all()]:
            assert page.locator(f"{name} h2").first.is_visible()
        assert page.locator("main img").count() >= 40


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("which", ["page_file", "judge_only"])
def test_nothing_sticks_out(browser, which, looks, request):
    with watched(browser, **LOOKS[looks]) as window:
        page = window.open(request.getfixturevalue(which))
        shoot(page, f"{which} {looks}")
        assert is_as_wide_as_its_window(page)
        page.evaluate(OPEN_ALL)
        assert is_as_wide_as_its_window(page)


@pytest.mark.parametrize("looks", ["light", "dark"])
@pytest.mark.parametrize("which", ["page_file", "judge_only"])
def test_nobody_is_kept_out(browser, which, looks, request):
    with watched(browser, bypass_csp=True, **LOOKS[looks]) as window:
        window.open(request.getfixturevalue(which)).evaluate(OPEN_ALL)
        assert window.serious_faults() == []


def test_hostile_captions_execute_nothing_and_request_nothing(window, page_file):
    page = window.open(page_file)
    page.evaluate(OPEN_ALL)
    page.mouse.wheel(0, 100_000)
    page.locator("#judge").focus()
    judge_all(page)
    assert page.locator("script").count() == 2
    assert page.locator("iframe, object, embed, meta[http-equiv=refresh], [onerror], [onload], base").count() == 0
    handlers = "[...document.querySelectorAll('*')].some(e => [...e.attributes].some(a => a.name.startsWith('on')))"
    assert not page.evaluate(handlers)
    assert window.strange == []


def test_a_page_for_judging_only_tells_no_score(window, judge_only, run):
    page = window.open(judge_only)
    told = page.content().replace(json.dumps(page.locator("#judge-data").text_content()), "")
    scores = pq.read_table(run / "scores")
    for name in ("score", "soft_label", "similarity"):
        for number in scores[name].drop_null().to_pylist()[:40]:
            assert f"{number:.4f}" not in told
    for word in ("noisy", "unsure", "verdict bar"):
        assert word not in page.inner_text("body").lower()


def test_the_pairs_are_those_that_sample_draws(window, judge_only, run):
    succeed("sample", run / "scores", "--n", JUDGED, "--out", run / "review.csv", "--overwrite")
    kept = pa_csv.ConvertOptions(column_types={"pair_id": "string"})
    drawn = pa_csv.read_csv(run / "review.csv", parse_options=pa_csv.ParseOptions(newlines_in_values=True),
                            read_options=pa_csv.ReadOptions(block_size=1 << 22), convert_options=kept)  # fmt: skip
    data = json.loads(window.open(judge_only).locator("#judge-data").text_content())
    names = ("pair_id", "shard", "row", "stratum")
    assert [tuple(pair[name] for name in names) for pair in data["pairs"]] == list(
        zip(*(drawn[name].to_pylist() for name in names), strict=True)
    )
    told = [[pair["stratum"], *data["strata"][pair["stratum"]].values()] for pair in data["pairs"]]
    assert told == [[row[name] for name in ("stratum", "stratum_rows", "stratum_drawn")] for row in drawn.to_pylist()]


@pytest.mark.parametrize("which", ["page_file", "judge_only"])
def test_verdicts_given_on_the_page_change_the_rate_to_what_the_page_said(window, run, which, request, tmp_path):
    page = window.open(request.getfixturevalue(which))
    if which == "page_file":
        page.locator('nav a[href="#judge"]').focus()
        page.keyboard.press("Enter")
    judge_all(page)
    assert text(page, "end-title") == "All pairs are judged"
    rate, interval = float(page.locator('[data-part="rate"]').get_attribute("value")), text(page, "interval")
    verdicts = downloaded(page, tmp_path / "judged.csv")
    words = text(page, "end").split("ncaudit score ")[1].split("\n")[0].split()
    assert words == [str(run / "embeddings"), "--verdicts", "judged.csv", "--out", str(run / "scores")]
    shutil.copytree(run / "scores", tmp_path / "scores")
    ran = succeed("score", run / "embeddings", "--verdicts", verdicts, "--out", tmp_path / "scores", "--json", *FAST)
    said, before = json.loads(ran), noise_rate_of(run / "scores")
    assert said["noise_rate"] == pytest.approx(rate, abs=1e-9)
    assert said["noise_rate"] != before
    assert (said["judged_pairs"], said["judging"]["cannot_tell"]) == (JUDGED * 5 // 6, JUDGED // 6)
    ends = f"{said['noise_rate_low']:.1%} to {said['noise_rate_high']:.1%}"
    assert interval == f"90 % interval {ends}, from {said['judged_pairs']} verdicts"
    assert noise_rate_of(tmp_path / "scores") == said["noise_rate"]


def test_why_a_pair_was_judged_so_opens_by_key(window, page_file):
    page = window.open(page_file)
    why = page.locator("main section:not(#judge) details").first
    why.locator("summary").focus()
    page.keyboard.press("Enter")
    assert why.locator("img").first.is_visible()
    assert why.locator("img").first.get_attribute("alt")


def test_every_picture_has_its_caption_in_words(window, page_file):
    page = window.open(page_file)
    missing = "[...document.querySelectorAll('main img')].filter(one => !one.getAttribute('alt')).length"
    assert page.evaluate(missing) == 0


def test_without_the_dataset_there_are_captions_and_judging_goes_on(window, run):
    page = window.open(report(run, "--judge", 10, name="captions.html", data=False))
    assert page.locator("main section:not(#judge) img").count() == 0
    page.locator("#judge").focus()
    page.keyboard.press("n")
    assert text(page, "count") == "1 of 10 judged"
    assert text(page, "picture") == "No picture: it could not be read."
    assert window.strange == []


def test_pairs_of_one_name_are_shown_and_not_judged(window, run, tmp_path):
    twice = tmp_path / "twice"
    twice.mkdir()
    source = next((run / "scores").glob("*.parquet"))
    for name in ("a", "b"):
        (twice / f"{name}.parquet").write_bytes(source.read_bytes())
    page = window.open(report_of(twice, tmp_path / "twice.html", "--judge", 600))
    assert page.locator("#judge").count() == 0
    assert "names 2 different rows" in page.inner_text("main")


@pytest.fixture(scope="module")
def classes_page(run):
    """Of class labels, a fifth of them wrong."""
    return report_of(classes(run), run / "labels.html", "--data", run / "data.parquet", "--workers", "0", "--cards", 8)


@pytest.mark.parametrize("looks", ["light", "dark phone"])
def test_a_report_of_classes_keeps_nobody_out(browser, classes_page, looks):
    with watched(browser, bypass_csp=True, **LOOKS[looks]) as window:
        page = window.open(classes_page)
        page.evaluate(OPEN_ALL)
        shoot(page, f"classes {looks}")
        assert is_as_wide_as_its_window(page)
        assert window.serious_faults() == []
        assert page.locator("main img").count() >= 8
        assert page.locator("#judge").count() == 0


def test_a_report_without_any_good_row_opens(window, tmp_path):
    rows = [{"status": "image_undecodable", "caption": words} for words in HOSTILE[:4]]
    table = scores(tmp_path / "scores" / "a.parquet", rows)
    page = window.open(report_of(table, tmp_path / "failed.html"))
    assert "No row could be scored" in page.inner_text("#answer")
    assert page.locator("#judge").count() == 0
    assert is_as_wide_as_its_window(page)
    assert window.strange == []

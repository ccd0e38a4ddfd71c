"""The page of score tables: which rows stand where, counts and rates, and what becomes of odd input."""

import base64
import hashlib
import json
import math
import os
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ncaudit
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import ReportOptions
from ncaudit.schema import REASONS
from ncaudit.verbs.report.page.render import is_report
from tests.worlds.images import drawn
from tests.worlds.reports import Page, dataset, scores

CAPTIONS = ["a cat", "a dog", "a tree", "a car", "a house", "a ship"]
VERDICTS = {0.05: "noisy", 0.2: "noisy", 0.55: "unsure", 0.7: "unsure", 0.95: "clean", 0.99: "clean"}
ROWS = [
    {"soft_label": label, "similarity": cosine, "score": label * 4, "verdict": VERDICTS[label], "caption": caption}
    for label, cosine, caption in zip(
        (0.95, 0.05, 0.55, 0.2, 0.99, 0.7), (0.2, 0.35, 0.25, 0.1, 0.4, 0.3), CAPTIONS, strict=True
    )
]


def made(tmp_path, *tables, data=None, out="report.html", **options):
    given = {"scores": [str(table) for table in tables], "out": str(tmp_path / out), "workers": 0 if data else None}
    result = ncaudit.report(ReportOptions(**{**given, "data": [str(data)] if data else None, **options}))
    return result, Page(tmp_path / out)


@pytest.fixture
def world(tmp_path):
    """A dataset of six pairs, and their scores."""
    data = dataset(tmp_path / "data" / "a.parquet", CAPTIONS)
    return scores(tmp_path / "scores" / "a.parquet", ROWS, data=data), data


def test_every_gallery_shows_its_pairs_in_its_order(tmp_path, world):
    table, data = world
    result, page = made(tmp_path, table, data=data, judge=0)
    assert page.images["worst"] == ["a dog", "a car", "a tree", "a ship", "a cat", "a house"]
    assert page.images["unsure"] == ["a tree", "a ship"]
    assert page.images["noisy-but-close"] == ["a dog", "a car"]
    assert page.images["clean-but-far"] == ["a cat", "a house"]
    assert result.galleries == {"worst": 6, "unsure": 2, "noisy-but-close": 2, "clean-but-far": 2}
    assert (result.pairs_shown, result.pictures, result.pictures_failed) == (12, 6, 0)


def test_no_more_cards_than_asked_for_and_the_count_says_how_many_there_are(tmp_path, world):
    table, data = world
    _, page = made(tmp_path, table, data=data, judge=0, cards=2)
    assert page.images["worst"] == ["a dog", "a car"]
    assert "2 of 6" in page.text["worst"]


def test_the_answer_is_the_rate_that_the_tables_tell(tmp_path, world):
    result, page = made(tmp_path, world[0])
    assert (result.noise_rate, result.noise_rate_low, result.noise_rate_high) == (0.25, 0.2, 0.3)
    assert "25.0% of the pairs look mismatched" in page.text["answer"]
    assert "An estimate that nobody has checked" in page.text["answer"]
    assert "90 % interval 20.0% to 30.0%" in page.text["answer"]
    assert "clean 2 (33%)" in page.text["answer"]
    assert f"ncaudit filter {world[0]} --min-soft-label 0.5 --out kept/" in page.text["answer"]


def test_a_rate_that_people_have_corrected_is_no_estimate_from_afar(tmp_path):
    table = scores(tmp_path / "a.parquet", ROWS, judged_pairs=7)
    answer = made(tmp_path, table)[1].text["answer"]
    assert "25.0% of the pairs are mismatched" in answer
    assert "People have judged 7 of the pairs" in answer
    assert "An estimate that nobody has checked" not in answer
    assert "\nKeep the pairs that are likelier right than wrong" in answer


def test_people_who_judged_some_tables_have_not_judged_the_rate_of_all(tmp_path):
    judged = scores(tmp_path / "a.parquet", ROWS, judged_pairs=7)
    other = scores(tmp_path / "b.parquet", ROWS, name="b.parquet", fit="f2")
    answer = made(tmp_path, judged, other)[1].text["answer"]
    assert "25.0% of the pairs look mismatched" in answer
    assert "People judged 7 pairs of some tables" in answer


def test_the_command_filters_the_dataset_where_it_can_be_written(tmp_path, world):
    table, data = world
    assert f"ncaudit filter {table} --min-soft-label 0.5 --data {data} --out kept/" in answered(tmp_path, table, data)
    listed = tmp_path / "data" / "a.csv"
    listed.write_text("caption,image\n" + "\n".join(f"{caption},{caption}.jpg" for caption in CAPTIONS), "utf-8")
    of_csv = scores(tmp_path / "csv" / "a.parquet", ROWS, data=listed, name="a.csv")
    assert f"ncaudit filter {of_csv} --min-soft-label 0.5 --out kept/" in answered(tmp_path, of_csv, listed)


def answered(tmp_path, table, data):
    return made(tmp_path, table, data=data, judge=0)[1].text["answer"]


def test_a_card_says_who_judged_it_with_their_pictures(tmp_path):
    data = dataset(tmp_path / "data" / "a.parquet", CAPTIONS)
    rows = [{**row, "image_anchor": "a/4", "text_anchor": "a/0"} if i == 1 else row for i, row in enumerate(ROWS)]
    table = scores(tmp_path / "scores" / "a.parquet", rows, data=data)
    _, page = made(tmp_path, table, data=data, judge=0, cards=1)
    assert page.images["worst"] == ["a dog", "a house", "a cat"]
    assert "nearest trusted picture" in page.text["worst"]
    assert "a.parquet, row 4" in page.text["worst"]


def test_anchors_of_other_tables_are_found(tmp_path):
    one = scores(tmp_path / "s" / "a.parquet", [{**ROWS[1], "image_anchor": "b/1"}], name="a.parquet")
    other = scores(tmp_path / "s" / "b.parquet", ROWS[4:], name="b.parquet")
    _, page = made(tmp_path, one, other, judge=0, cards=1)
    assert "a ship" in page.text["worst"]
    assert "b.parquet, row 1" in page.text["worst"]


def test_suggestions_stand_beside_what_was_given(tmp_path):
    rows = [{**ROWS[1], "suggested_caption": "a red bus", "suggested_probability": 0.8}, ROWS[0]]
    _, page = made(tmp_path, scores(tmp_path / "a.parquet", rows), judge=0)
    told = re.sub(r"\s+", " ", page.text["suggested"])
    assert "a dog" in told
    assert "suggested: a red bus fits with probability 0.80" in told
    assert "a cat" not in told


def test_generic_captions_and_placeholders_are_groups(tmp_path):
    generic = [{**ROWS[1], "caption": "photo", "reason": "generic_caption", "caption_count": 40}] * 3
    same = [
        {"reason": "placeholder_image", "image_count": 12, "image_anchor": "a/0", "caption": f"c{i}"} for i in (0, 1)
    ]
    twice = [{**ROWS[0], "reason": "duplicate", "caption_count": 2, "image_count": 2}] * 2
    table = scores(tmp_path / "a.parquet", [*generic, *({**ROWS[3], **one} for one in same), *twice])
    result, page = made(tmp_path, table, judge=0)
    assert "3 rows with this caption, which occurs 40 times" in page.text["generic-captions"]
    assert "2 rows with this picture, which occurs 12 times with its near-equals" in page.text["placeholder-images"]
    assert "c0c1" in page.text["placeholder-images"].replace("\n", "")
    assert "2 rows with the same picture and caption" in page.text["duplicates"]
    assert [result.galleries[name] for name in ("generic-captions", "placeholder-images", "duplicates")] == [3, 2, 2]


def test_shards_are_compared_where_there_are_several(tmp_path):
    tables = [
        scores(tmp_path / "s" / f"{n}.parquet", rows, name=f"{n}.parquet")
        for n, rows in (("a", ROWS[:2]), ("b", ROWS[4:]))
    ]
    _, page = made(tmp_path, *tables, judge=0)
    assert "Noise rate by shard" in page.text["charts"]
    assert "a.parquet" in page.text["strata"]
    assert "2 scored rows, 50.0% noise" in page.text["strata"]
    assert "2 scored rows, 15.5% noise" in page.text["strata"]


def test_strata_may_be_the_values_of_a_column(tmp_path):
    table = scores(tmp_path / "a.parquet", [{**row, "lang": "de" if i % 2 else "en"} for i, row in enumerate(ROWS)])
    _, page = made(tmp_path, table, judge=0, by="lang")
    assert "Noise rate by lang" in page.text["charts"]
    with pytest.raises(BadTable, match="no column tongue"):
        made(tmp_path, table, by="tongue")


def test_reliability_is_drawn_where_the_truth_is_known(tmp_path):
    rows = [{**row, "is_match": row["soft_label"] > 0.5} for row in ROWS]
    _, page = made(tmp_path, scores(tmp_path / "a.parquet", rows), judge=0)
    assert "Of 6 pairs it is known whether image and caption match" in page.text["charts"]


def test_a_review_that_people_filled_in_tells_the_truth_too(tmp_path, world):
    review = tmp_path / "review.csv"
    review.write_text("pair_id,is_match\na/0,yes\na/1,no\na/2,cannot tell\n")
    _, page = made(tmp_path, world[0], judge=0, truth="is_match", truth_table=str(review))
    assert "Of 2 pairs it is known whether image and caption match" in page.text["charts"]


def test_a_column_called_is_match_that_tells_something_else_is_left_alone(tmp_path):
    table = scores(tmp_path / "a.parquet", [{**row, "is_match": "perhaps so"} for row in ROWS])
    assert "Reliability" not in made(tmp_path, table, judge=0)[1].text["charts"]
    with pytest.raises(BadTable, match="perhaps so"):
        made(tmp_path, table, truth="is_match")


def test_without_data_there_are_captions_and_it_is_said(tmp_path, world):
    result, page = made(tmp_path, world[0])
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "There are no pictures" in page.text["answer"]
    assert any("no pictures" in note for note in result.notes)
    assert "a dog" in page.text["worst"]


def test_scores_without_labels_are_ranked_by_their_score(tmp_path):
    rows = [{"score": row["score"], "similarity": row["similarity"], "caption": row["caption"]} for row in ROWS]
    table = scores(tmp_path / "a.parquet", rows, noise_rate=None, label_means="no soft label: too few pairs")
    result, page = made(tmp_path, table, judge=0)
    assert result.noise_rate is None
    assert "No soft labels" in page.text["answer"]
    assert "too few pairs" in page.text["answer"]
    assert "--keep-share 0.8" in page.text["answer"]
    assert result.galleries == {"worst": 6}
    assert f"score{ROWS[1]['score']:.3f}" in page.text["worst"]
    assert "label" not in page.text["reading"].splitlines()
    assert "score" in page.text["reading"]


def test_values_without_labels_are_not_called_the_noisiest(tmp_path):
    rows = [{"score": row["score"], "caption": row["caption"]} for row in ROWS]
    tables = [scores(tmp_path / f"{n}.parquet", rows, name=f"{n}.parquet", noise_rate=None) for n in "ab"]
    page = made(tmp_path, *tables, judge=0)[1]
    assert "most noise" not in page.text["strata"]
    assert "by name" in page.text["strata"]


def test_pictures_that_are_all_missing_say_where_paths_start(tmp_path):
    listed = tmp_path / "data" / "a.csv"
    listed.parent.mkdir()
    listed.write_text("caption,image\n" + "\n".join(f"{caption},{caption}.jpg" for caption in CAPTIONS), "utf-8")
    table = scores(tmp_path / "a.parquet", ROWS, data=listed, name="a.csv")
    result, page = made(tmp_path, table, data=listed)
    assert "a cat.jpg: no such file" in page.text["answer"]
    assert any("--image-root" in note for note in result.notes)


def test_a_model_that_does_not_know_the_data_is_said_first(tmp_path):
    nothing = {"noise_rate": None, "no signal": {"kind": "nothing tells"}, "label_means": "no soft label: like random"}
    _, page = made(tmp_path, scores(tmp_path / "a.parquet", [{"score": 1.0}] * 3, **nothing), judge=0)
    assert "The model does not know these data" in page.text["answer"]


def test_tables_of_another_tool_have_a_page_too(tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"pair_id": ["x", "y"], "status": ["ok", "ok"], "soft_label": [0.25, 0.75]}), path)
    result, page = made(tmp_path, path, judge=0)
    assert "50.0% noise by the labels" in page.text["answer"]
    assert result.galleries == {
        "worst": 2,
        "unsure": 1,
    }


def test_a_table_whose_rows_all_failed_says_why(tmp_path):
    rows = [{"status": "image_missing", "caption": "one"}, {"status": "upstream_failed"}, {"status": "image_missing"}]
    result, page = made(tmp_path, scores(tmp_path / "a.parquet", rows))
    assert "No row could be scored" in page.text["answer"]
    assert result.galleries == {"failed": 3}
    assert "image_missing: there is no image" in page.text["failed"]
    assert "a.parquet, row 1" in page.text["failed"]
    assert any("nothing to judge" in note for note in result.notes)


def test_a_single_row_has_a_page(tmp_path):
    result, page = made(tmp_path, scores(tmp_path / "a.parquet", ROWS[1:2]))
    assert result.galleries == {"worst": 1, "noisy-but-close": 1}
    assert result.judge_pairs == 1
    assert "a dog" in page.text["worst"]


def test_an_empty_table_has_a_page(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pq.read_table(scores(path, ROWS)).slice(0, 0), path)
    assert made(tmp_path, path)[0].galleries == {}


def test_a_picture_that_no_longer_decodes_says_so_on_its_card(tmp_path):
    data = dataset(tmp_path / "data" / "a.parquet", CAPTIONS[:2], images=[b"\xff\xd8\xff broken", None])
    table = scores(tmp_path / "a.parquet", ROWS[:2], data=data)
    result, page = made(tmp_path, table, data=data, judge=0)
    assert (result.pictures, result.pictures_failed) == (0, 2)
    assert "no picture: image_undecodable" in page.text["worst"]
    assert "no picture: image_missing" in page.text["worst"]
    assert any("No picture" in note for note in result.notes)


def test_the_same_input_gives_the_same_bytes(tmp_path, world):
    table, data = world
    one, two = (made(tmp_path, table, data=data)[1].html for _ in range(2))
    os.utime(table, (0, 0))  # whenever it was written
    assert one == two == made(tmp_path, table, data=data)[1].html


def test_provenance_tells_what_made_it(tmp_path, world):
    _, page = made(tmp_path, world[0], cards=3)
    told = page.text["provenance"]
    assert "ncaudit 0.1.0 score" in told
    assert f"ncaudit report {world[0]} --out {tmp_path / 'report.html'} --cards 3" in told


def test_another_dataset_is_refused(tmp_path, world):
    other = dataset(tmp_path / "other" / "a.parquet", ["a bird", *CAPTIONS[1:]])
    with pytest.raises(BadTable, match="made from another file"):
        made(tmp_path, world[0], data=other)
    assert not (tmp_path / "report.html").exists()


def test_a_dataset_that_lacks_a_shard_is_refused(tmp_path):
    a = dataset(tmp_path / "data" / "a.parquet", CAPTIONS)
    b = dataset(tmp_path / "data" / "b.parquet", CAPTIONS[::-1])
    tables = [scores(tmp_path / "s" / path.name, ROWS, data=path, name=path.name) for path in (a, b)]
    with pytest.raises(BadTable, match=r"no shard b\.parquet, which .*b\.parquet has scored \(found: a\.parquet\)"):
        made(tmp_path, *tables, data=a)


def test_without_a_fingerprint_the_captions_tell_another_dataset(tmp_path):
    table = scores(tmp_path / "a.parquet", ROWS)
    same, other = (
        dataset(tmp_path / name / "a.parquet", [first, *CAPTIONS[1:]])
        for name, first in (("x", "a cat"), ("y", "a bird"))
    )
    assert made(tmp_path, table, data=same)[0].pictures == 6
    with pytest.raises(BadTable, match="has another caption for"):
        made(tmp_path, table, data=other)


def test_a_dataset_of_fewer_rows_is_refused(tmp_path):
    table = scores(tmp_path / "a.parquet", [{**row, "caption": None} for row in ROWS])
    with pytest.raises(BadTable, match="has no row 4"):
        made(tmp_path, table, data=dataset(tmp_path / "data" / "a.parquet", CAPTIONS[:4]))


def test_a_shard_that_was_renamed_is_known_by_its_content(tmp_path, world):
    table, data = world
    moved = data.rename(data.with_name("moved.parquet"))
    assert made(tmp_path, table, data=moved, judge=0)[0].pictures == 6


def test_captions_come_from_the_dataset_where_the_table_carries_none(tmp_path, world):
    bare = tmp_path / "bare" / "a.parquet"
    scores(bare, [{k: v for k, v in row.items() if k != "caption"} for row in ROWS], data=world[1])
    _, page = made(tmp_path, bare, data=world[1], judge=0)
    assert page.images["unsure"] == ["a tree", "a ship"]


@pytest.mark.parametrize("mine", ["<html>mine</html>", ""])
def test_a_file_of_somebody_else_is_not_replaced_unless_told_so(tmp_path, world, mine):
    (tmp_path / "report.html").write_text(mine)
    with pytest.raises(NcauditError, match="is there already"):
        made(tmp_path, world[0])
    assert (tmp_path / "report.html").read_text() == mine
    made(tmp_path, world[0], overwrite=True)
    assert is_report(str(tmp_path / "report.html"))


def test_a_report_of_ours_is_replaced_also_where_it_was_copied_to(tmp_path, world):
    made(tmp_path, world[0])
    (tmp_path / "copy.html").write_bytes((tmp_path / "report.html").read_bytes())
    assert made(tmp_path, world[0], out="copy.html", cards=1)[0].pairs_shown == 4


def test_a_report_that_somebody_has_changed_is_theirs(tmp_path, world):
    made(tmp_path, world[0])
    path = tmp_path / "report.html"
    path.write_text(path.read_text() + "<p>my notes</p>")
    with pytest.raises(NcauditError, match="as it is now"):
        made(tmp_path, world[0])


def test_an_input_is_never_written_over(tmp_path, world):
    table = tmp_path / "scores.html"
    table.write_bytes(world[0].read_bytes())
    with pytest.raises(NcauditError, match="is an input"):
        made(tmp_path, table, out="scores.html", overwrite=True)


def test_the_folder_of_out_is_made(tmp_path, world):
    made(tmp_path, world[0], out="new/folder/report.html")


def test_pictures_shrink_until_the_page_is_small_enough(tmp_path, world):
    table, data = world
    whole, _ = made(tmp_path, table, data=data)
    small, _ = made(tmp_path, table, data=data, max_mib=math.floor(whole.page_bytes / 2**20 * 0.9 * 1000) / 1000)
    assert small.page_bytes < whole.page_bytes or any("as small as they get" in note for note in small.notes)


def test_the_judge_sees_neither_score_nor_verdict(tmp_path):
    rows = [{**ROWS[i % 6], "score": float(i), "soft_label": i / 100} for i in range(100)]
    _, page = made(tmp_path, scores(tmp_path / "a.parquet", rows), judge=40, judge_only=True)
    told = next(json.loads(text) for attrs, text in page.scripts if attrs.get("type") == "application/json")
    assert len(told["pairs"]) == 40
    assert set(told["pairs"][0]) == {"pair_id", "shard", "row", "caption", "image", "stratum", "caption_characters"}
    assert sum(stratum["rows"] for stratum in told["strata"]) == 100
    drawn = [pair["row"] for pair in told["pairs"]]
    assert drawn != sorted(drawn)
    assert all(pair["stratum"] == pair["row"] // 10 for pair in told["pairs"])
    assert set(page.text) <= {"", "judge"}


def test_the_pairs_to_judge_are_those_that_sample_draws(tmp_path):
    rows = [{**ROWS[i % 6], "score": float(i), "soft_label": i / 100} for i in range(100)]
    table = scores(tmp_path / "a.parquet", rows)
    _, page = made(tmp_path, table, judge=30, seed=3)
    ncaudit.sample(ncaudit.SampleOptions(scores=[str(table)], out=str(tmp_path / "review.parquet"), n=30, seed=3))
    told = next(json.loads(text) for attrs, text in page.scripts if attrs.get("type") == "application/json")
    assert [pair["pair_id"] for pair in told["pairs"]] == pq.read_table(tmp_path / "review.parquet")[
        "pair_id"
    ].to_pylist()


def test_reports_of_different_tables_keep_their_verdicts_apart(tmp_path):
    keys = set()
    for n in (20, 30):
        _, page = made(tmp_path, scores(tmp_path / f"{n}.parquet", [ROWS[0]] * n), judge=10)
        keys |= {json.loads(text)["key"] for attrs, text in page.scripts if attrs.get("type") == "application/json"}
    assert len(keys) == 2


def test_only_our_script_may_run(tmp_path, world):
    _, page = made(tmp_path, world[0])
    inline = [text for attrs, text in page.scripts if attrs.get("type") != "application/json"]
    assert len(inline) == 1
    digest = base64.b64encode(hashlib.sha256(inline[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert "default-src 'none'" in page.policy
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert not [a for tag, a in page.tags if tag in {"link", "iframe", "object", "base", "form"}]
    addresses = [str(a.get(name)) for _, a in page.tags for name in ("src", "href", "xlink:href") if name in a]
    assert all(address.startswith(("#", "data:image/")) for address in addresses)


def test_a_page_without_pairs_to_judge_runs_no_script(tmp_path, world):
    _, page = made(tmp_path, world[0], judge=0)
    assert not page.scripts
    assert "script-src 'none'" in page.policy


HOSTILE = [
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", '" onerror="alert(1)', "a\u202egpj.exe",
    "x" * 1_000_000, "nul\x00nul", "{{ 7 * 7 }}", "]]><!--", "&lt;b&gt;", "' onmouseover='alert(1)",
]  # fmt: skip


def test_hostile_words_are_text_wherever_they_stand(tmp_path):
    rows = [
        {**ROWS[1], "caption": text, "pair_id": f"{text[:40]}{i}", "suggested_caption": text, "lang": text[:50],
         "suggested_probability": 0.5, "reason": REASONS[i % 4],
         "image_anchor": f"{HOSTILE[0][:40]}0", "caption_count": 12, "image_count": 12, "score": float(i)}
        for i, text in enumerate(HOSTILE)
    ]  # fmt: skip
    rows += [{"status": text[:60], "caption": text} for text in HOSTILE]
    name = "<b onclick=x>.parquet"
    table = scores(tmp_path / name, rows, name=name, label_means="<script>alert(2)</script>")
    _, page = made(tmp_path, table, by="lang")
    known = {"section", "script", "h1", "h2", "h3", "p", "img", "li", "ul", "bdi", "span", "style", "title", "meta"}
    assert "onerror" not in {name for _, attrs in page.tags for name in attrs}
    assert not [a for tag, a in page.tags if tag in known and any(n.startswith("on") for n in a)]
    assert len([1 for attrs, _ in page.scripts if attrs.get("type") != "application/json"]) == 1
    assert "<script>alert(1)</script>" in page.text["worst"]
    assert "⟨U+202E⟩" in page.text["worst"]
    assert "nul⟨U+0000⟩nul" in page.text["worst"]
    assert "\x00" not in page.html
    assert "\u202e" not in page.html
    assert "{{ 7 * 7 }}" in page.text["worst"]
    assert "(1,000,000 characters, cut)" in page.text["worst"]
    assert len(page.html) < 1_000_000


def test_headings_are_in_order_and_every_picture_has_words(tmp_path, world):
    table, data = world
    _, page = made(tmp_path, table, data=data)
    assert page.headings[0] == 1
    assert all(later - earlier <= 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))
    assert all(alt for alts in page.images.values() for alt in alts)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}
    assert targets <= set(ids)


@pytest.mark.parametrize(
    "options",
    [{"out": "page.pdf"}, {"cards": 0}, {"judge": 1}, {"judge_only": True, "judge": 0}, {"image_root": "x"},
     {"max_mib": 0}, {"truth_table": "x.csv"}, {"judge_only": True, "cards": 3}, {"out": "hf://b/r.html"},
     {"scores": ["-"]}],
    ids=str,
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(UsageError):
        ReportOptions(**{"scores": ["s"], **options})


def test_a_stream_is_no_dataset_of_a_report(tmp_path, world):
    with pytest.raises(UsageError, match="--data is -"):
        made(tmp_path, world[0], data="-")


def test_text_that_is_not_utf8_is_shown_as_far_as_it_can_be(tmp_path):
    path = tmp_path / "a.parquet"
    table = pq.read_table(scores(path, [{**row, "reason": "duplicate"} for row in ROWS]))
    strange = pa.array([b"a\xffb"] * 6).view(pa.string())
    for name in ("caption", "shard"):
        table = table.set_column(table.schema.get_field_index(name), name, strange)
    pq.write_table(table, path)
    _, page = made(tmp_path, path)
    assert "a\ufffdb" in page.text["worst"]


def test_a_caption_of_several_lines_is_shown_by_the_line_that_was_scored(tmp_path):
    data = dataset(tmp_path / "data" / "a.parquet", ["a cat\na dog", "a tree\na car"])
    rows = [{"pair_id": f"a/{i // 2}/{i % 2}", "row": i // 2, "soft_label": (0.9, 0.2, 0.7, 0.1)[i]} for i in range(4)]
    table = scores(tmp_path / "a.parquet", rows, data=data)
    _, page = made(tmp_path, table, data=data, judge=0, caption_lines=True)
    assert page.images["worst"] == ["a car", "a dog", "a tree", "a cat"]


def test_by_a_key_the_pairs_of_another_version_of_the_dataset_are_found(tmp_path, world):
    rows = pq.read_table(world[1]).take([5, 4, 3, 2, 1, 0])
    again = rows.append_column("name", pa.array([f"a/{i}" for i in (5, 4, 3, 2, 1, 0)]))
    pq.write_table(again, tmp_path / "again.parquet")
    _, page = made(tmp_path, world[0], data=world[1], judge=0)
    _, other = made(tmp_path, world[0], data=tmp_path / "again.parquet", judge=0, key="name")
    pictures = [[attrs["src"] for tag, attrs in one.tags if tag == "img"] for one in (page, other)]
    assert pictures[0] == pictures[1] != []


def test_two_datasets_whose_files_are_called_alike_keep_their_pictures(tmp_path):
    tables, sources = [], []
    for name, first in (("one", 0), ("other", 7)):
        images = [drawn(first + i, (48, 32), "JPEG") for i in (0, 1)]
        data = dataset(tmp_path / name / "a.parquet", CAPTIONS[:2], images=images)
        rows = [{**row, "pair_id": f"{name}{i}"} for i, row in enumerate(ROWS[:2])]
        tables.append(str(scores(tmp_path / f"{name}.parquet", rows, data=data)))
        sources.append(str(data))
    ncaudit.report(
        ReportOptions(scores=tables, data=sources, out=str(tmp_path / "report.html"), judge=0, cards=4, workers=0)
    )
    page = Page(tmp_path / "report.html")
    large = {str(attrs["src"]) for tag, attrs in page.tags if tag == "img" and attrs["width"] == "48"}
    assert len(large) == 4

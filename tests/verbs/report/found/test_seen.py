"""A report is the same bytes wherever its tables are read: parts of them, joined out of their order."""

from contextlib import contextmanager

import numpy as np
import pytest

import ncaudit
from ncaudit.options import ReportOptions
from ncaudit.verbs.report import report as module
from tests.verbs.report.test_of_labels import label_table
from tests.worlds import sites
from tests.worlds.reports import scores

REASONS = ("generic_caption", "placeholder_image", "duplicate", "mismatch", None)
SIZES = (60, 1, 170, 9)


def score_tables(folder, **said):
    rng, number = np.random.default_rng(3), 0
    for table, size in enumerate(SIZES):
        rows = []
        for _ in range(size):
            label = float(rng.random())
            rows.append({
                "soft_label": label, "score": 4 * label, "similarity": float(rng.random()),
                "verdict": "noisy" if label < 0.5 else "unsure" if label < 0.9 else "clean",
                "reason": REASONS[number % 5], "caption": f"caption {number % 11}",
                "caption_count": 11 + number % 3, "image_count": 12, "source": f"s{number % 4}",
                "image_anchor": f"{(number * 7) % 4}/{number % 60}", "is_match": bool(rng.random() < label),
            })  # fmt: skip
            number += 1
        rows[0] |= {"soft_label": None, "score": None, "verdict": None, "status": "image_missing"}
        scores(folder / f"{table}.parquet", rows, name=f"{table}.parquet", **said)
    return [str(folder)]


def both(monkeypatch, tmp_path, **options):
    """The page, made here and elsewhere; what they tell; how many jobs were done there."""
    options, made = {"out": str(tmp_path / "page.html"), **options}, []
    site = sites.Elsewhere()

    @contextmanager
    def elsewhere(options, out):
        yield site

    for change in (False, True):
        if change:
            monkeypatch.setattr(module, "site_of", elsewhere)
        told = ncaudit.report(ReportOptions(**options))
        made.append(((tmp_path / "page.html").read_bytes(), told))
    assert made[0] == made[1]
    return made[0][0].decode(), site


@pytest.mark.parametrize(
    "options", [{}, {"by": "source", "judge": 20}, {"judge": 0, "cards": 3}, {"judge_only": True, "judge": 10}]
)
def test_the_page_of_scores_is_the_same(monkeypatch, tmp_path, options):
    page, site = both(monkeypatch, tmp_path, scores=score_tables(tmp_path / "scores"), **options)
    assert site.jobs
    assert set(site.jobs) == {len(SIZES)}
    assert "judge_only" in options or "Generic captions" in page


@pytest.mark.parametrize("with_places", [False, True])
def test_the_page_with_truth_in_a_file_is_the_same(monkeypatch, tmp_path, with_places):
    tables, places = score_tables(tmp_path / "scores"), ("shard,row," if with_places else "")
    lines = [f"{n // 60}/{n % 60}," + (f"{n // 60}.parquet,{n % 60}," if places else "") for n in (2, 5, 121, 130, 144)]
    names = [f"{line}{number % 2}" for number, line in enumerate(lines)]
    (tmp_path / "truth.csv").write_text(f"pair_id,{places}truth\n" + "\n".join(names) + "\n")
    told = {"truth": "truth", "truth_table": str(tmp_path / "truth.csv")}
    page, _ = both(monkeypatch, tmp_path, scores=tables, judge=0, **told)
    assert "Of 5 pairs it is known" in page


def test_the_page_of_classes_is_the_same(monkeypatch, tmp_path):
    rng = np.random.default_rng(4)
    for number, size in enumerate(SIZES):
        rows = [
            {"given_label": f"c{i % 5}", "label_quality": float(rng.random()), "partition": ("pure", "noisy")[i % 2],
             "suggested_label": f"c{i % 3}", "why": [f"a/{i % 9}"], "pair_id": f"{number}/{i}"}
            for i in range(size)
        ]  # fmt: skip
        label_table(tmp_path / "labels" / f"{number}.parquet", None, rows)
    page, site = both(monkeypatch, tmp_path, scores=[str(tmp_path / "labels")])
    assert set(site.jobs) == {len(SIZES)}
    assert "Worst labels" in page

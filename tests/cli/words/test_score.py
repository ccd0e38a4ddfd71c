"""The words of `score`: rate with its interval, verdicts with their cuts, and only what there is to tell."""

from typing import Any

from ncaudit.cli.words.score import lines
from ncaudit.engines.local import Accounting
from ncaudit.verbs.score.score import ScoreResult

CUTS = {"noisy_below": 0.5, "clean_from": 0.9}


def scored(facts: dict[str, Any] | None = None, **changes: Any) -> ScoreResult:
    told: dict[str, Any] = {
        "out": "scores",
        "scorer": "bicro",
        "fit_id": "0123",
        "fit_facts": {"cuts": CUTS, **(facts or {})},
        "label_means": "what it means",
        "noise_rate": 0.25,
        "noise_rate_low": 0.2,
        "noise_rate_high": 0.301,
        "rates": (),
        "verdicts": {"noisy": 1_200, "clean": 3_000},
        "reasons": {},
        "suggestions": None,
        "power": (),
        "mean_soft_label": 0.75,
        "mean_similarity": 0.3,
        "share_below_half": 0.2,
        "accounting": Accounting(1, 0, (), {"ok": 4_200}),
        "seconds": 1.0,
    }
    return ScoreResult(**told | changes)


def test_rate_interval_verdicts_and_cuts_are_told():
    assert lines(scored()) == [
        "bicro (fit 0123): what it means",
        "noise rate 25.0% (90 % interval 20.0% to 30.1%)",
        "mean soft label 0.750: 3,000 clean, 0 unsure, 1,200 noisy (noisy below 0.50, clean from 0.90)",
        "4,200 rows = 4,200 ok + 0 failed (1 shard)",
        "next: ncaudit filter scores --min-soft-label 0.5 --out kept/",
        "also: ncaudit show scores (the worst pairs, and why; ncaudit report makes a page with pictures)",
        "also: ncaudit sample scores --out review.csv (people judge some pairs: how far is the rate to be trusted?)",
    ]


def test_without_labels_the_similarity_and_the_notes_are_all_there_is():
    no_label = {"noise_rate": None, "mean_soft_label": None, "notes": ("few pairs",), "reasons": {"mismatch": 3}}
    told = ["mean similarity 0.300", "note: few pairs"]
    assert lines(scored(**no_label))[1:-3] == told
    assert lines(scored(**no_label))[-2] == "next: ncaudit filter scores --keep-share 0.8 --out kept/"
    assert lines(scored(**no_label, mean_similarity=None))[1:-3] == ["note: few pairs"]


def test_where_nobody_can_tell_people_are_to_look_before_anything_is_kept():
    blind = scored({"no signal": {"kind": "nothing tells"}}, noise_rate=None, mean_soft_label=None)
    assert lines(blind)[-1] == "next: ncaudit sample scores --out review.csv (look at a few pairs: do they match?)"


def test_what_the_fit_rests_on_is_told_in_its_order_and_notes_come_last():
    facts = {"compared": {"csls": 0.9, "bicro": 0.8}, "space": "shared", "regime": "as it is"}
    result = scored(facts, reasons={"mismatch": 1_000, "duplicate": 2}, suggestions=1_100, notes=("look",))
    assert lines(result)[3:-4] == [
        "chosen on these data (AUROC of the pairs against random and same-topic ones): csls 0.900, bicro 0.800",
        "space: shared; as it is",
        "reasons: 2 duplicate, 1,000 mismatch",
        "captions suggested for 1,100 of 1,200 noisy pairs",
        "note: look",
    ]


def test_sources_like_the_pool_are_one_line():
    names = {"a": (0.25, 0.0), "b": (0.5, 0.0), "c": (0.25, -0.125), "d": (0.25, 0.0)}
    strata = [{"name": n, "noise_rate": rate, "null_shift": s, "rows": 1_000} for n, (rate, s) in names.items()]
    facts = {"stratified_by": "shards", "strata": strata, "noise_rate": {"rate": 0.25}}
    assert lines(scored(facts))[3:-4] == [
        "calibrated by shards, as they differ beyond chance:",
        "  b: noise rate 50.0% of 1,000 pairs, its random pairs score +0.00",
        "  c: noise rate 25.0% of 1,000 pairs, its random pairs score -0.12",
        "  2 more like the pool",
    ]


def test_power_comes_before_the_notes():
    power = {"scorer": "bicro", "estimated_auroc_random": 0.9, "standard_error": 0.01, "auroc": {}, "caught": {}}
    told = lines(scored(power=[power], notes=("look",)))
    assert told[3].startswith("power on these data")
    assert told[-5] == "note: look"


def test_nothing_comes_next_for_a_stream_or_for_the_dataset_itself():
    assert all(
        not line.startswith("next") for more in ({"out": "-"}, {"dataset": True}) for line in lines(scored(**more))
    )


def test_judged_pairs_and_how_far_the_judges_agree_are_told():
    both = {"pairs": 120, "disputed": 6, "share": 0.95, "alpha": 0.875}
    judging = {"judges": 2, "cannot_tell": 4, "disputed": 6, "changed_ids": 30, "agreement": both}
    assert lines(scored(judged_pairs=180, judging=judging))[3:-3] == [
        "corrected by 180 judged pairs; 4 verdicts are cannot tell",
        "2 judges agree on 95.0% of the 120 pairs that two or more judged (Krippendorff's alpha 0.88); "
        "the 6 disputed ones count as cannot tell",
        "note: 30 rows of the verdicts were found by shard and row: "
        "their pair_id was changed, as spreadsheet programs do",
    ]
    alike = {**both, "disputed": 0, "share": 1.0, "alpha": None}
    assert (
        "alpha not defined, as all say the same)"
        in lines(scored(judged_pairs=9, judging={"judges": 2, "agreement": alike}))[4]
    )
    apart = {"pairs": 0, "disputed": 0, "share": None, "alpha": None}
    assert (
        "no pair that two of them judged" in lines(scored(judged_pairs=9, judging={"judges": 2, "agreement": apart}))[4]
    )

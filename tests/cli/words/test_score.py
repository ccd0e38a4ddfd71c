"""The words of `score`: the rate and the worst captions first, then what next, what it means and what it rests on."""

from typing import Any

from ncaudit.cli.layout.rendering import plain
from ncaudit.cli.words import score
from ncaudit.engines.local import Accounting
from ncaudit.verbs.score.score import ScoreResult
from ncaudit.verbs.score.worst import WorstPair

CUTS = {"noisy_below": 0.5, "clean_from": 0.9}


def lines(result: Any) -> list[str]:
    return plain(score.lines(result))


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


def between(result: ScoreResult) -> list[str]:
    """What is told between the cuts and the accounts."""
    told = lines(result)
    return told[[line.startswith("mean soft label") for line in told].index(True) + 1 : -1]


def test_the_answer_comes_first_then_what_to_do_then_what_it_means():
    pair = WorstPair(pair_id="0/7", caption="a red car", soft_label=0.001, score=-3.0)
    assert lines(scored(worst=(pair,))) == [
        "noise rate 25.0% (90 % interval 20.0% to 30.1%)",
        "3,000 clean, 0 unsure, 1,200 noisy",
        "the worst captions",
        "soft label  pair  caption",
        "     0.001  0/7   a red car",
        "next: ncaudit filter scores --min-soft-label 0.5 --out kept/",
        "also: ncaudit show scores",
        "      the worst pairs, and why; `report`: with pictures",
        "also: ncaudit sample scores --out review.csv",
        "      judge some pairs: is the rate right?",
        "",
        "bicro: what it means",
        "mean soft label 0.750; noisy below 0.50, clean from 0.90",
        "4,200 rows = 4,200 ok + 0 failed (1 shard)",
    ]
    assert "bicro, fit 0123" in plain(score.lines(scored()), verbose=True)


def test_the_verdicts_have_their_colours():
    _, verdicts, *_ = score.lines(scored())
    assert [(span.text, span.meaning) for span in verdicts.text if span.meaning] == [
        ("3,000 clean", "clean"),
        ("0 unsure", "unsure"),
        ("1,200 noisy", "noisy"),
    ]


def test_without_labels_the_worst_are_told_by_their_scores():
    pair = WorstPair(pair_id="0/7", caption=None, soft_label=None, score=-3.0)
    told = lines(scored(mean_soft_label=None, noise_rate=None, worst=(pair,)))
    assert told[2:5] == ["the worst pairs", " score  pair", "-3.000  0/7"]


def test_without_labels_the_similarity_and_the_notes_are_all_there_is():
    no_label = {"noise_rate": None, "mean_soft_label": None, "notes": ("few pairs",), "reasons": {"mismatch": 3}}
    told = lines(scored(**no_label))
    assert told[:3] == [
        "bicro: what it means",
        "mean similarity 0.300",
        "next: ncaudit filter scores --keep-share 0.8 --out kept/",
    ]
    assert told[-2] == "note: few pairs"
    assert lines(scored(**no_label, mean_similarity=None))[1].startswith("next")


def test_where_nobody_can_tell_people_are_to_look_before_anything_is_kept():
    pair = WorstPair(pair_id="0/7", caption="a red car", soft_label=None, score=-3.0)  # is not worse than others
    blind = scored({"no signal": {"kind": "nothing tells"}}, noise_rate=None, mean_soft_label=None, worst=(pair,))
    assert lines(blind)[2:4] == [
        "next: ncaudit sample scores --out review.csv",
        "      look at a few pairs: do they match?",
    ]


def test_what_the_fit_rests_on_is_told_in_its_order_and_notes_come_last():
    facts = {"compared": {"csls": 0.9, "bicro": 0.8}, "space": "shared", "regime": "as it is"}
    result = scored(facts, reasons={"mismatch": 1_000, "duplicate": 2}, suggestions=1_100, notes=("look",))
    assert between(result) == [
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
    assert between(scored(facts)) == [
        "calibrated by shards, as they differ beyond chance:",
        "  b: noise rate 50.0% of 1,000 pairs, its random pairs score +0.00",
        "  c: noise rate 25.0% of 1,000 pairs, its random pairs score -0.12",
        "  2 more like the pool",
    ]


def test_power_comes_before_the_notes():
    power = {"scorer": "bicro", "estimated_auroc_random": 0.9, "standard_error": 0.01, "auroc": {}, "caught": {}}
    told = between(scored(power=[power], notes=("look",)))
    assert told[1].startswith("power on these data")
    assert told[-2:] == ["", "note: look"]


def test_nothing_comes_next_for_a_stream_or_for_the_dataset_itself():
    assert all(
        not line.startswith("next") for more in ({"out": "-"}, {"dataset": True}) for line in lines(scored(**more))
    )


def test_judged_pairs_and_how_far_the_judges_agree_are_told():
    both = {"pairs": 120, "disputed": 6, "share": 0.95, "alpha": 0.875}
    judging = {"judges": 2, "cannot_tell": 4, "disputed": 6, "changed_ids": 30, "agreement": both}
    rate, corrected, *_ = lines(scored(judged_pairs=180, judging=judging))
    assert rate.startswith("noise rate")
    assert corrected == "corrected by 180 judged pairs; 4 verdicts are cannot tell"
    assert between(scored(judged_pairs=180, judging=judging)) == [
        "2 judges agree on 95.0% of the 120 pairs that two or more judged (Krippendorff's alpha 0.88); "
        "the 6 disputed ones count as cannot tell",
        "note: 30 rows of the verdicts were found by shard and row: "
        "their pair_id was changed, as spreadsheet programs do",
    ]
    alike = {**both, "disputed": 0, "share": 1.0, "alpha": None}
    assert (
        "alpha not defined, as all say the same)"
        in between(scored(judged_pairs=9, judging={"judges": 2, "agreement": alike}))[0]
    )
    apart = {"pairs": 0, "disputed": 0, "share": None, "alpha": None}
    told = between(scored(judged_pairs=9, judging={"judges": 2, "agreement": apart}))
    assert "no pair that two of them judged" in told[0]

"""What `score` tells at its end: the noise rate, the verdicts, what they rest on. Knows its result only."""

from collections.abc import Mapping, Sequence
from typing import Any

from ncaudit.cli.layout.vocabulary import (
    Detail,
    Meaning,
    Span,
    Told,
    Words,
    command,
    headline,
    item,
    note,
    prose,
    value,
)
from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.cli.shared.user_text import shown
from ncaudit.cli.words import power, worst
from ncaudit.counts import counted
from ncaudit.judging.evidence import NOTHING, UNKNOWN
from ncaudit.options import STREAM
from ncaudit.schema import VERDICTS
from ncaudit.verbs.score.score import ScoreResult

PARTS = "next: the same command with --slice I/N in place of --fit-only, I from 0"
BY_VERDICTS = (
    "next: the parts, with --fit FIT (what --save-fit kept) and --slice I/N, I from 0, in place of --fit-only,"
    " --save-fit and --verdicts"
)


def lines(result: ScoreResult) -> Words:
    """The summary for people: the answer, what to do next, what the answer means, and what it rests on."""
    if result.fit_only:
        return _fitted(result)
    return [
        *told(result),
        *([] if is_unknown(result) else worst.lines(result.worst)),
        *_next(result),
        *_meaning(result),
        *_judges(result),
        *noted(result.notes),
        *accounting(result.accounting),
    ]


def _fitted(result: ScoreResult) -> Words:
    """What a fit for all parts tells, and how a part is scored."""
    return [
        *_rate(result),
        f"{result.scorer}, fit {result.fit_id}: {result.label_means}",
        f"fit and counts of repeats are kept in {result.out} for all parts",
        BY_VERDICTS if result.judged_pairs is not None else PARTS,
        *_details(result),
        *noted(result.notes),
    ]


def told(result: ScoreResult) -> Words:
    """The rate and the verdicts alone, or why there are none."""
    if not _has_labels(result):
        means = Told((Span(result.label_means),), head=Span(f"{result.scorer}: "))
        return [means, *_parts(result.rates), *_similarity(result.mean_similarity)]
    return [*_rate(result), *_corrected(result), _verdicts(result)]


def is_unknown(result: ScoreResult) -> bool:
    """Whether nothing tells right pairs from wrong ones: the worst and the best of these scores are any pairs."""
    return bool((result.fit_facts.get(NOTHING) or {}).get("kind") == UNKNOWN)


def _has_labels(result: ScoreResult) -> bool:
    return result.mean_soft_label is not None and "cuts" in result.fit_facts  # labels may be those of somebody else


def _meaning(result: ScoreResult) -> Words:
    """What the labels are, where the first line does not say it already."""
    fit = f"{result.scorer}, fit {result.fit_id}"
    if not _has_labels(result):
        return [Detail([fit])]
    return [
        "",
        value(result.scorer, result.label_means),
        Detail([fit]),
        f"mean soft label {result.mean_soft_label:.3f}; {_cuts(result)}",
        *_details(result),
    ]


def _next(result: ScoreResult) -> Words:
    """Score tables are there to be filtered, and to be judged by people where nobody has yet."""
    if result.dataset or result.out == STREAM or not result.accounting.ok:
        return []
    if result.part is not None:
        return [command("ncaudit", "status", result.out, why="how far all parts are")]
    out, review = result.out, ("--out", "review.csv")
    if is_unknown(result):
        return [command("ncaudit", "sample", out, *review, why="look at a few pairs: do they match?")]
    rule = ("--min-soft-label", "0.5") if result.mean_soft_label is not None else ("--keep-share", "0.8")
    kept = command("ncaudit", "filter", out, *rule, "--out", "kept/")
    seen = command("ncaudit", "show", out, lead="also: ", why="the worst pairs, and why; `report`: with pictures")
    if result.mean_soft_label is None or result.judged_pairs is not None:
        return [kept, seen]
    drawn = command("ncaudit", "sample", out, *review, lead="also: ", why="judge some pairs: is the rate right?")
    return [kept, seen, drawn]


def _similarity(mean: float | None) -> list[str]:
    return [] if mean is None else [f"mean similarity {mean:.3f}"]


def _rate(result: ScoreResult) -> list[Told]:
    if result.noise_rate is None:  # of some rows alone
        return _parts(result.rates)
    interval = _interval(result.noise_rate_low, result.noise_rate_high)
    return [headline(f"noise rate {result.noise_rate:.1%}", f" ({interval})"), *_parts(result.rates)]


def _interval(low: float | None, high: float | None) -> str:
    return f"90 % interval {low or 0:.1%} to {high or 0:.1%}"


def _parts(rates: Sequence[Mapping[str, Any]]) -> list[Told]:
    """The rates of rows that the fit saw and of those that came later; nothing where all rows have one."""
    return [item(_part(one)) for one in rates]


def _part(one: Mapping[str, Any]) -> str:
    more = f" and {one['shard_count'] - 1:,} more" if one["shard_count"] > 1 else ""
    which = "seen by the fit" if one["seen_by_fit"] else "came after the fit"
    rows = f"{counted(one['rows'], 'row')} of {shown(one['shards'][0])}{more}, {which}"
    if one["noise_rate"] is None:
        return f"{rows}: {one['label_means']}"
    told = f"{one['noise_rate']:.1%} ({_interval(one['noise_rate_low'], one['noise_rate_high'])})"
    if one["seen_by_fit"]:
        return f"{rows}: {told}"
    if not one["estimated"]:
        return f"{rows}: too few for a rate of their own, that of the fit is taken ({one['rate_of_fit']:.1%})"
    return f"{rows}: {told}, their own; that of the fit is {one['rate_of_fit']:.1%}"


def _corrected(result: ScoreResult) -> Words:
    """From how many pairs that people judged the rate and the labels are."""
    if result.judged_pairs is None:
        return []
    unclear = (result.judging or {}).get("cannot_tell")
    more = f"; {counted(unclear, 'verdict is', 'verdicts are')} cannot tell" if unclear else ""
    return [f"corrected by {counted(result.judged_pairs, 'judged pair')}{more}"]


def _judges(result: ScoreResult) -> Words:
    """How far the judges agree, and how their pairs were found."""
    judging = {} if result.judged_pairs is None else result.judging or {}
    return [*_agreement(judging), *_changed(judging.get("changed_ids") or 0)]


def _changed(ids: int) -> list[Told]:
    how = f"{'its' if ids == 1 else 'their'} pair_id was changed, as spreadsheet programs do"
    rows = counted(ids, "row of the verdicts was", "rows of the verdicts were")
    return [note(f"{rows} found by shard and row: {how}")] if ids else []


def _agreement(judging: Mapping[str, Any]) -> list[str]:
    both = judging.get("agreement")
    if both is None:
        return []
    if not both["pairs"]:
        return [f"{judging['judges']} judges, and no pair that two of them judged: how far they agree is not known"]
    alpha = "not defined, as all say the same" if both["alpha"] is None else f"{both['alpha']:.2f}"
    share = f"agree on {both['share']:.1%} of the {counted(both['pairs'], 'pair')} that two or more judged"
    ones = counted(both["disputed"], "disputed one counts", "disputed ones count")
    disputed = f"; the {ones} as cannot tell" if both["disputed"] else ""
    return [f"{judging['judges']} judges {share} (Krippendorff's alpha {alpha}){disputed}"]


def _verdicts(result: ScoreResult) -> Told:
    parts: list[Span | str] = []
    for word in VERDICTS:
        parts += [Span(f"{result.verdicts.get(word, 0):,} {word}", Meaning(word)), ", "]
    return prose(*parts[:-1])


def _cuts(result: ScoreResult) -> str:
    cuts = result.fit_facts["cuts"]
    return f"noisy below {cuts['noisy_below']:.2f}, clean from {cuts['clean_from']:.2f}"


def _details(result: ScoreResult) -> Words:
    facts = result.fit_facts
    return [
        *_chosen(facts.get("compared", {})),
        *([f"space: {facts['space']}; {facts['regime']}"] if "space" in facts else []),
        *_calibrated_by(facts),
        *_reasons(result.reasons),
        *_suggested(result),
        *(["", *power.lines(result.power), ""] if result.power else []),
    ]


def _chosen(compared: Mapping[str, float]) -> list[str]:
    """Which scorer `auto` took, and how the others did."""
    if not compared:
        return []
    told = ", ".join(f"{name} {value:.3f}" for name, value in compared.items())
    return [f"chosen on these data (AUROC of the pairs against random and same-topic ones): {told}"]


def _calibrated_by(facts: Mapping[str, Any]) -> Words:
    if not facts.get("strata"):
        return []
    head = f"calibrated by {facts['stratified_by']}, as they differ beyond chance:"
    return [head, *_strata(facts["strata"], facts["noise_rate"]["rate"])]


def _strata(strata: Sequence[Mapping[str, Any]], pool: float) -> list[Told]:
    """The sources whose rate or whose random pairs differ; how many are like the pool is told in one line."""
    apart = [one for one in strata if one["noise_rate"] != pool or one["null_shift"]]
    told = [
        item(
            f"{one['name']}: noise rate {one['noise_rate']:.1%} of {counted(one['rows'], 'pair')}, "
            f"its random pairs score {one['null_shift']:+.2f}"
        )
        for one in apart
    ]
    return [*told, item(f"{len(strata) - len(apart)} more like the pool")] if len(apart) < len(strata) else told


def _reasons(reasons: Mapping[str, int]) -> list[str]:
    told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
    return [f"reasons: {told}"] if told else []


def _suggested(result: ScoreResult) -> list[str]:
    if result.suggestions is None:
        return []
    noisy = counted(result.verdicts.get("noisy", 0), "noisy pair")
    return [f"captions suggested for {result.suggestions:,} of {noisy}"]

"""What `eval retrieval` and `eval scores` tell at their end. Knows their results; nothing of how they are measured."""

from collections.abc import Sequence

from ncaudit.cli.layout.vocabulary import Column, Kind, Table, Told, Words, item
from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.cli.shared.user_text import shown
from ncaudit.counts import counted
from ncaudit.verbs.evaluate.class_retrieval import ClassRetrievals
from ncaudit.verbs.evaluate.prior_scores import Disagreement, PriorScore
from ncaudit.verbs.evaluate.retrieval import LabelledRetrievalResult, RetrievalResult
from ncaudit.verbs.evaluate.scores import DetectionResult, ScoresResult


def retrieval_lines(result: RetrievalResult) -> Words:
    """Recalls, with classes their precision too, and which rows they are about."""
    by_class = result.by_class if isinstance(result, LabelledRetrievalResult) else None
    return [
        _recalls(result),
        *([_precision(by_class)] if by_class else []),
        f"{counted(result.metrics.images, 'image')}, {counted(result.metrics.captions, 'caption')}",
        *(_unlabelled(by_class) if by_class else []),
        *noted(result.notes),
        *accounting(result.accounting),
    ]


def scores_lines(result: ScoresResult) -> Words:
    """What the scores know of the truth, and how they stand to the scores that were asked about."""
    judged = result if isinstance(result, DetectionResult) else None
    return [
        *(_detection(judged) if judged else []),
        *(line for prior in result.against for line in _against(prior)),
        *noted(result.notes),
        *accounting(result.accounting),
    ]


def _recalls(result: RetrievalResult) -> Table:
    m = result.metrics
    rows = [
        ["image to caption", *(f"{r:.1f}" for r in (m.i2t_r1, m.i2t_r5, m.i2t_r10)), f"{m.i2t_median_rank:g}"],
        ["caption to image", *(f"{r:.1f}" for r in (m.t2i_r1, m.t2i_r5, m.t2i_r10)), f"{m.t2i_median_rank:g}"],
    ]
    return Table(f"Recall in %, rSum {m.rsum:.1f} of 600", ["", "R@1", "R@5", "R@10", "median rank"], rows)


def _precision(found: ClassRetrievals) -> Table:
    ways = {"image to caption": found.image_to_text, "caption to image": found.text_to_image}
    rows = [[name, f"{way.map_all:.3f}", f"{way.map_at_k:.3f}"] for name, way in ways.items()]
    classes = counted(found.classes, "class", "classes")
    title = f"Mean average precision (1 = perfect), {classes} of {found.label_column}"
    return Table(title, ["", "all", f"@{found.image_to_text.k}"], rows)


def _unlabelled(found: ClassRetrievals) -> list[str]:
    one, many = "ok row has no class and is left out", "ok rows have no class and are left out"
    return [f"{counted(found.unlabelled, one, many)} of the precision"] if found.unlabelled else []


def _detection(result: DetectionResult) -> Words:
    return [_found(result), *_calibration(result), *_truth(result)]


def _found(result: DetectionResult) -> Table:
    columns = {"soft_label": result.soft_label, "similarity": result.similarity, "score": result.score}
    rows = [
        [name, _share(d.auroc), _share(d.average_precision), _share(d.precision_at_true_count), f"{d.pairs:,}"]
        for name, d in columns.items()
        if d is not None
    ]
    wrong = counted(result.mismatched, "mismatch", "mismatches")
    title = f"Finding {wrong} among {counted(result.judged, 'pair')} (1 = perfect)"
    return Table(title, ["", "AUROC", "average precision", "precision at true count", "pairs"], rows)


def _calibration(result: DetectionResult) -> list[Table]:
    if result.reliability is None:
        return []
    rows = [
        [f"{b.low:.3f} to {b.high:.3f}", f"{b.mean_probability:.3f}", f"{b.observed:.3f}", f"{b.count:,}"]
        for b in result.reliability
    ]
    title = f"Calibration error {result.calibration_error:.3f}"
    return [Table(title, ["soft label", "mean", "truly match", "pairs"], rows)]


def _truth(result: DetectionResult) -> Words:
    columns = (result.soft_label, result.similarity, result.score)
    notes = noted(dict.fromkeys(d.note for d in columns if d is not None and d.note))
    one, many = "ok row has no truth and is left out", "ok rows have no truth and are left out"
    missing = [counted(result.truth_missing, one, many)] if result.truth_missing else []
    one, many = "pair of the truth table has no score", "pairs of the truth table have no score"
    unused = [counted(result.truth_unused, one, many)] if result.truth_unused else []
    return [*notes, *missing, *unused]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _against(prior: PriorScore) -> Words:
    """One prior score beside ours."""
    found = [
        ("score", prior.spearman_score, prior.pairs),
        ("soft_label", prior.spearman_soft_label, prior.pairs_soft_label),
    ]
    both = [f"{ours} {_correlation(rho)} over {counted(pairs, 'pair')}" for ours, rho, pairs in found if pairs]
    column = shown(prior.column)
    ways = [(f"{prior.ranked_by} high, {column} low", prior.ours_higher)]
    ways.append((f"{column} high, {prior.ranked_by} low", prior.prior_higher))
    told: Words = [f"{column} against ours, rank correlation: {', '.join(both) or 'no pair has both'}"]
    told += _better(prior, column)
    for title, pairs in ways:
        told += [_disagreement(title, pairs, prior.ranked_by, column)] if pairs else []
    return told


def _better(prior: PriorScore, column: str) -> list[Told]:
    if prior.auroc is None:
        return []
    both = f"{column} {prior.auroc.second:.3f}, {prior.ranked_by} {prior.auroc.first:.3f}"
    told = f"AUROC on the same pairs: {both}, difference ± {1.96 * prior.auroc.standard_error:.3f}"
    if prior.better is None:
        return [item(f"{told}: no clear difference")]
    return [item(f"{told}: {shown(prior.better)} is better at finding these mismatches")]


def _disagreement(title: str, pairs: Sequence[Disagreement], ours: str, column: str) -> Table:
    """The pairs, and above which share of all of them each score puts them."""
    header = [Column("pair", Kind.place), Column(f"{ours} above"), Column(f"{column} above")]
    header += [Column("caption", Kind.caption)] if any(pair.caption is not None for pair in pairs) else []
    rows = [[pair.pair_id, f"{pair.score_share:.0%}", f"{pair.prior_share:.0%}", pair.caption or ""] for pair in pairs]
    return Table(title, header, [row[: len(header)] for row in rows])


def _correlation(rho: float | None) -> str:
    return "undefined (one of them is constant)" if rho is None else f"{rho:.3f}"

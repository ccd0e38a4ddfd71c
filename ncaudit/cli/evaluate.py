"""`ncaudit eval`: how well a matcher retrieves, how well scores find mismatches, how they stand to other scores."""

from typing import TYPE_CHECKING, Annotated

import typer

from ncaudit.cli.shared import flags, output
from ncaudit.options import EvalRetrievalOptions, EvalScoresOptions

if TYPE_CHECKING:
    from ncaudit.verbs.evaluate.class_retrieval import ClassRetrievals
    from ncaudit.verbs.evaluate.prior_scores import Disagreement, PriorScore
    from ncaudit.verbs.evaluate.retrieval import RetrievalResult
    from ncaudit.verbs.evaluate.scores import DetectionResult

app = typer.Typer(no_args_is_help=True, help="Measure retrieval, or scores against a known truth or other scores.")


@app.command()
def retrieval(
    embeddings: Annotated[list[str], typer.Argument(help="Embedding tables: what `ncaudit embed` wrote.")],
    features: flags.Features = EvalRetrievalOptions.features,
    model: flags.Heads = EvalRetrievalOptions.model,
    label_column: Annotated[
        str | None,
        typer.Option(help="Column with classes (text, whole numbers or lists): adds the mean average precision."),
    ] = EvalRetrievalOptions.label_column,
    map_at: Annotated[
        int, typer.Option(help="Also the mean average precision of the first so many items, 1 or more.")
    ] = EvalRetrievalOptions.map_at,
    device: flags.Device = EvalRetrievalOptions.device,
    as_json: flags.Json = False,
) -> None:
    """Recall of captions by images and of images by captions.

    At 1, 5 and 10, in percent; an image with several captions counts a hit on any of them.
    With --label-column also the mean average precision: an item is right when it shares any class with the query.
    """
    options = EvalRetrievalOptions(
        embeddings=embeddings, features=features, model=model, label_column=label_column, map_at=map_at, device=device
    )
    from ncaudit.verbs.evaluate.retrieval import eval_retrieval

    with output.progress() as progress:
        result = eval_retrieval(options, progress)
    if not as_json:
        _draw_retrieval(result)
    asked = f"{result.metrics.images:,} images, {result.metrics.captions:,} captions"
    notes = [f"note: {note}" for note in result.notes]
    output.result(result, [asked, *_unlabelled(result), *notes, *output.accounting(result.accounting)], as_json=as_json)


@app.command()
def scores(
    scores: Annotated[list[str], typer.Argument(help="Score tables: what `ncaudit score` wrote.")],
    truth: Annotated[
        str | None,
        typer.Option(help="Column that says whether a pair belongs together: boolean, 0/1 or true/false."),
    ] = EvalScoresOptions.truth,
    truth_table: Annotated[
        str | None, typer.Option(help="Parquet or CSV with pair_id and that column; default: the score tables.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="A score that the pairs came with, any column of numbers (repeatable): rank correlation with ours, "
            "and the pairs on which they disagree. similarity means input_similarity too, the input's own column."
        ),
    ] = None,
    bins: Annotated[
        int, typer.Option(help="Bins of the calibration error, of about equal numbers of pairs.")
    ] = EvalScoresOptions.bins,
    as_json: flags.Json = False,
) -> None:
    """How well the scores find known mismatches, or how they stand to the scores that the pairs came with.

    With --truth: for soft label, similarity and score; and how honest the soft label is as a probability.
    With --against: how far another score agrees, where it does not, and, with --truth too, which one is better.
    """
    options = EvalScoresOptions(scores=scores, truth=truth, truth_table=truth_table, against=against or (), bins=bins)
    from ncaudit.verbs.evaluate.scores import DetectionResult, eval_scores

    with output.progress() as progress:
        result = eval_scores(options, progress)
    judged = result if isinstance(result, DetectionResult) else None
    if judged and not as_json:
        _draw_detection(judged)
    lines = [*(_truth_lines(judged) if judged else []), *(line for p in result.against for line in _against_lines(p))]
    output.result(result, [*lines, *output.accounting(result.accounting)], as_json=as_json)


def _draw_retrieval(result: "RetrievalResult") -> None:
    m = result.metrics
    rows = [
        ["image to caption", *(f"{r:.1f}" for r in (m.i2t_r1, m.i2t_r5, m.i2t_r10)), f"{m.i2t_median_rank:g}"],
        ["caption to image", *(f"{r:.1f}" for r in (m.t2i_r1, m.t2i_r5, m.t2i_r10)), f"{m.t2i_median_rank:g}"],
    ]
    title = f"Recall in %, rSum {m.rsum:.1f} of 600"
    output.table(title, ["", "R@1", "R@5", "R@10", "median rank"], rows)
    if found := _by_class(result):
        ways = {"image to caption": found.image_to_text, "caption to image": found.text_to_image}
        drawn = [[name, f"{way.map_all:.3f}", f"{way.map_at_k:.3f}"] for name, way in ways.items()]
        title = f"Mean average precision (1 = perfect), {found.classes:,} classes of {found.label_column}"
        output.table(title, ["", "all", f"@{found.image_to_text.k}"], drawn)


def _by_class(result: "RetrievalResult") -> "ClassRetrievals | None":
    found: ClassRetrievals | None = getattr(result, "by_class", None)  # only with a label column
    return found


def _unlabelled(result: "RetrievalResult") -> list[str]:
    found = _by_class(result)
    left_out = f"{found.unlabelled:,} ok rows have no class and are left out of the precision" if found else ""
    return [left_out] if found and found.unlabelled else []


def _draw_detection(result: "DetectionResult") -> None:
    columns = {"soft_label": result.soft_label, "similarity": result.similarity, "score": result.score}
    rows = [
        [name, _share(d.auroc), _share(d.average_precision), _share(d.precision_at_true_count), f"{d.pairs:,}"]
        for name, d in columns.items()
        if d is not None
    ]
    title = f"Finding {result.mismatched:,} mismatches among {result.judged:,} pairs (1 = perfect)"
    output.table(title, ["", "AUROC", "average precision", "precision at true count", "pairs"], rows)
    if result.reliability is not None:
        bins = [
            [f"{b.low:.3f} to {b.high:.3f}", f"{b.mean_probability:.3f}", f"{b.observed:.3f}", f"{b.count:,}"]
            for b in result.reliability
        ]
        title = f"Calibration error {result.calibration_error:.3f}"
        output.table(title, ["soft label", "mean", "truly match", "pairs"], bins)


def _truth_lines(result: "DetectionResult") -> list[str]:
    columns = (result.soft_label, result.similarity, result.score)
    notes = dict.fromkeys(f"note: {d.note}" for d in columns if d is not None and d.note)
    missing = [f"{result.truth_missing:,} ok rows have no truth and are left out"] if result.truth_missing else []
    unused = [f"{result.truth_unused:,} pairs of the truth table have no score"] if result.truth_unused else []
    return [*notes, *missing, *unused]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _against_lines(prior: "PriorScore") -> list[str]:
    """One prior score beside ours."""
    found = [
        ("score", prior.spearman_score, prior.pairs),
        ("soft_label", prior.spearman_soft_label, prior.pairs_soft_label),
    ]
    told = [f"{ours} {_correlation(rho)} over {pairs:,} pairs" for ours, rho, pairs in found if pairs]
    column = output.shown(prior.column)
    ways = [(f"{prior.ranked_by} high, {column} low", prior.ours_higher)]
    ways.append((f"{column} high, {prior.ranked_by} low", prior.prior_higher))
    lines = [f"{column} against ours, rank correlation: {', '.join(told) or 'no pair has both'}"]
    lines += _better_lines(prior, column)
    for title, pairs in ways:
        lines += [f"  {title}:", *(_disagreement(pair, prior.ranked_by, column) for pair in pairs)] if pairs else []
    return lines


def _better_lines(prior: "PriorScore", column: str) -> list[str]:
    if prior.auroc is None:
        return []
    both = f"{column} {prior.auroc.second:.3f}, {prior.ranked_by} {prior.auroc.first:.3f}"
    told = f"  AUROC on the same pairs: {both}, difference ± {1.96 * prior.auroc.standard_error:.3f}"
    if prior.better is None:
        return [f"{told}: no clear difference"]
    return [f"{told}: {output.shown(prior.better)} is better at finding these mismatches"]


def _disagreement(pair: "Disagreement", ours: str, column: str) -> str:
    caption = f": {output.shown(pair.caption)}" if pair.caption is not None else ""
    higher = f"{ours} above {pair.score_share:.0%} of the pairs, {column} above {pair.prior_share:.0%}"
    return f"    {output.shown(pair.pair_id)} ({higher}){caption}"


def _correlation(rho: float | None) -> str:
    return "undefined (one of them is constant)" if rho is None else f"{rho:.3f}"

"""`ncaudit eval`: how well a matcher retrieves, how well scores find mismatches, how they stand to other scores."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.ending import Computing
from ncaudit.cli.shared.given import checked
from ncaudit.options import EvalRetrievalOptions, EvalScoresOptions

app = typer.Typer(no_args_is_help=True, help="Measure retrieval, or scores against a known truth or other scores.")


@app.command(cls=Computing)
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
    max_row_bytes: flags.MaxRowBytes = EvalRetrievalOptions.max_row_bytes,
    device: flags.Device = EvalRetrievalOptions.device,
    as_json: flags.Json = False,
) -> None:
    """Recall of captions by images and of images by captions.

    At 1, 5 and 10, in percent; an image with several captions counts a hit on any of them.
    With --label-column also the mean average precision: an item is right when it shares any class with the query.
    """
    options = EvalRetrievalOptions(
        embeddings=embeddings, features=features, model=model, label_column=label_column, map_at=map_at,
        max_row_bytes=max_row_bytes, device=device,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.evaluate import retrieval_lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.evaluate.retrieval import eval_retrieval

    with live.progress() as progress:
        result = eval_retrieval(options, progress)
    output.result(result, retrieval_lines(result), as_json=as_json)


@app.command(cls=Computing)
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
    max_row_bytes: flags.MaxRowBytes = EvalScoresOptions.max_row_bytes,
    as_json: flags.Json = False,
) -> None:
    """How well the scores find known mismatches, or how they stand to the scores that the pairs came with.

    With --truth: for soft label, similarity and score; and how honest the soft label is as a probability.
    With --against: how far another score agrees, where it does not, and, with --truth too, which one is better.
    """
    options = EvalScoresOptions(
        scores=scores, truth=truth, truth_table=truth_table, against=against or (), bins=bins,
        max_row_bytes=max_row_bytes,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.evaluate import scores_lines
    from ncaudit.verbs.evaluate.scores import eval_scores

    with live.progress() as progress:
        result = eval_scores(options, progress)
    output.result(result, scores_lines(result), as_json=as_json)

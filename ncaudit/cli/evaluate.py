"""`ncaudit eval`: how well a matcher retrieves, how well scores find mismatches, how they stand to other scores."""

import typer

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.kinds import Computing, Group
from ncaudit.cli.commands.spec import Example
from ncaudit.options import EvalRetrievalOptions, EvalScoresOptions
from ncaudit.progress import Progress

OF_RETRIEVAL = (
    Example("Recall at 1, 5 and 10, both ways.", "ncaudit eval retrieval embeddings/"),
    Example("And how well classes are found.", "ncaudit eval retrieval embeddings/ --label-column class --map-at 100"),
)
OF_SCORES = (
    Example("Against a column that knows the truth.", "ncaudit eval scores scores/ --truth is_match"),
    Example("Against a score that the pairs came with.", "ncaudit eval scores scores/ --against similarity"),
)
app = typer.Typer(cls=Group, help="Measure retrieval, or scores against a known truth or other scores.")


@app.command(cls=Computing)
@command(EvalRetrievalOptions, OF_RETRIEVAL)
def retrieval(options: EvalRetrievalOptions, progress: Progress) -> Answer:
    """Recall of captions by images and of images by captions.

    At 1, 5 and 10, in percent; an image with several captions counts a hit on any of them.
    With --label-column also the mean average precision: an item is right when it shares any class with the query.
    """
    from ncaudit.cli.words.evaluate import retrieval_lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.evaluate.retrieval import eval_retrieval

    result = eval_retrieval(options, progress)
    return Answer(result, retrieval_lines(result))


@app.command(cls=Computing)
@command(EvalScoresOptions, OF_SCORES)
def scores(options: EvalScoresOptions, progress: Progress) -> Answer:
    """How well the scores find known mismatches, or how they stand to the scores that the pairs came with.

    With --truth: for soft label, similarity and score; and how honest the soft label is as a probability.
    With --against: how far another score agrees, where it does not, and, with --truth too, which one is better.
    """
    from ncaudit.cli.words.evaluate import scores_lines
    from ncaudit.verbs.evaluate.scores import eval_scores

    result = eval_scores(options, progress)
    return Answer(result, scores_lines(result))

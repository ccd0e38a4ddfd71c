"""What `embed` tells at its end: where embeddings are, of which model. Knows its result only."""

from ncaudit.cli.layout.vocabulary import Words, command
from ncaudit.cli.shared.accounts import accounting, noted
from ncaudit.counts import counted
from ncaudit.encoders.open_clip import ModelIdentity
from ncaudit.options import STREAM
from ncaudit.verbs.embed.embed import EmbedResult


def lines(result: EmbedResult) -> Words:
    """The summary for people."""
    named = f"column {result.key}" if result.key else "shard and row"
    where = "on standard output" if result.out == STREAM else f"in {result.out}"
    return [
        *accounting(result.accounting),
        *_captions(result),
        f"embeddings {where}, {_dims(result.model)} dimensions; pairs are named by {named}",
        *_next(result),
        _model(result.model, result.batch_pairs),
        *noted(result.notes),
    ]


def _next(result: EmbedResult) -> Words:
    if result.out == STREAM or not result.accounting.ok:
        return []
    if result.part is not None:
        return [command("ncaudit", "status", result.out, why="how far all parts are")]
    return [command("ncaudit", "score", result.out, "--out", "scores/")]


def _dims(model: ModelIdentity) -> str:
    return f"{model.image_dims}" if model.image_dims == model.text_dims else f"{model.image_dims}/{model.text_dims}"


def _captions(result: EmbedResult) -> list[str]:
    """Rows with several captions are counted twice over: once here, once in the accounts."""
    pairs = result.accounting.rows
    rows = counted(result.input_rows, "input row with several captions is", "input rows with several captions are")
    told = f"{rows} {counted(pairs, 'pair')}, a row of the tables each"
    return [told] if pairs != result.input_rows else []


def _model(model: ModelIdentity, batch_pairs: int) -> str:
    weights = f"weights {model.weight_hash[:12]}" + (f", heads {model.heads[:12]}" if model.heads else "")
    return f"by {model.name}, {model.activation}, {model.precision}, {weights}, batches of {batch_pairs}"

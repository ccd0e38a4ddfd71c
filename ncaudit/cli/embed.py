"""`ncaudit embed`: raw shards to embedding tables."""

from ncaudit.cli.commands.command import Answer, command
from ncaudit.cli.commands.spec import Example
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.options import EmbedOptions
from ncaudit.progress import Progress

EXAMPLES = (
    Example("Every shard of a folder.", "ncaudit embed data/ --out embeddings"),
    Example(
        "The captions' column named, and another model of open_clip.",
        "ncaudit embed data/ --caption-column caption --model ViT-L-14 --out embeddings",
    ),
    Example("As a stream, for another tool.", "ncaudit embed data/ --out - --format jsonl > embeddings.jsonl"),
)


@command(EmbedOptions, EXAMPLES)
def embed(options: EmbedOptions, progress: Progress) -> Answer:
    """Embed every image and caption with one model.

    Rerun the same command to resume: finished shards are kept. A stream (--out -) begins anew. --overwrite also embeds
    a folder again that holds another model's embeddings.
    """
    from ncaudit.cli.words.embed import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.embed.embed import embed as run

    embedded = run(options, progress)
    return Answer(embedded, lines(embedded), exit_code(embedded.accounting, options.max_failed))

"""`ncaudit inspect`: what is this, and what to do with it."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.exit_codes import TOO_MANY_FAILED
from ncaudit.options import InspectOptions


def inspect(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="A dataset, tables of ncaudit, embeddings, a model, heads or a fit: files, folders, globs."
        ),
    ],
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    caption_lines: flags.CaptionLines = InspectOptions.caption_lines,
    key: flags.Key = None,
    image_root: flags.ImageRoot = None,
    max_row_bytes: flags.MaxRowBytes = InspectOptions.max_row_bytes,
    features: flags.Features = InspectOptions.features,
    as_json: flags.Json = False,
) -> None:
    """Tell what this is, what it holds and what is wrong with it, and the next command to run.

    Reads the light columns once and a sample of 64 images; nothing is written, no model is loaded.
    """
    options = InspectOptions(
        sources=sources, image_column=image_column, caption_column=caption_column, caption_lines=caption_lines,
        key=key, image_root=image_root,
        max_row_bytes=max_row_bytes, features=features,
    )  # fmt: skip
    from ncaudit.cli.words.inspect import lines
    from ncaudit.verbs.inspect.findings import ShardsInspection
    from ncaudit.verbs.inspect.inspect import inspect as run  # --help must not pay for arrow

    with live.progress() as progress:
        found = run(options, progress)
    output.result(found, lines(found), as_json=as_json)
    damaged = isinstance(found, ShardsInspection) and (found.damaged or found.without_pairs)
    raise typer.Exit(TOO_MANY_FAILED if damaged else 0)

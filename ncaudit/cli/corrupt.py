"""`ncaudit corrupt`: a dataset with known noise, to measure on."""

from typing import Annotated

import typer

from ncaudit.cli import flags, output
from ncaudit.options import CorruptKind, CorruptOptions


def corrupt(
    sources: Annotated[list[str], typer.Argument(help="The dataset: parquet files, folders or globs.")],
    out: Annotated[str, typer.Option(help="Folder for the dataset with swapped captions and its truth.")],
    rate: Annotated[float, typer.Option(help="Share of the pairs with a caption whose caption is swapped, 0 to 1.")],
    kind: Annotated[
        CorruptKind,
        typer.Option(help="shuffle: any captions; topic: those of the same image cluster; near: one of the nearest."),
    ] = CorruptOptions.kind,
    embeddings: Annotated[
        list[str] | None,
        typer.Option(help="Embedding tables of this dataset for topic and near (repeatable); default: caption words."),
    ] = None,
    clusters: Annotated[int, typer.Option(help="topic: clusters of similar images.")] = CorruptOptions.clusters,
    nearest: Annotated[int, typer.Option(help="near: the nearest captions that one is taken from.")] = (
        CorruptOptions.nearest
    ),
    seed: flags.Seed = CorruptOptions.seed,
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    image_root: flags.ImageRoot = None,
    as_json: flags.Json = False,
) -> None:
    """Swap a known share of the captions.

    Writes the dataset back with the columns is_match, caption_of and noise_type, which tell the truth.
    """
    options = CorruptOptions(
        sources=sources, out=out, rate=rate, kind=kind, embeddings=embeddings, clusters=clusters, nearest=nearest,
        seed=seed, image_column=image_column, caption_column=caption_column, image_root=image_root,
    )  # fmt: skip
    from ncaudit.verbs.corrupt import corrupt as run  # torch takes seconds to import; --help must not pay for it

    with output.progress() as progress:
        result = run(options, progress)
    output.result(result, result.lines() + output.accounting(result.accounting), as_json=as_json)
    raise typer.Exit(output.exit_code(result.accounting, max_failed=1.0))

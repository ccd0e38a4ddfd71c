"""`ncaudit corrupt`: a dataset with known noise, to measure on."""

from typing import TYPE_CHECKING, Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.cli.shared.given import checked
from ncaudit.options import CorruptKind, CorruptOptions

if TYPE_CHECKING:
    from ncaudit.progress import Progress
    from ncaudit.verbs.corrupt.captions import CorruptResult
    from ncaudit.verbs.corrupt.classes import CorruptLabelsResult


def corrupt(
    sources: Annotated[
        list[str],
        typer.Argument(help="The dataset: parquet files, folders or globs; for labels also embedding tables."),
    ],
    out: Annotated[str, typer.Option(help="Folder for the corrupted dataset and its truth.")],
    rate: Annotated[
        float, typer.Option(help="Share of the pairs with a caption (a label) whose caption (label) changes, 0 to 1.")
    ],
    kind: Annotated[
        CorruptKind,
        typer.Option(
            help="shuffle: any captions; topic: those of the same image cluster; near: one of the nearest; "
            "label-symmetric: labels become any class; label-asymmetric: each class becomes one other."
        ),
    ] = CorruptOptions.kind,
    label_column: Annotated[
        str | None, typer.Option(help="label kinds: the column with the class, or a list of classes, of each pair.")
    ] = CorruptOptions.label_column,
    embeddings: Annotated[
        list[str] | None,
        typer.Option(
            help="Embedding tables of this dataset for topic, near and label-asymmetric (repeatable); "
            "default: caption words, and for labels the order of the classes."
        ),
    ] = None,
    clusters: Annotated[int, typer.Option(help="topic: clusters of similar images.")] = CorruptOptions.clusters,
    nearest: Annotated[int, typer.Option(help="near: the nearest captions that one is taken from.")] = (
        CorruptOptions.nearest
    ),
    seed: flags.Seed = CorruptOptions.seed,
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    image_root: flags.ImageRoot = None,
    max_row_bytes: flags.MaxRowBytes = CorruptOptions.max_row_bytes,
    overwrite: flags.Overwrite = CorruptOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Swap a known share of the captions, or change a known share of the class labels.

    Writes the dataset back with columns that tell the truth: is_match, caption_of and noise_type, or for labels
    true_label, label_is_right and noise_type.
    """
    options = CorruptOptions(
        sources=sources, out=out, rate=rate, kind=kind, label_column=label_column, embeddings=embeddings,
        clusters=clusters, nearest=nearest, seed=seed, image_column=image_column, caption_column=caption_column,
        image_root=image_root, max_row_bytes=max_row_bytes, overwrite=overwrite,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.corrupt import lines  # torch takes seconds to import; --help must not pay for it

    with live.progress() as progress:
        result = _run(options, progress)
    output.result(result, lines(result), as_json=as_json)
    raise typer.Exit(exit_code(result.accounting, max_failed=1.0))


def _run(options: CorruptOptions, progress: "Progress") -> "CorruptResult | CorruptLabelsResult":
    if options.kind.of_labels:
        from ncaudit.verbs.corrupt.classes import corrupt_labels

        return corrupt_labels(options, progress)
    from ncaudit.verbs.corrupt.captions import corrupt

    return corrupt(options, progress)

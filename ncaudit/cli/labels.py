"""`ncaudit labels`: which given classes are wrong, and what they should be."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.cli.shared.given import checked
from ncaudit.errors import UsageError
from ncaudit.options import LabelsOptions, StreamFormat


def labels(
    embeddings: Annotated[
        list[str],
        typer.Argument(
            help="Embedding tables, from `ncaudit embed` or any with both embeddings; or - for a stream on standard "
            "input."
        ),
    ],
    label_column: Annotated[
        str,
        typer.Option(help="Column with the classes: text, whole numbers, or lists of them; null: unlabelled."),
    ],
    out: Annotated[
        str, typer.Option(help="A folder (one table per shard), NAME.parquet (one table), or - for standard output.")
    ],
    features: flags.Features = LabelsOptions.features,
    k: Annotated[
        int | None, typer.Option("--k", help="Neighbours that vote in each modality; by default 10 to 50, by the data.")
    ] = LabelsOptions.k,
    model: flags.Heads = LabelsOptions.model,
    seed: flags.Seed = LabelsOptions.seed,
    device: flags.Device = LabelsOptions.device,
    redo: Annotated[
        bool, typer.Option("--redo", help="Judge and write every shard again: what labels itself has written.")
    ] = LabelsOptions.redo,
    stream_format: Annotated[
        StreamFormat, typer.Option("--format", help="How --out - writes rows.")
    ] = LabelsOptions.format,
    csv_safe: flags.CsvSafe = LabelsOptions.csv_safe,
    max_row_bytes: flags.MaxRowBytes = LabelsOptions.max_row_bytes,
    max_failed: flags.MaxFailed = LabelsOptions.max_failed,
    overwrite: flags.Overwrite = LabelsOptions.overwrite,
    prune: flags.Prune = LabelsOptions.prune,
    as_json: flags.Json = False,
) -> None:
    """Judge the class that every pair was given: the chance that it is right, and the class to give instead.

    Each pair is judged by its neighbours in both modalities, without its own class. Also tells how many labels are
    wrong, and which classes are taken for which. Rerun the same command to resume.
    """
    if as_json and out == "-":
        raise UsageError("--json and --out - both want standard output", fix="give one of them")
    options = LabelsOptions(
        embeddings=embeddings, out=out, label_column=label_column, features=features, k=k, model=model,
        seed=seed, device=device, redo=redo, format=stream_format, csv_safe=csv_safe, max_failed=max_failed,
        max_row_bytes=max_row_bytes, overwrite=overwrite, prune=prune,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.labels import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.labels.labels import labels as run

    with live.progress() as progress:
        found = run(options, progress)
    output.result(found, lines(found), as_json=as_json, to_stderr=out == "-")
    raise typer.Exit(exit_code(found.accounting, max_failed))

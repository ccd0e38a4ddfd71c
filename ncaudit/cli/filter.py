"""`ncaudit filter`: the pairs worth keeping."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.exit_codes import TOO_MANY_FAILED
from ncaudit.cli.shared.given import checked
from ncaudit.errors import UsageError
from ncaudit.options import FilterForm, FilterOptions, StreamFormat, Verdict


def filter_pairs(
    scores: Annotated[
        list[str], typer.Argument(help="Score tables, from `ncaudit score`; or - for a stream on standard input.")
    ],
    out: Annotated[
        str,
        typer.Option(help="A folder (one file per shard), NAME.parquet (one table), or - for standard output."),
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(help="The scored dataset: write its rows, as they are, instead of the score tables'."),
    ] = None,
    min_soft_label: Annotated[
        float | None, typer.Option(help="Keep pairs with at least this soft label, 0 to 1.")
    ] = FilterOptions.min_soft_label,
    verdict: Annotated[
        list[Verdict] | None, typer.Option(help="Keep pairs with this verdict (repeatable: any of them).")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="Keep pairs for which this holds, e.g. \"width >= 200 and lang in ('en', 'de') and url is not null\"."
        ),
    ] = FilterOptions.where,
    keep_share: Annotated[
        float | None,
        typer.Option(help="Keep this share of the ok pairs that pass the rules above, best score first; above 0 to 1."),
    ] = FilterOptions.keep_share,
    keep_share_by: Annotated[
        str | None,
        typer.Option(
            help="Keep that share of each value of this column, rounded down: rare values do not lose to common ones."
        ),
    ] = FilterOptions.keep_share_by,
    kept_precision: Annotated[
        float | None,
        typer.Option(
            help="Keep the most pairs whose mean soft label is at least this, above 0 to 1: their expected precision, "
            "as good as the labels are. Instead of --keep-share."
        ),
    ] = FilterOptions.kept_precision,
    write_as: Annotated[
        FilterForm,
        typer.Option(
            "--as",
            help="rows; datacomp-uids: a sorted NAME.npy of uids; ids: a text file, one per line; weights: "
            "NAME.parquet, key and soft label.",
        ),
    ] = FilterOptions.write_as,
    key: Annotated[
        str | None,
        typer.Option(
            help="With --data: its column that holds the pair_ids, where it is not the file that was scored. With "
            "--as: the column that is written; by default pair_id, for datacomp-uids uid."
        ),
    ] = FilterOptions.key,
    repeat_by_weight: Annotated[
        str | None,
        typer.Option(help="datacomp-uids: a column of whole numbers; each uid is written that many times."),
    ] = FilterOptions.repeat_by_weight,
    dropped: Annotated[
        str | None,
        typer.Option(help="Write what is dropped here, with the reason: a folder, or NAME.parquet if --out is a file."),
    ] = FilterOptions.dropped,
    stream_format: Annotated[
        StreamFormat, typer.Option("--format", help="How --out - writes rows.")
    ] = FilterOptions.format,
    csv_safe: flags.CsvSafe = FilterOptions.csv_safe,
    max_row_bytes: flags.MaxRowBytes = FilterOptions.max_row_bytes,
    overwrite: flags.Overwrite = FilterOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Keep the pairs that are worth keeping.

    A pair is kept when every rule given agrees; one that could not be scored is dropped, with its status as the reason.
    Equal scores are ordered by pair_id. Rerun the same command to resume.
    """
    if as_json and out == "-":
        raise UsageError("--json and --out - both want standard output", fix="give one of them")
    options = FilterOptions(
        scores=scores,
        out=out,
        data=data,
        min_soft_label=min_soft_label,
        verdict=verdict,
        where=where,
        keep_share=keep_share,
        keep_share_by=keep_share_by,
        kept_precision=kept_precision,
        write_as=write_as,
        key=key,
        repeat_by_weight=repeat_by_weight,
        dropped=dropped,
        format=stream_format,
        csv_safe=csv_safe,
        max_row_bytes=max_row_bytes,
        overwrite=overwrite,
    )
    checked(options)
    from ncaudit.cli.words.filter import lines
    from ncaudit.verbs.filter.filter import filter_pairs as run  # --help must not pay for arrow

    with live.progress() as progress:
        result = run(options, progress)
    output.result(result, lines(result), as_json=as_json, to_stderr=out == "-")
    raise typer.Exit(TOO_MANY_FAILED if result.shard_errors else 0)

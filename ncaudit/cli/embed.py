"""`ncaudit embed`: raw shards to embedding tables."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.cli.shared.given import checked
from ncaudit.errors import UsageError
from ncaudit.options import EmbedOptions, Layout, StreamFormat


def embed(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files with images and captions (parquet, tar, Arrow, JSON lines, CSV, TSV), folders of them, globs, "
            "or addresses (s3://, gs://, hf://); or - for a stream on standard input."
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            help="A folder (one table per shard, under the shard's own path; see --layout), or - for standard output."
        ),
    ],
    model: flags.Model = EmbedOptions.model,
    pretrained: flags.Pretrained = EmbedOptions.pretrained,
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    caption_lines: flags.CaptionLines = EmbedOptions.caption_lines,
    key: flags.Key = None,
    image_root: flags.ImageRoot = None,
    columns: flags.Columns = None,
    max_image_pixels: flags.MaxImagePixels = EmbedOptions.max_image_pixels,
    max_row_bytes: flags.MaxRowBytes = EmbedOptions.max_row_bytes,
    batch_pairs: flags.BatchPairs = None,
    workers: flags.Workers = None,
    device: flags.Device = EmbedOptions.device,
    devices: flags.Devices = None,
    precision: flags.PrecisionFlag = EmbedOptions.precision,
    layout: Annotated[
        Layout,
        typer.Option(
            help="parquet: a table per shard, every row in it. clip-retrieval: img_emb/, text_emb/ and metadata/, one "
            "partition per shard, for autofaiss, embedding-reader and clip-back; rows without embedding in failed/."
        ),
    ] = EmbedOptions.layout,
    stream_format: Annotated[
        StreamFormat, typer.Option("--format", help="How --out - writes rows.")
    ] = EmbedOptions.format,
    csv_safe: flags.CsvSafe = EmbedOptions.csv_safe,
    max_failed: flags.MaxFailed = EmbedOptions.max_failed,
    overwrite: flags.Overwrite = EmbedOptions.overwrite,
    prune: flags.Prune = EmbedOptions.prune,
    as_json: flags.Json = False,
) -> None:
    """Embed every image and caption with one model.

    Rerun the same command to resume: finished shards are kept. A stream (--out -) begins anew. --overwrite also embeds
    a folder again that holds another model's embeddings.
    """
    if as_json and out == "-":
        raise UsageError("--json and --out - both want standard output", fix="give one of them")
    options = EmbedOptions(
        sources=sources, out=out, model=model, pretrained=pretrained, image_column=image_column,
        caption_column=caption_column, caption_lines=caption_lines, key=key, image_root=image_root, columns=columns,
        max_image_pixels=max_image_pixels, max_row_bytes=max_row_bytes, batch_pairs=batch_pairs,
        workers=workers, device=device, devices=devices, precision=precision, layout=layout,
        format=stream_format, csv_safe=csv_safe, max_failed=max_failed, overwrite=overwrite, prune=prune,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.embed import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.embed.embed import embed as run

    with live.progress() as progress:
        embedded = run(options, progress)
    output.result(embedded, lines(embedded), as_json=as_json, to_stderr=out == "-")
    raise typer.Exit(exit_code(embedded.accounting, max_failed))

"""`ncaudit embed`: raw shards to embedding tables."""

from typing import Annotated

import typer

from ncaudit.cli import flags, output
from ncaudit.options import EmbedOptions


def embed(
    sources: Annotated[
        list[str], typer.Argument(help="Parquet files, folders of them, or globs, with images and captions.")
    ],
    out: Annotated[
        str, typer.Option(help="Folder for the embedding tables: one per shard, under the shard's own path.")
    ],
    model: flags.Model = EmbedOptions.model,
    pretrained: flags.Pretrained = EmbedOptions.pretrained,
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    key: flags.Key = None,
    image_root: flags.ImageRoot = None,
    columns: flags.Columns = None,
    max_image_pixels: flags.MaxImagePixels = EmbedOptions.max_image_pixels,
    batch_pairs: Annotated[
        int | None,
        typer.Option(help="Pairs that the model takes at once; by default found once and kept in OUT/run.json."),
    ] = None,
    workers: flags.Workers = None,
    device: flags.Device = EmbedOptions.device,
    devices: flags.Devices = None,
    precision: flags.PrecisionFlag = EmbedOptions.precision,
    max_failed: flags.MaxFailed = EmbedOptions.max_failed,
    as_json: flags.Json = False,
) -> None:
    """Embed every image and caption with one model.

    Rerun the same command to resume: finished shards are kept.
    """
    options = EmbedOptions(
        sources=sources, out=out, model=model, pretrained=pretrained, image_column=image_column,
        caption_column=caption_column, key=key, image_root=image_root, columns=columns,
        max_image_pixels=max_image_pixels, batch_pairs=batch_pairs, workers=workers, device=device,
        devices=devices, precision=precision, max_failed=max_failed,
    )  # fmt: skip
    from ncaudit.verbs.embed import embed as run  # torch takes seconds to import; --help must not pay for it

    with output.progress() as progress:
        embedded = run(options, progress)
    output.result(embedded, embedded.lines() + output.accounting(embedded.accounting), as_json=as_json)
    raise typer.Exit(output.exit_code(embedded.accounting, max_failed))

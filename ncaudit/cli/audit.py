"""`ncaudit audit`: a dataset to the page about it, in one command."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.cli.shared.given import checked
from ncaudit.options import AuditOptions


def audit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA",
            help="Files with images and captions (parquet, tar, Arrow, JSON lines, CSV, TSV), folders of them, globs, "
            "or addresses (s3://, gs://, hf://); or - for a stream on standard input."
        ),
    ],
    out: Annotated[
        str, typer.Option(help="Folder for all that is made: embeddings/, scores/, labels/ and report.html.")
    ],
    model: flags.Model = AuditOptions.model,
    pretrained: flags.Pretrained = AuditOptions.pretrained,
    image_column: flags.ImageColumn = AuditOptions.image_column,
    caption_column: flags.CaptionColumn = AuditOptions.caption_column,
    caption_lines: flags.CaptionLines = AuditOptions.caption_lines,
    key: flags.Key = AuditOptions.key,
    image_root: flags.ImageRoot = AuditOptions.image_root,
    columns: flags.Columns = None,
    label_column: Annotated[
        str | None,
        typer.Option(help="Column with the classes, which are judged, too: text, whole numbers, or lists of them."),
    ] = AuditOptions.label_column,
    scorer: flags.Scorer = AuditOptions.scorer,
    stratify: flags.Stratify = AuditOptions.stratify,
    noisy_precision: flags.NoisyPrecision = AuditOptions.noisy_precision,
    verdicts: flags.Verdicts = None,
    check: flags.Check = AuditOptions.check,
    suggest: flags.Suggest = AuditOptions.suggest,
    seed: flags.Seed = AuditOptions.seed,
    max_image_pixels: flags.MaxImagePixels = AuditOptions.max_image_pixels,
    max_row_bytes: flags.MaxRowBytes = AuditOptions.max_row_bytes,
    batch_pairs: flags.BatchPairs = None,
    workers: flags.Workers = None,
    device: flags.Device = AuditOptions.device,
    devices: flags.Devices = None,
    precision: flags.PrecisionFlag = AuditOptions.precision,
    refit: Annotated[
        bool,
        typer.Option("--refit", help="Fit anew; score all pairs and judge all classes again. Embeddings are kept."),
    ] = AuditOptions.refit,
    max_failed: flags.MaxFailed = AuditOptions.max_failed,
    overwrite: flags.Overwrite = AuditOptions.overwrite,
    prune: flags.Prune = AuditOptions.prune,
    as_json: flags.Json = False,
) -> None:
    """From a dataset to a page that shows which captions do not belong: embed, score, and report in one command.

    With --label-column classes are judged, too. Rerun the same command to resume. Each step is a command of its own
    (embed, score, labels, report) with more flags, and goes on from the same folders.
    """
    options = AuditOptions(
        sources=sources, out=out, model=model, pretrained=pretrained, image_column=image_column,
        caption_column=caption_column, caption_lines=caption_lines, key=key, image_root=image_root, columns=columns,
        label_column=label_column, scorer=scorer, stratify=stratify, noisy_precision=noisy_precision,
        verdicts=verdicts, check=check, suggest=suggest, seed=seed, max_image_pixels=max_image_pixels,
        max_row_bytes=max_row_bytes, batch_pairs=batch_pairs, workers=workers, device=device, devices=devices,
        precision=precision, refit=refit, max_failed=max_failed, overwrite=overwrite, prune=prune,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.audit import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.audit.audit import audit as run

    with live.progress() as progress:
        audited = run(options, progress)
    output.result(audited, lines(audited, options), as_json=as_json)
    raise typer.Exit(exit_code(audited.accounting, max_failed))

"""`ncaudit score`: embedding tables to a soft label per pair."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, given, live, output
from ncaudit.cli.shared.exit_codes import exit_code
from ncaudit.cli.shared.given import checked
from ncaudit.errors import UsageError
from ncaudit.options import Align, Correlation, Loss, Mixture, ScoreOptions, Siblings, StreamFormat, Variant


def score(
    embeddings: Annotated[
        list[str],
        typer.Argument(
            help="Embedding tables, from `ncaudit embed` or any with both embeddings; a clip-retrieval folder; "
            "DataComp's metadata beside its .npz; two .npy files, images first; or - for a stream on standard input."
        ),
    ],
    out: Annotated[
        str, typer.Option(help="A folder (one table per shard), NAME.parquet (one table), or - for standard output.")
    ],
    features: flags.Features = ScoreOptions.features,
    model: flags.Heads = ScoreOptions.model,
    scorer: flags.Scorer = ScoreOptions.scorer,
    variant: Annotated[
        Variant,
        typer.Option(
            help="bicro: robust has many anchors, standardised; paper its distances; released that code's similarities."
        ),
    ] = ScoreOptions.variant,
    k: Annotated[
        int | None,
        typer.Option(
            help="bicro: nearest anchors per direction; by default chosen from the data, for paper's variants 1."
        ),
    ] = ScoreOptions.k,
    align: Annotated[
        Align,
        typer.Option(help="bicro: cca learns a common space from the pairs, auto where the embeddings share none."),
    ] = ScoreOptions.align,
    siblings: Annotated[
        Siblings,
        typer.Option(help="bicro: several captions of one photo vouch for each other; auto where there are any."),
    ] = ScoreOptions.siblings,
    loss: Annotated[Loss, typer.Option(help="bicro: the per-pair loss that finds the anchors.")] = ScoreOptions.loss,
    mixture: Annotated[
        Mixture, typer.Option(help="bicro: the two components fitted to the losses.")
    ] = ScoreOptions.mixture,
    anchor_threshold: Annotated[
        float, typer.Option(help="bicro: pairs above this probability of being clean are anchors, 0 to 1.")
    ] = ScoreOptions.anchor_threshold,
    center: Annotated[
        bool, typer.Option(help="bicro: subtract each modality's mean before anchors are compared.")
    ] = ScoreOptions.center,
    csls_k: Annotated[int, typer.Option(help="csls: neighbours that measure crowding.")] = ScoreOptions.csls_k,
    temperature: Annotated[
        float | None,
        typer.Option(help="neg-clip-loss, ncr: the model's temperature, 0.001 to 10; by default the likeliest."),
    ] = ScoreOptions.temperature,
    correlation: Annotated[
        Correlation, typer.Option(help="structure: how two rows of similarities are compared.")
    ] = ScoreOptions.correlation,
    stratify: flags.Stratify = ScoreOptions.stratify,
    noisy_precision: flags.NoisyPrecision = ScoreOptions.noisy_precision,
    verdicts: flags.Verdicts = None,
    check: flags.Check = ScoreOptions.check,
    suggest: flags.Suggest = ScoreOptions.suggest,
    max_anchors: Annotated[int, typer.Option(help="bicro: anchors kept in the fit.")] = ScoreOptions.max_anchors,
    fit_pairs: Annotated[
        int, typer.Option(help="Pairs in the seeded sample that everything global is fitted on.")
    ] = ScoreOptions.fit_pairs,
    bank_pairs: Annotated[
        int, typer.Option(help="bicro: fixed negatives that every loss is measured against.")
    ] = ScoreOptions.bank_pairs,
    seed: flags.Seed = ScoreOptions.seed,
    fit: Annotated[str | None, typer.Option(help="Score with this saved fit instead of fitting anew.")] = None,
    save_fit: Annotated[str | None, typer.Option(help="Folder to save the fit in, for later shards.")] = None,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit", help="Fit anew and score every shard again: what score itself has written, nothing else."
        ),
    ] = False,
    data: Annotated[
        list[str] | None,
        typer.Option(help="The embedded dataset: write it back with ncaudit_ columns instead of score tables."),
    ] = None,
    stream_format: Annotated[
        StreamFormat, typer.Option("--format", help="How --out - writes rows.")
    ] = ScoreOptions.format,
    csv_safe: flags.CsvSafe = ScoreOptions.csv_safe,
    columns: flags.Columns = None,
    join: Annotated[
        list[str] | None,
        typer.Option(
            help="A table (or many files of one) whose light columns come beside the scores, such as prior scores; "
            "those of them that --columns names."
        ),
    ] = None,
    join_key: Annotated[
        str | None,
        typer.Option(
            help="With --join: the embedding tables' column that has its keys (pair_id, or one of your own), or "
            "KEY=COLUMN where that table calls it otherwise."
        ),
    ] = ScoreOptions.join_key,
    max_row_bytes: flags.MaxRowBytes = ScoreOptions.max_row_bytes,
    device: flags.Device = ScoreOptions.device,
    max_failed: flags.MaxFailed = ScoreOptions.max_failed,
    overwrite: flags.Overwrite = ScoreOptions.overwrite,
    prune: flags.Prune = ScoreOptions.prune,
    as_json: flags.Json = False,
) -> None:
    """Give every pair a soft label, 0 to 1: 1 - P(the pair is a random-like mismatch).

    Calibrated against random pairs of the same data. It under-counts mismatches on the same topic and half-right
    captions. Rerun the same command to resume.
    """
    if as_json and out == "-":
        raise UsageError("--json and --out - both want standard output", fix="give one of them")
    options = ScoreOptions(
        embeddings=embeddings,
        out=out,
        features=features,
        model=model,
        scorer=scorer,
        variant=variant,
        k=k,
        loss=loss,
        mixture=mixture,
        anchor_threshold=anchor_threshold,
        center=center,
        csls_k=csls_k,
        align=align,
        siblings=siblings,
        temperature=temperature,
        correlation=correlation,
        stratify=stratify,
        noisy_precision=noisy_precision,
        verdicts=verdicts,
        check=check,
        suggest=suggest,
        max_anchors=max_anchors,
        fit_pairs=fit_pairs,
        bank_pairs=bank_pairs,
        seed=seed,
        fit=fit,
        save_fit=save_fit,
        refit=refit,
        data=data,
        format=stream_format,
        csv_safe=csv_safe,
        columns=columns,
        join=join,
        join_key=join_key,
        max_row_bytes=max_row_bytes,
        device=device,
        max_failed=max_failed,
        overwrite=overwrite,
        prune=prune,
    )
    checked(options)
    from ncaudit.cli.words.score import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.judging import choice
    from ncaudit.scorers import refuse_unread
    from ncaudit.verbs.score.score import score as run

    refuse_unread(choice.meant(options.scorer), options, given.names())
    with live.progress() as progress:
        scored = run(options, progress)
    output.result(scored, lines(scored), as_json=as_json, to_stderr=out == "-")
    raise typer.Exit(exit_code(scored.accounting, max_failed))

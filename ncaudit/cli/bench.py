"""`ncaudit bench`: which scorer finds which mismatches on these data."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, given, live, output
from ncaudit.options import Align, BenchOptions, Correlation, Loss, Mixture, Siblings, Variant


def _default(values: object) -> str:
    return ", ".join(str(value) for value in values) if isinstance(values, tuple) else str(values)


def bench(
    embeddings: Annotated[
        list[str], typer.Argument(help="Embedding tables, from `ncaudit embed` or any with both embeddings.")
    ],
    rates: Annotated[
        list[float] | None,
        typer.Option(
            "--rates",
            help=f"Share of the pairs whose caption is swapped, repeatable; by default {_default(BenchOptions.rates)}.",
        ),
    ] = None,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--kinds",
            help="random: any captions; topic: of the same image cluster; near: one of the nearest; repeatable; "
            "by default all.",
        ),
    ] = None,
    scorers: Annotated[
        list[str] | None,
        typer.Option(
            "--scorers",
            help="Scorers to compare, repeatable (`ncaudit scorers` lists them); by default "
            f"{_default(BenchOptions.scorers)}.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Runs of each setting, from --seed on.")] = BenchOptions.seeds,
    pairs: Annotated[int, typer.Option(help="Pairs in the seeded sample, 50 or more.")] = BenchOptions.pairs,
    out: Annotated[
        str | None,
        typer.Option(help="Write every run to NAME.csv, NAME.parquet or NAME.jsonl, replaced only with --overwrite."),
    ] = None,
    variant: Annotated[Variant, typer.Option(help="bicro: as in `ncaudit score`.")] = BenchOptions.variant,
    k: Annotated[int | None, typer.Option(help="bicro: nearest anchors per direction.")] = BenchOptions.k,
    align: Annotated[Align, typer.Option(help="bicro: as in `ncaudit score`.")] = BenchOptions.align,
    siblings: Annotated[Siblings, typer.Option(help="bicro: as in `ncaudit score`.")] = BenchOptions.siblings,
    loss: Annotated[Loss, typer.Option(help="bicro: the loss that finds the anchors.")] = BenchOptions.loss,
    mixture: Annotated[Mixture, typer.Option(help="bicro: fitted to the losses.")] = BenchOptions.mixture,
    csls_k: Annotated[int, typer.Option(help="csls: neighbours that measure crowding.")] = BenchOptions.csls_k,
    temperature: Annotated[
        float | None, typer.Option(help="neg-clip-loss, ncr: by default the likeliest.")
    ] = BenchOptions.temperature,
    correlation: Annotated[
        Correlation, typer.Option(help="structure: as in `ncaudit score`.")
    ] = BenchOptions.correlation,
    noisy_precision: Annotated[
        float | None, typer.Option(help="Share of mismatches among the pairs called noisy; see `ncaudit score`.")
    ] = BenchOptions.noisy_precision,
    features: flags.Features = BenchOptions.features,
    seed: flags.Seed = BenchOptions.seed,
    device: flags.Device = BenchOptions.device,
    max_row_bytes: flags.MaxRowBytes = BenchOptions.max_row_bytes,
    overwrite: flags.Overwrite = BenchOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Measure how well scorers find mismatches that are made for the purpose.

    Swaps captions of a sample, fits every scorer anew and tells how many swaps it finds: which scorer to use on these
    data, and which kind of noise it would miss. Give a flag several times for several values: --rates 0.2 --rates 0.4.
    """
    options = BenchOptions(
        embeddings=embeddings, features=features, rates=rates or BenchOptions.rates, kinds=kinds or BenchOptions.kinds,
        scorers=scorers or BenchOptions.scorers, seeds=seeds, pairs=pairs, out=out, variant=variant, k=k, align=align,
        siblings=siblings, loss=loss, mixture=mixture, csls_k=csls_k, temperature=temperature, correlation=correlation,
        noisy_precision=noisy_precision, seed=seed, device=device,
        max_row_bytes=max_row_bytes, overwrite=overwrite,
    )  # fmt: skip
    from ncaudit.cli.words.bench import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.scorers import refuse_unread
    from ncaudit.verbs.bench import bench as run

    refuse_unread(options.scorers, options, given.names())
    with live.progress() as progress:
        result = run(options, progress)
    output.result(result, lines(result, seeds), as_json=as_json)

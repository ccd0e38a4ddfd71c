"""`ncaudit sample`: pairs for people to judge."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.errors import UsageError
from ncaudit.options import SampleOptions


def sample(
    scores: Annotated[list[str], typer.Argument(help="Score tables: what `ncaudit score` wrote.")],
    out: Annotated[
        str,
        typer.Option(
            help="NAME.csv, NAME.parquet or NAME.jsonl, replaced only with --overwrite; or - for CSV on stdout."
        ),
    ],
    n: Annotated[int, typer.Option("--n", help="Pairs to draw, 2 or more.")] = SampleOptions.n,
    strata: Annotated[
        int, typer.Option(help="Ranges of the score, of equal numbers of pairs, that are drawn from separately.")
    ] = SampleOptions.strata,
    seed: flags.Seed = SampleOptions.seed,
    max_row_bytes: flags.MaxRowBytes = SampleOptions.max_row_bytes,
    overwrite: flags.Overwrite = SampleOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Draw pairs for people to judge, from every range of the score.

    Fill in the column is_match (yes or no, or cannot tell), and give the file to `ncaudit score --verdicts`: it then
    knows the rate of mismatches. Rows are in random order, and the scores stand last: judge without looking at them. In
    CSV, text that a spreadsheet program would run as a formula gets an apostrophe in front; pair_id is kept as it is.
    """
    if as_json and out == "-":
        raise UsageError("--json and --out - both want standard output", fix="give one of them")
    options = SampleOptions(
        scores=scores, out=out, n=n, strata=strata, seed=seed, max_row_bytes=max_row_bytes, overwrite=overwrite
    )
    from ncaudit.cli.words.sample import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.sample import sample as run

    with live.progress() as progress:
        drawn = run(options, progress)
    output.result(drawn, lines(drawn), as_json=as_json, to_stderr=out == "-")

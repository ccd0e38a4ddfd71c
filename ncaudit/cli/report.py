"""`ncaudit report`: score tables or label tables to one page that shows the pairs."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.given import checked
from ncaudit.options import ReportOptions


def report(
    scores: Annotated[
        list[str], typer.Argument(help="Score tables, what `ncaudit score` wrote; or label tables of `ncaudit labels`.")
    ],
    out: Annotated[
        str, typer.Option(help="NAME.html: one file that holds everything. A report of ours there is replaced.")
    ] = ReportOptions.out,
    data: Annotated[
        list[str] | None,
        typer.Option(help="The dataset that was scored, in any format that embed reads: where the pictures are."),
    ] = None,
    key: flags.PairIds = ReportOptions.key,
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    caption_lines: flags.CaptionLines = ReportOptions.caption_lines,
    image_root: flags.ImageRoot = None,
    max_image_pixels: flags.MaxImagePixels = ReportOptions.max_image_pixels,
    max_row_bytes: flags.MaxRowBytes = ReportOptions.max_row_bytes,
    cards: Annotated[int, typer.Option(help="Pairs shown of each gallery, 1 or more.")] = ReportOptions.cards,
    by: Annotated[
        str, typer.Option(help="Column of the tables whose values are compared with each other.")
    ] = ReportOptions.by,
    truth: Annotated[
        str | None,
        typer.Option(help="Column that tells which pairs match; by default is_match, where the tables have it."),
    ] = None,
    truth_table: Annotated[
        str | None,
        typer.Option(help="A file with pair_id and the --truth column, such as a review that people filled in."),
    ] = None,
    judge: Annotated[
        int, typer.Option(help="Pairs to be judged on the page, drawn as `ncaudit sample` draws them; 0 for none.")
    ] = ReportOptions.judge,
    judge_only: Annotated[
        bool, typer.Option("--judge-only", help="Nothing but these pairs, for people who should see no score.")
    ] = ReportOptions.judge_only,
    seed: flags.Seed = ReportOptions.seed,
    max_mib: Annotated[
        float, typer.Option(help="Size of the page in MiB, above 0: pictures shrink until it is no larger.")
    ] = ReportOptions.max_mib,
    workers: flags.Workers = None,
    overwrite: flags.Overwrite = ReportOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Show the pairs: one page with the answer, charts, galleries of pairs with the evidence, and pairs to judge.

    The page is one file that can be mailed: it opens by double click, fetches nothing and sends nothing. Without --data
    it has captions and no pictures.
    """
    options = ReportOptions(
        scores=scores, out=out, data=data, key=key, image_column=image_column, caption_column=caption_column,
        caption_lines=caption_lines, image_root=image_root, max_image_pixels=max_image_pixels,
        max_row_bytes=max_row_bytes, cards=cards, by=by, truth=truth, truth_table=truth_table, judge=judge,
        judge_only=judge_only, seed=seed, max_mib=max_mib, workers=workers, overwrite=overwrite,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.report import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.report.report import report as run

    with live.progress() as progress:
        made = run(options, progress)
    output.result(made, lines(made), as_json=as_json)

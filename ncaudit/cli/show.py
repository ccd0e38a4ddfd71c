"""`ncaudit show`: the pairs that are worth a look, in the terminal."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.cli.shared.given import checked
from ncaudit.options import Against, Reason, ShowOptions


def show(
    scores: Annotated[
        list[str],
        typer.Argument(help="Score tables (what `ncaudit score` wrote), or label tables; or - for standard input."),
    ],
    worst: Annotated[int, typer.Option(help="How many pairs, the worst first; 1 or more.")] = ShowOptions.worst,
    unsure: Annotated[
        bool, typer.Option("--unsure", help="Pairs called neither clean nor noisy, those nearest to .5 first.")
    ] = ShowOptions.unsure,
    reason: Annotated[
        Reason | None, typer.Option(help="Pairs with this reason, the lowest soft labels first.")
    ] = ShowOptions.reason,
    against: Annotated[
        Against | None,
        typer.Option(
            help="Pairs where the label and the cosine disagree: noisy but close, and clean but far; --worst of each."
        ),
    ] = ShowOptions.against,
    data: Annotated[
        list[str] | None,
        typer.Option(help="The dataset that was scored: for captions that the tables lack, and for --images."),
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Folder to write the pictures to, as they are in --data, named by pair.")
    ] = ShowOptions.images,
    key: flags.PairIds = ShowOptions.key,
    image_column: flags.ImageColumn = ShowOptions.image_column,
    caption_column: flags.CaptionColumn = ShowOptions.caption_column,
    caption_lines: flags.CaptionLines = ShowOptions.caption_lines,
    image_root: flags.ImageRoot = ShowOptions.image_root,
    max_row_bytes: flags.MaxRowBytes = ShowOptions.max_row_bytes,
    overwrite: flags.Overwrite = ShowOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Show pairs of score tables: caption, label, cosine, reason, and the pairs that judged them.

    The worst ones unless said otherwise. Of label tables the classes that are least likely to be right. --json gives
    one object with all that is known of each pair. It needs no model and no torch.
    """
    options = ShowOptions(
        scores=scores, worst=worst, unsure=unsure, reason=reason, against=against, data=data, images=images, key=key,
        image_column=image_column, caption_column=caption_column, caption_lines=caption_lines, image_root=image_root,
        max_row_bytes=max_row_bytes, overwrite=overwrite,
    )  # fmt: skip
    checked(options)
    from ncaudit.cli.words.show import lines
    from ncaudit.verbs.show.show import show as run

    with live.progress() as progress:
        shown = run(options, progress)
    output.result(shown, lines(shown), as_json=as_json)

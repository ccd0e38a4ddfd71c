"""`ncaudit demo`: the main job on the sample that ships with ncaudit."""

from typing import Annotated

import typer

from ncaudit.cli.shared import flags, live, output
from ncaudit.options import DemoOptions


def demo(
    out: Annotated[str, typer.Option(help="Folder for everything the demo makes.")] = DemoOptions.out,
    fast: Annotated[
        bool, typer.Option("--fast", help="Audit the sample and leave out the trainings: done in half a minute.")
    ] = DemoOptions.fast,
    seed: flags.Seed = DemoOptions.seed,
    device: flags.Device = DemoOptions.device,
    workers: flags.Workers = None,
    overwrite: flags.Overwrite = DemoOptions.overwrite,
    as_json: flags.Json = False,
) -> None:
    """Run the whole job on the sample that comes with ncaudit.

    Embeds and scores 2,000 made-up pairs, 28 % mismatched, shows them on a page (report.html), then trains on them and
    evaluates; about two minutes on two cores.
    """
    options = DemoOptions(out=out, fast=fast, seed=seed, device=device, workers=workers, overwrite=overwrite)
    from ncaudit.cli.words.demo import lines  # torch takes seconds to import; --help must not pay for it
    from ncaudit.verbs.demo import demo as run

    with live.progress() as progress:
        result = run(options, progress)
    output.result(result, lines(result), as_json=as_json)

"""The `ncaudit` command and its subcommands. What each way of ending means to the shell: `shared/exit_codes.py`."""

from typing import Annotated

import typer

from ncaudit import interruption
from ncaudit.cli import (
    audit,
    bench,
    corrupt,
    demo,
    embed,
    evaluate,
    inspect,
    labels,
    report,
    sample,
    score,
    scorers,
    show,
    train,
)
from ncaudit.cli.filter import filter_pairs
from ncaudit.cli.shared import live, output
from ncaudit.cli.shared.ending import Commands, Computing, told
from ncaudit.cli.shared.given import Command, run_within
from ncaudit.cli.shared.loudness import set_loudness
from ncaudit.engines.ranks import launched
from ncaudit.version import __version__

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Audit and clean noisy correspondence in image-text datasets.",
)


run_within(live.starting)  # what is told first is drawn before a command loads torch


def _version(wanted: bool) -> None:
    if wanted:
        output.data(f"ncaudit {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes; errors are still told.")] = False,
) -> None:
    """Audit and clean noisy correspondence in image-text datasets."""
    set_loudness(quiet=quiet or not launched().is_first)


app.command(cls=Computing)(audit.audit)
app.command(cls=Command)(inspect.inspect)
app.command(cls=Computing)(embed.embed)
app.command(cls=Computing)(score.score)
app.command("filter", cls=Computing)(filter_pairs)
app.command(cls=Computing)(train.train)
app.command(cls=Computing)(labels.labels)
app.command(cls=Computing)(report.report)
app.command(cls=Computing)(sample.sample)
app.command(cls=Command)(show.show)
app.command(cls=Command)(scorers.scorers)
app.command(cls=Computing)(corrupt.corrupt)
app.command(cls=Computing)(bench.bench)
app.command(cls=Computing)(demo.demo)
app.add_typer(evaluate.app, name="eval")


def main() -> None:
    """The command that the words of this process name, to its end: a SystemExit."""
    interruption.listen()
    output.take_streams()
    with told():  # Ctrl-C while the commands are being put together, too
        app(prog_name="ncaudit")

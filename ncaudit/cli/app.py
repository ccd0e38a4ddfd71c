"""The `ncaudit` command and its subcommands. What each way of ending means to the shell: `shared/exit_codes.py`."""

from typing import Annotated

import typer

from ncaudit import interruption
from ncaudit.cli import (
    audit,
    bench,
    config,
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
    status,
    train,
)
from ncaudit.cli.commands import anywhere, completion
from ncaudit.cli.commands.kinds import HELP, Command, Commands, Computing, Configuring
from ncaudit.cli.configuration.read import read_options
from ncaudit.cli.filter import filter_pairs
from ncaudit.cli.help import help_of
from ncaudit.cli.shared import output
from ncaudit.cli.shared.ending import told
from ncaudit.version import __version__

app = typer.Typer(
    cls=Commands,
    context_settings=HELP,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Audit and clean noisy correspondence in image-text datasets.",
)


def _version(wanted: bool) -> None:
    if wanted:
        output.data(f"ncaudit {__version__}")
        raise typer.Exit


def _configured(context: typer.Context, path: str | None) -> str | None:
    if path is not None:
        context.default_map = read_options(path, context.command)
    return path


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(
            callback=_configured, is_eager=True, metavar="FILE",
            help="Read options from a TOML file with a table per command, such as [score]; flags win over it. `ncaudit "
            "config COMMAND` prints one. Relative paths in it start from the working folder.",
        ),
    ] = None,
    install_completion: completion.Install = False,
    show_completion: completion.Show = False,
    quiet: anywhere.Quiet = False,
    verbose: anywhere.Verbose = False,
    log: anywhere.Log = None,
    storage_option: anywhere.StorageOption = None,
    scratch: anywhere.Scratch = None,
) -> None:
    """Audit and clean noisy correspondence in image-text datasets."""
    anywhere.heed_root(
        quiet=quiet, verbose=verbose, log_file=log, storage_option=storage_option, scratch=scratch
    )


app.command(cls=Computing)(audit.audit)
app.command(cls=Command)(inspect.inspect)
app.command(cls=Computing)(embed.embed)
app.command(cls=Computing)(score.score)
app.command("filter", cls=Command)(filter_pairs)
app.command(cls=Computing)(train.train)
app.command(cls=Computing)(labels.labels)
app.command(cls=Computing)(report.report)
app.command(cls=Computing)(sample.sample)
app.command(cls=Command)(show.show)
app.command(cls=Command)(status.status)
app.command(cls=Command)(scorers.scorers)
app.command(cls=Computing)(corrupt.corrupt)
app.command(cls=Computing)(bench.bench)
app.command(cls=Computing)(demo.demo)
app.add_typer(evaluate.app, name="eval")
app.command(cls=Configuring, context_settings={"allow_interspersed_args": False})(config.config)
app.command("help", cls=Command)(help_of)


def main() -> None:
    """The command that the words of this process name, to its end: a SystemExit."""
    interruption.listen()
    output.take_streams()
    with told():  # Ctrl-C while the commands are being put together, too
        app(prog_name="ncaudit")

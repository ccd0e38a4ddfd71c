"""The `ncaudit` command: its subcommands, and what each way of ending means to the shell.

Exit codes: 0 every row accounted for, 1 could not do it, 2 usage, 3 some shard failed or too many rows did,
130 interrupted, 141 the reader of the pipe went away. A bug keeps its traceback.
"""

import errno
import os
import shlex
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ncaudit.cli import bench, corrupt, demo, embed, evaluate, inspect, labels, sample, score, scorers, train
from ncaudit.cli.filter import filter_pairs
from ncaudit.cli.shared import live, output
from ncaudit.cli.shared.exit_codes import CLOSED_PIPE, INTERRUPTED, REFUSED, USAGE
from ncaudit.cli.shared.given import Command
from ncaudit.engines.ranks import ToldByFirst, launched
from ncaudit.errors import NcauditError, UsageError
from ncaudit.version import __version__

# what the machine refuses and the user can mend; any other OSError is a bug and keeps its traceback
_THE_SYSTEMS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG),
    *(errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP),
}


class _Commands(TyperGroup):
    """Ends quietly and with the right code; Typer's own answers would be 1 for Ctrl-C and for a closed pipe."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NcauditError as error:
            if launched().is_first or not isinstance(error, (UsageError, ToldByFirst)):  # each is told once
                output.error(error)
            raise SystemExit(USAGE if isinstance(error, UsageError) else REFUSED) from None
        except BrokenPipeError:
            # Python would complain once more when it flushes standard output at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(CLOSED_PIPE) from None
        except OSError as error:
            if error.errno not in _THE_SYSTEMS:
                raise
            output.error(_system_error(error))
            raise SystemExit(REFUSED) from None
        except KeyboardInterrupt as interrupted:
            output.interrupted(_resume_command(), kept=getattr(interrupted, "kept", False))
            raise SystemExit(INTERRUPTED) from None


def _system_error(error: OSError) -> NcauditError:
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return NcauditError(what, fix="make room or get access there, then rerun: what is finished is kept")


def _resume_command() -> str:
    return shlex.join(["ncaudit", *sys.argv[1:]])


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Audit and clean noisy correspondence in image-text datasets.",
)


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
    live.set_quiet(quiet or not launched().is_first)


app.command(cls=Command)(inspect.inspect)
app.command(cls=Command)(embed.embed)
app.command(cls=Command)(score.score)
app.command("filter", cls=Command)(filter_pairs)
app.command(cls=Command)(train.train)
app.command(cls=Command)(labels.labels)
app.command(cls=Command)(sample.sample)
app.command(cls=Command)(scorers.scorers)
app.command(cls=Command)(corrupt.corrupt)
app.command(cls=Command)(bench.bench)
app.command(cls=Command)(demo.demo)
app.add_typer(evaluate.app, name="eval")


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="ncaudit")

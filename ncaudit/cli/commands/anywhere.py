"""What may be asked before or after any verb: how much is told, a log, how stores of other machines are reached.

Knows these flags; nothing of any verb. Options of stores are in no options of a verb, so that no record, no result and
no file of options ever holds a secret of theirs.
"""

from collections.abc import Mapping
from inspect import Parameter
from typing import Annotated, Any

import typer

from ncaudit import stores
from ncaudit.cli.commands import help as help_pages
from ncaudit.cli.shared import log, loudness, output
from ncaudit.engines.ranks import launched
from ncaudit.errors import UsageError
from ncaudit.options.shared.about import Options, Panel
from ncaudit.shards.places import scratch

Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", rich_help_panel=Panel.debugging, help="No progress, no notes; errors are still told."
    ),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", rich_help_panel=Panel.debugging, help="Show every detail, and what is done.")
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="FILE",
        rich_help_panel=Panel.debugging,
        help="Append to this file what is done, and when: versions, options, timings, notes, errors.",
    ),
]

StorageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="KEY=VALUE",
        rich_help_panel=Panel.output,
        help="An option of the store behind s3://, gs:// and other addresses, read or written, as fsspec takes it: "
        "endpoint_url=URL, client_kwargs.region_name=NAME, anon=true. Secrets are better set in the environment. "
        "Repeatable.",
    ),
]
Scratch = Annotated[
    str | None,
    typer.Option(
        "--scratch",
        metavar="PATH",
        rich_help_panel=Panel.output,
        help="Folder of this machine where a file is put together before it is sent to a store. By default the "
        "system's folder for temporary files.",
    ),
]


def _show_all(context: typer.Context, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        output.data(help_pages.page(context, everything=True))
        raise typer.Exit


HelpAll = Annotated[
    bool,
    typer.Option(
        "--help-all",
        rich_help_panel=Panel.debugging,
        is_eager=True,
        callback=_show_all,
        help="Show the rare options, too, and stop.",
    ),
]
NAMES = {
    **{"quiet": (Quiet, False), "verbose": (Verbose, False), "log": (Log, None), "help_all": (HelpAll, False)},
    **{"storage_option": (StorageOption, None), "scratch": (Scratch, None)},
}


def parameters() -> list[Parameter]:
    """What every command takes besides its own."""
    return [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in NAMES.items()
    ]


_given: list[str] = []  # options of stores on this command line, wherever they stand


def refuse_unread(options: Options) -> None:
    """Raises UsageError for options of stores where every path is one of this machine."""
    words = [word for value in vars(options).values() for word in (value if _lists(value) else [value])]
    if _given and not any(isinstance(word, str) and stores.is_remote(word) for word in words):
        raise UsageError(
            "--storage-option is about stores (s3://…), and every path here is one of this machine",
            fix=f"leave it out; for a model that names a store itself set {stores.OPTIONS}",
        )


def _lists(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def heed_root(
    *, quiet: bool, verbose: bool, log_file: str | None, storage_option: list[str] | None, scratch: str | None
) -> None:
    """What stood before the verb."""
    loudness.set_loudness(quiet=False, verbose=False)
    _given.clear()
    told = {"quiet": quiet, "verbose": verbose, "log": log_file}
    heed({**told, "storage_option": storage_option, "scratch": scratch})


def heed(given: Mapping[str, Any]) -> None:
    """What stood behind the verb, beside what stood before it."""
    quiet = loudness.is_quiet() or given["quiet"] or not launched().is_first
    verbose = loudness.is_verbose() or given["verbose"]
    if verbose and (given["quiet"] or (quiet and launched().is_first)):
        raise UsageError("--quiet and --verbose contradict each other", fix="give one of them")
    loudness.set_loudness(quiet=quiet, verbose=verbose)
    if given["log"] and launched().is_first:
        log.begin(given["log"], log.command_line())
    stores.give_options(given["storage_option"] or ())
    _given.extend(given["storage_option"] or ())
    if given["scratch"] is not None:
        scratch.use(given["scratch"])

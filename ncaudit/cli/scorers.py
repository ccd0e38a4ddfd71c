"""`ncaudit scorers`: what can be given to --scorer, with one line each."""

from ncaudit.cli.shared import flags, output


def scorers(as_json: flags.Json = False) -> None:
    """List the scorers."""
    from ncaudit import scorers as folder  # torch takes seconds to import; --help must not pay for it
    from ncaudit.cli.words.scorers import lines

    found = {name: folder.get(name).ABOUT for name in folder.names()}
    output.result(found, lines(found), as_json=as_json)

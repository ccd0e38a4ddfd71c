"""`ncaudit scorers`: what can be given to --scorer, with one line each."""

from ncaudit.cli.shared import flags, output


def scorers(as_json: flags.Json = False) -> None:
    """List the scorers."""
    from ncaudit import scorers as folder  # torch takes seconds to import; --help must not pay for it

    found = {name: folder.get(name).ABOUT for name in folder.names()}
    width = max(map(len, found))
    output.result(found, [f"{name:{width}}  {about}" for name, about in found.items()], as_json=as_json)

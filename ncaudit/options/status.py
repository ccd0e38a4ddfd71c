"""Options of `status`."""

from dataclasses import dataclass
from typing import Annotated

from ncaudit.options.shared.about import About, Options, Panel


@dataclass(frozen=True, kw_only=True)
class StatusOptions(Options):
    """`ncaudit status`: how far the runs that fill a folder are."""

    folder: Annotated[
        str,
        About(
            "The folder that embed, score, labels or filter writes to.",
            Panel.input, metavar="OUT", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    verify: Annotated[
        bool, About("Read every finished table too, and hold its pages against their checksums.", Panel.input)
    ] = False

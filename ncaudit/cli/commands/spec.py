"""What is known of a command beside its flags: its options class, and examples. Knows these only."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ncaudit.options.shared.about import Options

NAME = "ncaudit_spec"


@dataclass(frozen=True)
class Example:
    """A command line that runs as it stands, and what it is for."""

    what: str
    line: str


@dataclass(frozen=True)
class Spec:
    """What Typer does not know of a command."""

    options: type[Options]
    examples: Sequence[Example]


def spec_of(callback: Any) -> Spec | None:
    """That of the command that Typer calls so; None of a group, and of what has no options class."""
    found = vars(inspect.unwrap(callback)).get(NAME) if callback else None
    return found if isinstance(found, Spec) else None

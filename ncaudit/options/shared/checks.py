"""Checks that options share: what is wrong, and what to give instead."""

import os
from enum import StrEnum

from ncaudit.errors import UsageError
from ncaudit.nearest import one_of
from ncaudit.options.shared.about import flag_of

ONLY_READ = ("hf", "http", "https")


def require(holds: bool, what: str, fix: str) -> None:
    """Raises UsageError unless it holds."""
    if not holds:
        raise UsageError(what, fix=fix)


def compatible(holds: bool, what: str, fix: str) -> None:
    """Raises UsageError unless the options go together."""
    if not holds:
        raise UsageError(what, fix=fix)


def require_share(flag: str, value: float, *, zero: bool = False) -> None:
    """In (0, 1], or with `zero` in [0, 1]."""
    low = "0 or more" if zero else "above 0"
    inside = (0 <= value if zero else 0 < value) and value <= 1
    require(inside, f"{flag} is {value}, but it is a share", f"give a number {low}, at most 1")


def require_below_one(flag: str, value: float, what: str) -> None:
    """In [0, 1). what: what such a number is called."""
    require(0 <= value < 1, f"{flag} is {value}, but it is a {what}", "give a number from 0 to below 1")


def settle_places(options: object, *names: str) -> None:
    """What is written to may be a path, or the address of a store; file://… is a path. Raises UsageError for others."""
    for name in names:
        if (given := getattr(options, name)) is not None:
            object.__setattr__(options, name, _settled(flag_of(name), given))


def _settled(flag: str, path: str) -> str:
    protocol, there, _ = path.partition("://")
    if not there:
        return path
    if protocol == "file":
        return os.path.abspath(path.removeprefix("file://"))
    require(
        protocol not in ONLY_READ, f"{flag} {path}: {protocol}:// is read, and never written to",
        "give a folder of this machine or of a store (s3://…, gs://…), and upload it from there",
    )  # fmt: skip
    return path


def require_at_least(flag: str, value: int | None, low: int) -> None:
    """None, or not below `low`."""
    require(value is None or value >= low, f"{flag} is {value}", f"give a whole number of at least {low}")


def choose(options: object, **kinds: type[StrEnum]) -> None:
    """Let a notebook write variant="paper": words become members of their enum, unknown words an error."""
    for name, kind in kinds.items():
        given = getattr(options, name)
        known = [member.value for member in kind]
        require(given in known, f"{flag_of(name)} is {given}", one_of(str(given), known))
        object.__setattr__(options, name, kind(given))


def require_positive(flag: str, value: float) -> None:
    """Above 0."""
    require(value > 0, f"{flag} is {value}", "give a number above 0")

"""Checks that options share: what is wrong, and what to give instead."""

from enum import StrEnum

from ncaudit.errors import UsageError
from ncaudit.nearest import one_of
from ncaudit.options.shared.about import flag_of


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


def require_local(flag: str, path: str | None) -> None:
    """A path that is written to lies on this machine."""
    what = f"{flag} {path} is an address, and outputs are written to local files only"
    require(path is None or "://" not in path, what, "give a local folder, and copy it where it is to be")


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

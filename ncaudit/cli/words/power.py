"""How good the audit is on these data, and what it would miss. Knows the table of power; nothing of scorers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ncaudit.judging.power import KINDS
from ncaudit.judging.power_told import conclusions

Told = Mapping[str, Any]  # of one scorer: what `judging.power.Power` names


def lines(power: Sequence[Told]) -> list[str]:
    """The power table and what follows from it. The first is the scorer's own."""
    if not power:
        return []
    return [
        "power on these data      AUROC, random*   topic   near   caught: random  topic   near",
        *map(_row, power),
        "  * estimated without labels; the rest on mismatches made for the purpose",
        *conclusions(power),
    ]


def _row(one: Told) -> str:
    seen = f"{_share(one['auroc'].get('topic'))}  {_share(one['auroc'].get('near'))}"
    caught = "   ".join(_share(one["caught"].get(kind)) for kind in KINDS)
    return f"  {one['scorer']:22} {_random(one)}  {seen}          {caught}"


def _random(one: Told) -> str:
    """The estimate with its error, of one width; one dash where there is none."""
    value, error = one["estimated_auroc_random"], one["standard_error"]
    if value is None:
        return f"{'-':>5}{'':8}"
    return _share(value) + (f" ± {_share(error)}" if error is not None else " " * 8)


def _share(value: float | None) -> str:
    return "    -" if value is None else f"{value:.3f}"

"""How good the audit is on these data, and what it would miss. Knows the table of power; nothing of scorers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ncaudit.cli.layout.vocabulary import Column, Kind, Table, Words
from ncaudit.counts import counted
from ncaudit.judging.power import KINDS
from ncaudit.judging.power_told import conclusions

Told = Mapping[str, Any]  # of one scorer: what `judging.power.Power` names


COSINE = "clip-score"
HEADER = [
    Column("scorer", Kind.name),
    *map(Column, ("AUROC, random*", "AUROC, topic", "AUROC, near", "caught, random", "caught, topic", "caught, near")),
]


def lines(power: Sequence[Told]) -> Words:
    """The power table and what follows from it. The first is the scorer's own; all but the cosine are details."""
    if not power:
        return []
    first = [one for number, one in enumerate(power) if number == 0 or one["scorer"] == COSINE]
    others = [one for one in power if one not in first]
    return [
        Table(
            "power on these data (AUROC: 1 is perfect, 0.5 is guessing)", HEADER, _rows(first), more=_rows(others),
            hint=f"{counted(len(others), 'more scorer')}: -v" if others else "",
        ),
        "* estimated without labels; the rest on mismatches made for the purpose",
        *conclusions(power),
    ]  # fmt: skip


def _rows(power: Sequence[Told]) -> list[list[str]]:
    seen, caught = KINDS[1:], KINDS
    return [[one["scorer"], _random(one), *_kinds(one["auroc"], seen), *_kinds(one["caught"], caught)] for one in power]


def _kinds(numbers: Mapping[str, float | None], kinds: Sequence[str]) -> list[str]:
    return [_share(numbers.get(kind)) for kind in kinds]


def _random(one: Told) -> str:
    """The estimate with its error; one dash where there is none."""
    error = one["standard_error"]
    return _share(one["estimated_auroc_random"]) + ("" if error is None else f" ± {_share(error)}")


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""What score tables say of themselves: rates, cuts, power, or why there are no labels; and the fit beside them.

Knows provenance and saved fits; nothing of rows or pages. Other tools' tables say nothing, and damaged words count as
none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from ncaudit import own_json
from ncaudit.judging.evidence import NOTHING, UNKNOWN
from ncaudit.judging.saved_fits import FACTS, TENSORS
from ncaudit.shards.files.locations import dirname, join, on_this_machine
from ncaudit.shards.files.provenance import Provenance
from ncaudit.shards.tables.scores import ScoreTable

_RATE: own_json.Shape = {"rate": float, "low": float, "high": float}
_CUTS: own_json.Shape = {"noisy_below": float, "clean_from": float}
_NUMBER: own_json.Shape = (None, float)
_SHARES: own_json.Shape = {...: _NUMBER}
_POWER: own_json.Shape = [
    {
        **{"scorer": str, "estimated_auroc_random": _NUMBER, "standard_error": _NUMBER},
        **{"auroc": _SHARES, "caught": _SHARES},
    }
]
_FIT: own_json.Shape = {"fit_id": str, "facts": {}, "scorer": str, "options": {}}


@dataclass(frozen=True)
class Part:
    """Tables that one fit labels at one noise rate. rows: ok ones. rate: None where they have no labels, see `why`."""

    fit: str
    scorer: str
    rows: int
    shards: tuple[str, ...]
    rate: Mapping[str, float] | None
    cuts: Mapping[str, float] | None
    power: Sequence[Mapping[str, Any]]
    label_means: str
    model: Mapping[str, Any]
    options: Mapping[str, Any]
    judged_pairs: int | None
    unknown: bool  # whether the model seems not to know these data
    scores_of: str  # the fit whose scores these are


@dataclass(frozen=True)
class Fit:
    """What is drawn of the fit beside the tables. random: scores of random pairs, (m,), ascending."""

    facts: Mapping[str, Any]
    random: npt.NDArray[np.float64]


def parts_of(tables: Sequence[ScoreTable], ok_rows: Sequence[int]) -> list[Part]:
    """What the tables say of themselves, those of one fit together, in order; of those that say nothing there is none.

    ok_rows: of each table.
    """
    found: dict[str, list[tuple[Provenance, int, str]]] = {}
    for table, rows in zip(tables, ok_rows, strict=True):
        for said in _said(table.provenance):
            found.setdefault(str(said.get("fit")), []).append((said, rows, table.shard.name))
    return [_part(fit, each) for fit, each in found.items()]


def together(parts: Sequence[Part]) -> tuple[float, float, float] | None:
    """The rate of all rows with its 90 % interval, the parts' errors being independent; None where a part has none."""
    used = [part for part in parts if part.rows] or list(parts)
    if not used or any(part.rate is None for part in used):
        return None
    rows = sum(part.rows for part in used)
    shares = [(part.rows / rows if rows else 1 / len(used), part.rate) for part in used if part.rate is not None]
    if len(shares) == 1:
        rate = shares[0][1]
        return rate["rate"], rate["low"], rate["high"]
    middle = sum(share * rate["rate"] for share, rate in shares)
    below = hypot(*(share * (rate["rate"] - rate["low"]) for share, rate in shares))
    above = hypot(*(share * (rate["high"] - rate["rate"]) for share, rate in shares))
    return middle, max(0.0, middle - below), min(1.0, middle + above)


def fit_beside(tables: Sequence[ScoreTable], parts: Sequence[Part]) -> Fit | None:
    """The fit in `_fit` beside the tables, where it is the one whose scores all of them hold."""
    fits = {part.scores_of for part in parts}
    folders = {join(dirname(table.shard.path), "_fit") for table in tables}
    folders |= {join(dirname(dirname(table.shard.path)), "_fit") for table in tables}
    if len(fits) != 1:
        return None
    for folder in sorted(folders):
        told = own_json.known(join(folder, FACTS), _FIT)
        if told is not None and (told["fit_id"] in fits or _only_judged(told, parts)):
            return Fit(told["facts"], _random(join(folder, TENSORS)))
    return None


def _only_judged(told: Mapping[str, Any], parts: Sequence[Part]) -> bool:
    """Whether people's verdicts have changed the labels of these tables, and no score: the scorer is the fit's."""
    if len(parts) != 1 or parts[0].judged_pairs is None:
        return False
    return all(parts[0].options.get(name) == value for name, value in told["options"].items())


def _said(provenance: Provenance | None) -> list[Provenance]:
    """What is said of scores, also through what has joined or filtered them since."""
    if not provenance:
        return []
    if provenance.get("fit"):
        return [provenance]
    below = [*provenance.get("shards", ()), *([provenance["scored"]] if provenance.get("scored") else [])]
    return [said for one in below for said in _said(one)]


def _part(fit: str, each: Sequence[tuple[Provenance, int, str]]) -> Part:
    said = each[0][0]
    rows = {name: count for _, count, name in each}
    told = said.get(NOTHING)
    return Part(
        fit=fit,
        scorer=str((said.get("options") or {}).get("scorer", "")),
        rows=sum(rows.values()),
        shards=tuple(rows),
        rate=_shaped(said.get("noise_rate"), _RATE),
        cuts=_shaped(said.get("cuts"), _CUTS),
        power=_shaped(said.get("power"), _POWER) or (),
        label_means=str(said.get("label_means") or ""),
        model=said.get("model") or {},
        options=said.get("options") or {},
        judged_pairs=_shaped(said.get("judged_pairs"), int),
        unknown=isinstance(told, dict) and told.get("kind") == UNKNOWN,
        scores_of=str(said.get("scores_of_fit") or fit),
    )


def _shaped(value: Any, shape: own_json.Shape) -> Any:
    return value if value is not None and own_json.fits(value, shape) else None


def _random(path: str) -> npt.NDArray[np.float64]:
    """Up to 4,096 quantiles of the scores of random pairs; none where the file cannot be read."""
    nothing = np.zeros(0)
    try:
        with on_this_machine(path) as here, safe_open(here, "np") as tensors:
            name = "calibration_null"
            return np.sort(tensors.get_tensor(name).astype(np.float64)) if name in tensors.keys() else nothing
    except (OSError, ValueError, SafetensorError):
        return nothing

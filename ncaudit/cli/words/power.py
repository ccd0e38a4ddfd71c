"""How good the audit is on these data, and what it would miss. Knows the table of power; nothing of scorers."""

from collections.abc import Mapping, Sequence
from typing import Any

from ncaudit.judging.power import KINDS

BLIND = 0.65  # AUROC below which a kind of noise is said to be missed
NOISE = {"random": "random mismatches", "topic": "captions of the same topic", "near": "nearly right captions"}
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


def conclusions(power: Sequence[Told]) -> list[str]:
    """Whether the scorer beats the cosine here, and what it would miss."""
    if not power:
        return []
    own, cosine = power[0], next((one for one in power if one["scorer"] == "clip-score"), None)
    estimated = [_beside_cosine(own, cosine)] if own["estimated_auroc_random"] is not None else []
    return [*estimated, *_missed(own)]


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


def _beside_cosine(own: Told, cosine: Told | None) -> str:
    told = (
        f"estimated AUROC against random mismatches {own['estimated_auroc_random']:.3f} ± {own['standard_error']:.3f}"
    )
    if cosine is None or cosine is own or cosine["estimated_auroc_random"] is None:
        return told
    gain = own["estimated_auroc_random"] - cosine["estimated_auroc_random"]
    error = max(own["standard_error"], cosine["standard_error"])
    verdict = "beats" if gain > error else "is no better than" if gain < -error else "is about as good as"
    return f"{told}: {own['scorer']} {verdict} the plain cosine here ({cosine['estimated_auroc_random']:.3f})"


def _missed(own: Told) -> list[str]:
    seen = {kind: own["auroc"].get(kind) for kind in KINDS}
    blind = [NOISE[kind] for kind, value in seen.items() if value is not None and value < BLIND]
    return [f"it would miss most {' and '.join(blind)}: the noise rate leaves them out"] if blind else []

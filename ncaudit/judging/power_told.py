"""What follows from the power of an audit, in sentences: for the terminal and for the page. Knows its facts only."""

from collections.abc import Mapping, Sequence
from typing import Any

from ncaudit.judging.power import KINDS

BLIND = 0.65  # AUROC below which a kind of noise is said to be missed
NOISE = {"random": "random mismatches", "topic": "captions of the same topic", "near": "nearly right captions"}
Told = Mapping[str, Any]  # of one scorer: what `judging.power.Power` names


def conclusions(power: Sequence[Told]) -> list[str]:
    """Whether the scorer beats the cosine here, and what it would miss."""
    if not power:
        return []
    own, cosine = power[0], next((one for one in power if one["scorer"] == "clip-score"), None)
    estimated = [_beside_cosine(own, cosine)] if own["estimated_auroc_random"] is not None else []
    return [*estimated, *_missed(own)]


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

"""How good is this audit on these data, told without a single label; and what kind of noise it would miss.

Knows scorers, calibration and random pairs; nothing of files. Everything is measured on a bounded sample.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit import scorers
from ncaudit.core.metrics.detection import auroc
from ncaudit.core.parallel import in_parallel
from ncaudit.errors import NcauditError
from ncaudit.judging import calibrated, calibration
from ncaudit.judging.calibrated import Looked, Scored
from ncaudit.judging.mismatches import injected
from ncaudit.options import ScorerOptions
from ncaudit.progress import Step, unheard
from ncaudit.schema import VERDICTS
from ncaudit.scoring import shared_space
from ncaudit.scoring.fits import Fit
from ncaudit.scoring.pairs import Pairs, joined, rooted

PAIRS = 4_096  # that the other scorers are fitted and judged on
KINDS = ("random", "topic", "near")
NOISY = VERDICTS.index("noisy")


@dataclass(frozen=True)
class Power:
    """One scorer on these data. Shares and AUROCs in [0, 1]; higher = better; None where it cannot be told.

    estimated_auroc_random: of matches against random mismatches, from no label at all, with its standard error.
    auroc, caught: per kind of injected mismatch, how well it is told from the matches, and the share below the cut.
    """

    scorer: str
    estimated_auroc_random: float | None
    standard_error: float | None
    auroc: Mapping[str, float | None]
    caught: Mapping[str, float | None]


def steps() -> int:
    """How many `check` takes: one for each scorer."""
    return len(scorers.names())


def check(fit: Fit, pairs: Pairs, options: ScorerOptions, step: Step = unheard) -> list[dict[str, Any]]:
    """The power of a calibrated fit, and of every other scorer that these pairs allow, the fit's own first."""
    device = pairs.image.device
    sample = rooted(calibrated.same_photos(fit, device).of(pairs))
    few = sample.head(PAIRS)
    looked = Looked.at(few)
    rate = float(fit.facts["noise_rate"]["rate"])
    wrong = injected(few, options.seed)

    def power_of(name: str) -> Power | None:
        known = fit if name == fit.scorer else fitted(name, few, options, looked)
        found = None if known is None else _power(known, few, wrong, rate, options.seed)
        with told:
            step()
        return found

    told = Lock()  # one at a time
    names = [fit.scorer, *(name for name in scorers.names() if name != fit.scorer)]
    return [asdict(power) for power in in_parallel(power_of, names) if power is not None]


def fitted(name: str, pairs: Pairs, options: ScorerOptions, looked: Looked) -> Fit | None:
    """Another scorer on the sample; None where these pairs do not allow it. looked: at these pairs."""
    other = replace_scorer(options, name)
    if scorers.get(name).NEEDS_SHARED_SPACE and not shared_space.cosine_may_tell(looked.cosine):
        return None
    try:
        # the interval of its own rate is told to nobody, and would take most of the time
        return calibrated.learn(pairs, other, looked=looked, replicates=0)
    except NcauditError:  # too few pairs, or all alike: this scorer has nothing to say here
        return None


def replace_scorer(options: ScorerOptions, name: str) -> ScorerOptions:
    """The same options for another scorer, without what is only of a run."""
    names = ScorerOptions.__dataclass_fields__
    return ScorerOptions(**{**{n: getattr(options, n) for n in names}, "scorer": name, "stratify": "none"})


def _power(fit: Fit, pairs: Pairs, wrong: Mapping[str, tuple[Tensor, Tensor]], rate: float, seed: int) -> Power:
    scored = Scored.of(fit, pairs, seed, null_pairs=PAIRS)
    above = _above(scored.observed, scored.null)
    estimated = calibration.estimated_auroc(above, rate)
    error = calibration.auroc_standard_error(scored.observed, scored.null, rate, *scored.arrays[2:])
    kinds = scored_kinds(fit, pairs, wrong)
    told = {kind: _known(_matches_above(scored, found.score, rate)) for kind, found in kinds.items()}
    caught = {kind: found.caught for kind, found in kinds.items()}
    return Power(fit.scorer, _known(estimated), _known(error), told, caught)


@dataclass(frozen=True)
class ScoredKind:
    """What the scorer says of mismatches of one kind: their scores, (m,), and the share called noisy."""

    score: npt.NDArray[np.float64]
    caught: float | None


def scored_kinds(fit: Fit, pairs: Pairs, wrong: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, ScoredKind]:
    """Every kind that could be made, all scored in one go: what lies beside the pairs is then looked at once."""
    made = {kind: rows for kind, rows in wrong.items() if len(rows[0])}
    if not made:
        return {}
    images, captions = (torch.cat(rows) for rows in zip(*made.values(), strict=True))
    found = calibrated.applier(fit, pairs.image.device)(_replaced(pairs, images, captions))
    sizes = [len(rows[0]) for rows in made.values()]
    scores = np.split(found.score.double().cpu().numpy(), np.cumsum(sizes)[:-1])
    verdicts = [None] * len(made) if found.verdict is None else torch.split(found.verdict, sizes)
    each = [ScoredKind(score, _caught(verdict)) for score, verdict in zip(scores, verdicts, strict=True)]
    return dict(zip(made, each, strict=True))


def _caught(verdict: Tensor | None) -> float | None:
    return None if verdict is None else float((verdict == NOISY).double().mean())


def _matches_above(scored: Scored, made: npt.NDArray[np.float64], rate: float) -> float:
    """AUROC of true matches against made mismatches: the observed pairs hold a share of random-like mismatches too."""
    if rate >= 1:
        return math.nan
    chance = (_above(scored.observed, made) - rate * _above(scored.null, made)) / (1 - rate)
    return min(1.0, max(0.0, chance))


def _replaced(pairs: Pairs, images: Tensor, captions: Tensor) -> Pairs:
    return replace(joined(pairs, images, captions), beside=pairs)


def _above(observed: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    score = torch.from_numpy(np.concatenate([observed, other]))
    return auroc(score, torch.arange(len(score)) < len(observed))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

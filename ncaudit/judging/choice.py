"""`--scorer auto`: the scorer that tells observed pairs from random ones best on the data at hand, without a label.

Knows scorers, calibration and made mismatches; nothing of files. Half of the question is random pairs, half random
pairs of the same topic: against the first alone a scorer that sees nothing but the topic would win.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ncaudit import scorers
from ncaudit.judging import calibrated, mismatches, power
from ncaudit.judging.calibrated import Scored
from ncaudit.options import AUTO_SCORER, ScorerOptions
from ncaudit.progress import Step, unheard
from ncaudit.scoring.fits import Fit
from ncaudit.scoring.fusion import clearly_best, placements
from ncaudit.scoring.pairs import Pairs, rooted

FIRST = "bicro"  # stays unless another is clearly better


def meant(name: str) -> list[str]:
    """The scorers that `name` stands for. Raises NcauditError unless it can be given to --scorer."""
    if name == AUTO_SCORER:
        return scorers.names()
    scorers.get(name)
    return [name]


def is_open(options: ScorerOptions) -> bool:
    """Whether a scorer is to be chosen."""
    return options.scorer == AUTO_SCORER


def steps(options: ScorerOptions) -> int:
    """How many `learn` takes."""
    return calibrated.STEPS + (len(scorers.names()) if is_open(options) else 0)


def learn(
    pairs: Pairs, options: ScorerOptions, names: Mapping[int, str] | None = None, step: Step = unheard
) -> Fit:
    """`calibrated.learn`; for `--scorer auto` with the scorer chosen here, which the facts tell with all compared."""
    if not is_open(options):
        return calibrated.learn(pairs, options, names, step)
    told_apart = compared(pairs.head(power.PAIRS), options, step)
    chosen = next(iter(told_apart), FIRST)  # where no scorer can be fitted, the first says why
    fit = calibrated.learn(pairs, replace(options, scorer=chosen), names, step)
    asked = {name: getattr(options, name) for name in ScorerOptions.__dataclass_fields__ if name != "device"}
    recorded = {**asked, **fit.options, "scorer": AUTO_SCORER}
    return replace(fit, options=recorded, facts={**fit.facts, "compared": told_apart})


def compared(pairs: Pairs, options: ScorerOptions, step: Step = unheard) -> dict[str, float]:
    """Every scorer that these pairs allow and how well it tells them from random ones, the chosen one first.

    Values: the mean of the AUROC of observed against random pairs and against random pairs of the same topic, in
    [0, 1]; higher = better. Mismatches among the observed pull all of them down alike.
    """
    names = sorted(scorers.names(), key=lambda name: name != FIRST)
    looked = calibrated.Looked.at(rooted(pairs))
    tried = {name: _placed(name, pairs, options, looked, step) for name in names}
    placed = {name: found for name, found in tried.items() if found is not None}
    if not placed:
        return {}
    best = list(placed)[clearly_best(list(placed.values()), pairs.image_id)]
    means = {name: float(found.mean()) for name, found in placed.items()}
    return {best: means.pop(best), **dict(sorted(means.items(), key=lambda item: -item[1]))}


def _placed(
    name: str, pairs: Pairs, options: ScorerOptions, looked: calibrated.Looked, step: Step
) -> Tensor | None:
    """Share of made mismatches that each observed pair is above, (n,); None where the scorer cannot be fitted."""
    step()
    fit = power.fitted(name, pairs, options, looked)
    if fit is None:
        return None
    pairs = calibrated.same_photos(fit, pairs.image.device).of(pairs)
    scored = Scored.of(fit, pairs, options.seed, null_pairs=power.PAIRS)
    topical = power.scored_kinds(fit, pairs, {"topic": mismatches.injected(pairs, options.seed)["topic"]})
    observed = torch.from_numpy(scored.observed)
    nulls = [scored.null, *(kind.score for kind in topical.values())]
    return torch.stack([placements(observed, torch.from_numpy(null)) for null in nulls]).mean(dim=0)

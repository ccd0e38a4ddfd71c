"""`--objective auto`: which objective to train with, chosen on the user's own pairs without a clean one.

Plain InfoNCE stays unless another does clearly better on pairs held out: where noise does no harm, nothing is gained by
doubting. Knows objectives and trials; nothing of options, files, heads or towers.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncaudit import objectives, own_json
from ncaudit.objectives import Objective
from ncaudit.progress import Step, unheard
from ncaudit.verbs.train.auto.trials import Course, Fold, Sampled, Standing, folds, gain, standing

PLAIN = "infonce"
UNLABELLED = (PLAIN, "rince", "sce", "rcl")  # ask for no label
LABELLED = (PLAIN, "weighted-infonce", "drop", "rince", "sce")
ONCE = ("soft-infonce",)  # was compared by earlier versions, whose runs go on
ERRORS = 2.0  # standard errors that another has to be above plain InfoNCE
SIGNAL = 3.0  # standard errors above one half, below which nothing was learnt that could be judged
FEWEST_JUDGED, FEWEST_LEARNT = 100, 100  # pairs of a fold
Json = dict[str, Any]
Get = Callable[[str], Objective]


class Reason(StrEnum):
    """Why an objective was taken."""

    better = "better"  # clearly above plain InfoNCE
    plain = "plain"  # plain InfoNCE, since nothing is clearly above it
    too_few = "too-few"  # pairs to compare on
    no_signal = "no-signal"  # held-out pairs are not above random ones, whatever is learnt


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One objective, and where what it taught puts pairs held out among random ones."""

    objective: str
    rank: float | None  # of a pair among those that share its image or caption, geometric mean; None: it was not tried
    auroc: float | None = None  # of observed against random pairs
    gain: float | None = None  # log of plain InfoNCE's rank over this one: above 0 it is better
    standard_error: float | None = None  # of the gain
    why_not: str = ""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was taken, why, and what it was compared with, on so many pairs."""

    objective: str
    reason: Reason
    labelled: bool  # whether there were labels; without them only objectives that ask for none are compared
    learnt_pairs: int  # by each of the short trainings
    judged_pairs: int
    compared: tuple[Compared, ...] = ()

    def as_json(self) -> Json:
        """For the run's record."""
        return {**asdict(self), "compared": [asdict(each) for each in self.compared]}


_COMPARED: own_json.Shape = {
    "objective": str, "why_not": str,
    **dict.fromkeys(("rank", "auroc", "gain", "standard_error"), (None, float)),
}  # fmt: skip
SHAPE: own_json.Shape = {
    "objective": str, "reason": str, "labelled": bool, "learnt_pairs": int, "judged_pairs": int,
    "compared": [_COMPARED],
}  # fmt: skip


def recorded(told: Any) -> Choice | None:
    """The choice that a run's record tells; None where it tells none that could have been made."""
    if not own_json.fits(told, SHAPE):
        return None
    if told["reason"] not in list(Reason) or told["objective"] not in (*candidates(told["labelled"]), *ONCE):
        return None
    compared = tuple(Compared(**{name: each[name] for name in _COMPARED}) for each in told["compared"])
    return Choice(**{**{name: told[name] for name in SHAPE}, "reason": Reason(told["reason"]), "compared": compared})


def candidates(labelled: bool) -> list[str]:
    """What is compared, the most trusted first."""
    return [name for name in (LABELLED if labelled else UNLABELLED) if name in objectives.names()]


def choose(
    sampled: Sampled, course: Course, *, labelled: bool, get: Get = objectives.get, step: Step = unheard
) -> Choice:
    """Compare, and take the best. step: called after each epoch of each short training."""
    parts = folds(sampled, course.seed)
    learnt, judged = min(len(part.learnt) for part in parts), sum(len(part.judged) for part in parts)
    told: Json = {"labelled": labelled, "learnt_pairs": learnt, "judged_pairs": judged}
    if learnt < FEWEST_LEARNT or judged < FEWEST_JUDGED:
        return Choice(objective=_usual(labelled), reason=Reason.too_few, **told)
    found = {name: _tried(get(name), sampled, parts, course, step) for name in candidates(labelled)}
    photo = torch.cat([part.judged.photo for part in parts])
    compared = [_compared(name, each, found[PLAIN], photo) for name, each in found.items()]
    return _chosen(compared, found, photo, told)


def _usual(labelled: bool) -> str:
    """What is taken where nothing can be compared: labels are believed, where there are any."""
    return "weighted-infonce" if labelled else PLAIN


def _tried(
    objective: Objective, sampled: Sampled, parts: Sequence[Fold], course: Course, step: Step
) -> Standing | str:
    """Where all judged pairs stand, or why that is not known."""
    if why := next(_reasons(objective, parts), ""):
        return why
    found = [standing(sampled, part, objective, course, step) for part in parts]
    sound = [each for each in found if each is not None]
    if len(sound) < len(found):
        return "its training diverged"
    return Standing(torch.cat([each.above for each in sound]), torch.cat([each.log_rank for each in sound]))


def _reasons(objective: Objective, parts: Sequence[Fold]) -> Iterator[str]:
    """Why it cannot learn from these labels."""
    for part in parts:
        label = part.learnt.label.numpy()
        left = int(objective.trains_on(label).sum())
        if left < min(FEWEST_LEARNT, len(label)):
            yield f"it leaves {left:,} of {len(label):,} pairs to learn from"
        elif objective.name in LABELLED[1:] and not np.any(label > 0):
            yield "every label is 0"


def _compared(name: str, found: Standing | str, plain: Standing | str, photo: Tensor) -> Compared:
    if isinstance(found, str):
        return Compared(objective=name, rank=None, why_not=found)
    told: Json = {"objective": name, "rank": float(found.log_rank.mean().exp()), "auroc": float(found.above.mean())}
    if name == PLAIN or isinstance(plain, str):
        return Compared(**told)
    more, error = gain(plain.log_rank, found.log_rank, photo)
    return Compared(**told, gain=more, standard_error=error)


def _chosen(
    compared: Sequence[Compared], found: Mapping[str, Standing | str], photo: Tensor, told: Mapping[str, Any]
) -> Choice:
    ordered = tuple(sorted(compared, key=lambda one: math.inf if one.rank is None else one.rank))
    best = ordered[0]
    where = found[best.objective]
    if isinstance(where, str) or not _is_above_chance(where, photo):
        return Choice(objective=PLAIN, reason=Reason.no_signal, compared=ordered, **told)
    clearly = best.objective != PLAIN and (best.gain is None or best.gain > ERRORS * (best.standard_error or 0.0))
    taken, reason = (best.objective, Reason.better) if clearly else (PLAIN, Reason.plain)
    return Choice(objective=taken, reason=reason, compared=ordered, **told)


def _is_above_chance(where: Standing, photo: Tensor) -> bool:
    more, error = gain(where.above, torch.full_like(where.above, 0.5), photo)
    return more > SIGNAL * error

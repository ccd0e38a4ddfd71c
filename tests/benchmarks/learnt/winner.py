"""Which row is the best of the first phase. Knows lines; nothing of how they came about."""

from collections.abc import Mapping
from statistics import mean

import numpy as np

from learnt.cells import PHOTOS, SHOWN, Draw, Form
from learnt.methods import METHODS, SOFT
from learnt.state import Line

Lines = Mapping[tuple[Draw, str], Line]
METRIC = {PHOTOS: "six"}  # of few photos, recall at 1 alone tells little


def metric(world: str) -> str:
    """What rows are compared by: six, the mean of six recalls, or r1."""
    return METRIC.get(world, "r1")


def by_seed(lines: Lines, world: str, noise: tuple[str, float], name: str, epoch: str) -> dict[int, np.ndarray]:
    """(photos,) of every seed of which all parts were measured, in percent; of parts, each photo in its own."""
    found: dict[int, list[np.ndarray]] = {}
    for (draw, method), line in lines.items():
        if (draw.world, draw.kind, draw.rate, method) == (world, *noise, name) and not line.why:
            found.setdefault(draw.seed, []).append(getattr(line.recalls(epoch), metric(world)))
    whole = {seed: np.fmax.reduce(parts) for seed, parts in found.items()}
    return {seed: values for seed, values in whole.items() if not np.isnan(values).any()}


def winner(lines: Lines, world: str, form: Form, epoch: str = "last") -> str | None:
    """The row with the highest mean at the last epoch, which no clean pair had to choose; beside soft labels, if any.

    Only rows that were measured on all the seeds that choose.
    """
    values = {}
    for name in (name for name, method in METHODS.items() if not method.control and name != SOFT):
        found = by_seed(lines, world, SHOWN, name, epoch)
        if set(form.choosing) <= found.keys():
            values[name] = mean(float(found[seed].mean()) for seed in form.choosing)
    return max(values, key=values.__getitem__) if values else None

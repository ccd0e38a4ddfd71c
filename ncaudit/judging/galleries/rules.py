"""The galleries of a score table: which rows are in each, and which of them come first, told in words and in code.

Knows the columns of score tables; nothing of files, of how many rows are kept or of how they are shown.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ncaudit.judging.galleries.cells import Bools, Cells, Numbers
from ncaudit.schema import OK

HALF = 0.5


@dataclass(frozen=True)
class Gallery:
    """One kind of row that people should look at.

    rule: in words, of which rows and in which order. qualifies: (n,) which rows. rank: (n,) ascending, the first rows
    first; rows of equal rank stand as they do in the tables, and those without a rank last.
    """

    name: str
    title: str
    rule: str
    qualifies: Callable[[Cells], Bools]
    rank: Callable[[Cells], Numbers]


def label_or_rank(cells: Cells) -> Numbers:
    """The soft label; behind all labels the rows that have none, by their score, and then those with a cosine alone.

    Row by row: what a row is ranked by must not depend on the rows beside it.
    """
    label, score, cosine = (cells.number(name) for name in ("soft_label", "score", "similarity"))
    with np.errstate(over="ignore"):
        behind = np.where(np.isnan(score), 5 + cosine / 2, 2 + 1 / (1 + np.exp(-score)))
    return np.where(np.isnan(label), behind, label)


def _ranked(cells: Cells) -> Bools:
    return cells.ok & ~np.isnan(label_or_rank(cells))


def _called(cells: Cells, word: str) -> Bools:
    """Rows with this verdict; in a table that has none, by its label as `score` cuts it unless told otherwise."""
    if cells.has("verdict"):
        return cells.ok & cells.equals("verdict", word)
    label = cells.number("soft_label")
    with np.errstate(invalid="ignore"):
        told = {"noisy": label < HALF, "clean": label >= 0.9, "unsure": (label >= HALF) & (label < 0.9)}
    return cells.ok & told[word]


def _in_order(cells: Cells) -> Numbers:
    return np.zeros(len(cells))


WORST = Gallery(
    "worst",
    "Worst pairs",
    "The lowest soft labels of all; without labels, the lowest scores.",
    _ranked,
    label_or_rank,
)
UNSURE = Gallery(
    "unsure",
    "Unsure",
    "Pairs called neither clean nor noisy, those nearest to one half first: a look at these tells most.",
    lambda cells: _called(cells, "unsure"),
    lambda cells: np.abs(cells.number("soft_label") - HALF),
)
SUGGESTED = Gallery(
    "suggested",
    "Suggested captions",
    "Noisy pairs for whose picture the caption of a clean pair fits, the likeliest first.",
    lambda cells: cells.there("suggested_caption"),
    lambda cells: -cells.number("suggested_probability"),
)
NOISY_BUT_CLOSE = Gallery(
    "noisy-but-close",
    "Noisy though similar",
    "Label and cosine disagree: called noisy, but the highest cosine of all that are, so a threshold would keep them.",
    lambda cells: _called(cells, "noisy") & ~np.isnan(cells.number("similarity")),
    lambda cells: -cells.number("similarity"),
)
CLEAN_BUT_FAR = Gallery(
    "clean-but-far",
    "Clean though dissimilar",
    "Label and cosine disagree: called clean, but the lowest cosine of all that are, so a threshold would drop them.",
    lambda cells: _called(cells, "clean") & ~np.isnan(cells.number("similarity")),
    lambda cells: cells.number("similarity"),
)
FAILED = Gallery(
    "failed",
    "Rows without a score",
    "The first rows that could not be judged, with what was wrong; there is no picture to show.",
    lambda cells: ~cells.ok,
    _in_order,
)
AGAINST_SIMILARITY = (NOISY_BUT_CLOSE, CLEAN_BUT_FAR)


def of_reason(reason: str) -> Gallery:
    """Rows with this reason, the lowest soft labels first."""
    return Gallery(
        f"reason-{reason}",
        reason.replace("_", " "),
        f"Rows whose reason is {reason}, the lowest soft labels first.",
        lambda cells: cells.equals("reason", reason),
        label_or_rank,
    )


def of_status(status: str) -> Gallery:
    """Rows with this status, in their order."""
    assert status != OK
    rule = f"Rows whose status is {status}, in their order."
    return Gallery(f"status-{status}", status, rule, lambda cells: cells.equals("status", status), _in_order)

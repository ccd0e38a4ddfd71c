"""`ncaudit.soft_labels`: scores for arrays already in memory, by the same fit and apply as the command's.

Knows arrays and scorers; nothing of files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from ncaudit import budget
from ncaudit.core import parallel
from ncaudit.core.device import pick_device
from ncaudit.counts import counted
from ncaudit.errors import NcauditError
from ncaudit.hashing import fit_sample_keys, hash_rows
from ncaudit.judging import calibrated, choice
from ncaudit.judging.in_memory.given_arrays import embeddings_of, names_of
from ncaudit.options import ScorerOptions
from ncaudit.schema import VERDICTS
from ncaudit.scoring.fits import PairScores
from ncaudit.scoring.pairs import Pairs

ROWS = 4_096
WORST = 5  # pairs in a notebook's table
Array = npt.NDArray[Any]


@dataclass(frozen=True, repr=False)
class SoftLabels:
    """One entry per pair, in the order given; all (n,). What the scorer does not compute is None. Prints a summary.

    soft_label, clean_probability, image_consistency, text_consistency: float32 in [0, 1], higher = better.
    similarity: cosine. score: any real, higher = likelier. is_anchor: bool.
    verdict: clean, unsure or noisy, as `facts["cuts"]` says.
    image_anchor, text_anchor: row of the nearest anchor in the arrays given, -1 for none.
    facts: what the numbers rest on (how many anchors, chosen how).
    """

    score: Array
    similarity: Array
    soft_label: Array | None
    clean_probability: Array | None
    image_consistency: Array | None
    text_consistency: Array | None
    is_anchor: Array | None
    verdict: Array | None
    image_anchor: Array | None
    text_anchor: Array | None
    facts: Mapping[str, Any]

    def to_frame(self) -> pd.DataFrame:
        """The columns that were computed, as a pandas DataFrame with one row per pair."""
        known = {name: value for name, value in vars(self).items() if name != "facts" and value is not None}
        return pd.DataFrame(known)

    def __len__(self) -> int:
        return len(self.score)

    def __repr__(self) -> str:
        told = [counted(len(self), "pair"), *self._rate(), *self._verdicts()]
        if self.soft_label is not None:
            told.append(f"mean soft label {self.soft_label.mean():.3f}")
        return f"SoftLabels: {', '.join(told)}"

    def _repr_html_(self) -> str:
        """The summary, and the pairs that look worst: what Jupyter shows."""
        worst = self.to_frame().sort_values(["score"], kind="stable").head(WORST)
        return f"<p>{escape(repr(self))}; the worst, by row:</p>{worst.to_html()}"

    def _rate(self) -> list[str]:
        rate = self.facts.get("noise_rate")
        return [f"noise rate {rate['rate']:.1%} ({rate['low']:.1%} to {rate['high']:.1%})"] if rate else []

    def _verdicts(self) -> list[str]:
        return [] if self.verdict is None else [f"{int((self.verdict == word).sum()):,} {word}" for word in VERDICTS]


def soft_labels(
    image: Any,
    text: Any,
    *,
    image_id: Sequence[Any] | Array | None = None,
    caption_id: Sequence[Any] | Array | None = None,
    **options: Any,
) -> SoftLabels:
    """Score n pairs from their embeddings.

    image, text: (n, d) of any float type, row i of both is pair i; rows are made unit. Arrays, tensors, DataFrames of
    numbers, or columns of lists (Arrow, polars, pandas), as they stand in an embedding table.
    image_id, caption_id: (n,) whatever tells photos and captions apart (pairs that share one do not judge each other);
    by default equal embeddings count as the same. options: fields of `ScorerOptions`, such as scorer="csls" or k=10.
    Raises NcauditError for other shapes, for rows that are zero or not finite, and as `ncaudit score` does.
    """
    with parallel.spread(budget.threads()):
        return _soft_labels(image, text, image_id, caption_id, ScorerOptions(**options))


def _soft_labels(image: Any, text: Any, image_id: Any, caption_id: Any, chosen: ScorerOptions) -> SoftLabels:
    device = pick_device(chosen.device)
    pairs = _pairs(_unit(image, "image"), _unit(text, "text"), image_id, caption_id).to(device)
    order = np.argsort(fit_sample_keys("", np.arange(len(pairs)), chosen.seed), kind="stable")
    sample = pairs.take(torch.from_numpy(order[: chosen.fit_pairs]).to(device))
    fit = choice.learn(sample, chosen)
    apply = calibrated.applier(fit, device)
    blocks = (pairs.rows(slice(start, start + ROWS)) for start in range(0, len(pairs), ROWS))
    parts = list(parallel.in_order(apply, blocks))
    rows_of = np.array([int(name) for name in fit.pair_ids], dtype=np.int64)
    columns: dict[str, Any] = _joined(parts, rows_of)
    return SoftLabels(**columns, facts=fit.facts)


def _unit(given: Any, name: str) -> torch.Tensor:
    array = embeddings_of(given, name)
    norm = array.norm(dim=1)
    bad = (~(norm.isfinite() & (norm > 0))).nonzero()[:, 0]
    if len(bad):
        raise NcauditError(
            f"row {int(bad[0])} of {name} is zero or not finite ({counted(len(bad), 'such row')})",
            fix="leave these pairs out",
        )
    unit: torch.Tensor = array / norm[:, None]
    return unit


def _pairs(image: torch.Tensor, text: torch.Tensor, image_id: Any, caption_id: Any) -> Pairs:
    if len(image) != len(text):
        raise NcauditError(
            f"image has {counted(len(image), 'row')} and text has {len(text):,}",
            fix="give the same pairs in the same order to both",
        )
    ids = (_ids(image_id, image, "image_id"), _ids(caption_id, text, "caption_id"))
    return Pairs(image, text, *ids, [str(row) for row in range(len(image))])


def _ids(given: Any, rows: torch.Tensor, name: str) -> torch.Tensor:
    if given is None:
        return torch.from_numpy(hash_rows(rows.cpu().numpy()))
    codes, _ = pd.factorize(names_of(given))
    if len(codes) != len(rows):
        entries = counted(len(codes), "entry", "entries")
        raise NcauditError(f"{name} has {entries} for {counted(len(rows), 'pair')}", fix="give one per pair")
    return torch.from_numpy(codes.astype(np.int64))


def _joined(parts: list[PairScores], rows_of: npt.NDArray[np.int64]) -> dict[str, Array | None]:
    names = PairScores.__dataclass_fields__
    columns = {name: _column([getattr(part, name) for part in parts]) for name in names}
    for name in ("image_anchor", "text_anchor"):
        index = columns[name]
        if index is not None:
            columns[name] = np.where(index < 0, -1, rows_of[index])
    if columns["verdict"] is not None:
        columns["verdict"] = np.array(VERDICTS)[columns["verdict"]]
    return columns


def _column(values: list[torch.Tensor | None]) -> Array | None:
    known = [value.cpu().numpy() for value in values if value is not None]
    return np.concatenate(known) if known else None

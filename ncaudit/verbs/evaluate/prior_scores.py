"""Scores that the pairs came with, beside ours: how far they agree, where they do not, and which one finds more.

Knows score tables and ranks; nothing of Typer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.core.metrics.paired_auroc import PairedAuroc, paired_auroc
from ncaudit.core.statistics.rank_correlation import rank_shares, spearman
from ncaudit.errors import BadTable
from ncaudit.shards.columns import is_text
from ncaudit.shards.people.truth import MATCH, MISSING, Truths
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.evaluate.exact_order import in_order, is_number, rounded

OURS = ("score", "soft_label")  # what a prior score is compared with
SHOWN = 5  # disagreements per direction
Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A pair ranked high by one score, low by the other. Shares: 0 the lowest of the pairs with both, 1 the highest."""

    pair_id: str
    caption: str | None
    score: float
    prior: float
    score_share: float
    prior_share: float


@dataclass(frozen=True, kw_only=True)
class PriorScore:
    """One column beside ours, over the ok rows that have both. Correlations in [-1, 1], None where one is constant."""

    column: str
    pairs: int  # ok rows with `score` and the column
    spearman_score: float | None
    pairs_soft_label: int
    spearman_soft_label: float | None
    ranked_by: str  # ours that the disagreements are about: score, or soft_label where there is no score
    ours_higher: tuple[Disagreement, ...]  # widest first
    prior_higher: tuple[Disagreement, ...]
    auroc: PairedAuroc | None  # first: ours, second: the column, on the pairs whose truth is known; None without any
    better: str | None  # what finds the mismatches better at the 95 % level, by name; None: neither, or no truth


def prior_columns(tables: Sequence[ScoreTable], wanted: Sequence[str]) -> list[str]:
    """The columns meant by these names: NAME, and the input's own column of that name, carried as `input_NAME`.

    Raises BadTable, listing the columns of numbers, when no table has either, or there is nothing of ours to compare
    with.
    """
    there = {field.name: field.type for table in tables for field in table.schema}
    if not any(name in there for name in OURS):
        raise BadTable(f"{tables[0].shard.path} has neither score nor soft_label", fix="give tables of `ncaudit score`")
    found: list[str] = []
    for name in wanted:
        meant = [column for column in (name, f"input_{name}") if column in there and column not in OURS]
        if not meant:
            raise _not_there(tables[0].shard.path, name, there)
        found += meant
    return list(dict.fromkeys(found))


def compare(
    column: str,
    values: Mapping[str, Numbers],
    parts: Sequence[pa.Array],
    truth: Truths | None,
    tables: Sequence[ScoreTable],
    ok: Flags,
) -> PriorScore:
    """Compare one prior score with ours.

    values: per column of ours, (n_ok,) with nan for null. parts: the column itself, n_ok numbers of any types in all;
    they are ranked as they are. truth: (n_ok,) or None. ok: (n,) bool over the rows of all tables in order; the
    captions of the disagreements are read from there.
    """
    prior, score, label = in_order(parts), values["score"], values["soft_label"]
    by_score, by_label = (~np.isnan(ours) & ~np.isnan(prior) for ours in (score, label))
    ranked_by = "score" if by_score.any() else "soft_label"
    use = np.flatnonzero(by_score if by_score.any() else by_label)
    auroc = None if truth is None else _auroc(values[ranked_by], prior, truth, use)
    ours_higher, prior_higher = _disagreements(values[ranked_by], prior, parts, use, tables, ok)
    return PriorScore(
        column=column,
        pairs=int(by_score.sum()),
        spearman_score=spearman(score[by_score], prior[by_score]),
        pairs_soft_label=int(by_label.sum()),
        spearman_soft_label=spearman(label[by_label], prior[by_label]),
        ranked_by=ranked_by,
        ours_higher=ours_higher,
        prior_higher=prior_higher,
        auroc=auroc,
        better=(None, ranked_by, column)[auroc.better] if auroc else None,
    )


def _auroc(ours: Numbers, prior: Numbers, truth: Truths, use: npt.NDArray[np.int64]) -> PairedAuroc | None:
    judged = use[truth[use] != MISSING]
    return paired_auroc(ours[judged], prior[judged], truth[judged] == MATCH)


def _disagreements(
    ours: Numbers,
    prior: Numbers,
    parts: Sequence[pa.Array],
    use: npt.NDArray[np.int64],
    tables: Sequence[ScoreTable],
    ok: Flags,
) -> tuple[tuple[Disagreement, ...], tuple[Disagreement, ...]]:
    """The pairs whose places among all differ most, in either direction; equal differences in the order of the rows."""
    our_share, prior_share = rank_shares(ours[use]), rank_shares(prior[use])
    gap = our_share - prior_share
    ways = [np.argsort(-sign * gap, kind="stable")[:SHOWN] for sign in (1, -1)]
    ways = [way[sign * gap[way] > 0] for way, sign in zip(ways, (1, -1), strict=True)]
    chosen = np.unique(np.concatenate(ways))
    told = dict(zip(chosen.tolist(), _told(tables, np.flatnonzero(ok)[use[chosen]]), strict=True))
    values = np.concatenate([rounded(part) for part in parts])  # `prior` may be places
    made = [
        tuple(
            Disagreement(
                pair_id=told[i][0],
                caption=told[i][1],
                score=float(ours[use[i]]),
                prior=float(values[use[i]]),
                score_share=float(our_share[i]),
                prior_share=float(prior_share[i]),
            )
            for i in way.tolist()
        )
        for way in ways
    ]
    return made[0], made[1]


def _told(tables: Sequence[ScoreTable], places: npt.NDArray[np.int64]) -> list[tuple[str, str | None]]:
    """pair_id and caption of the rows at these places of all tables, (n,) ascending."""
    told: list[tuple[str, str | None]] = []
    first = 0
    for table in tables:
        low, high = np.searchsorted(places, [first, first + table.rows])
        if low < high:
            has_text = "caption" in table.schema.names and is_text(table.schema.field("caption").type)
            rows = table.rows_at(places[low:high] - first, ["caption"] if has_text else [])
            captions = rows["caption"].to_pylist() if has_text else [None] * len(rows)
            told += zip(rows["pair_id"].to_pylist(), captions, strict=True)
        first += table.rows
    return told


def _not_there(path: str, name: str, there: dict[str, pa.DataType]) -> BadTable:
    numbers = [name for name, kind in there.items() if is_number(kind)]
    others = [n for n in numbers if n not in (*OURS, "row")]
    return BadTable(
        f"{path} carries no prior score {name} (columns of numbers: {', '.join(others) or 'none'})",
        fix="name one of these with --against; without --columns, `ncaudit embed` and `score` carry all light columns",
    )

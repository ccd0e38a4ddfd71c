"""The scores of the rows that people may have judged, by whoever does the shards.

Knows sites, a fit and where scores may be laid aside; nothing of what verdicts say. A score may change in its last
digits with the rows beside it, so whole batches are scored, as they will be again; but only those that anybody speaks
of, unless the scores of all rows are asked for.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.core.device import pick_device
from ncaudit.engines.jobs import Does, Site, found_by
from ncaudit.engines.local import ShardRows
from ncaudit.judging import calibrated, fit_sample
from ncaudit.progress import Progress
from ncaudit.scoring.fits import Applier, Fit
from ncaudit.shards.people.pair_finder import Asked
from ncaudit.shards.tables.embeddings import EmbeddingBatch, EmbeddingTable
from ncaudit.verbs.score.judged.aside import Aside
from ncaudit.verbs.score.judged.likely_rows import Looked, Telling, tasks_of


def scored(
    site: Site, fit: Fit, device: str, judges: Sequence[Asked], tables: Sequence[EmbeddingTable],
    numbers: Iterable[int], aside: Aside | None, progress: Progress,
) -> Looked:  # fmt: skip
    """The rows that people may have judged, with their scores, in these tables. aside: where all rows' are laid."""
    engine = site.engine(partial(_scoring, fit, device, judges, aside))
    every = found_by(engine, tasks_of(tables, sorted(numbers)), progress)
    return Looked(judges, tables, {told.table: told for told in every})


@dataclass(frozen=True)
class _Scoring:
    """What a process needs to score the rows of a table."""

    judges: Sequence[Asked]
    apply: Applier
    device: torch.device
    aside: Aside | None
    progress: Progress

    def table(self, item: tuple[int, EmbeddingTable]) -> ShardRows:
        """One table, given with its number."""
        number, table = item
        every = self.aside is not None and not self.aside.has(number)
        telling, score, first = Telling(self.judges), dict[int, float](), 0
        held = [np.empty(0, dtype=np.float32)]
        for batch in table.batches():
            named = batch.named(first)
            at = telling.add(named)
            if len(at) or (every and len(named.place)):
                found = self._scores(batch)
                score |= dict(zip(named.place[at].tolist(), found[at].tolist(), strict=True))
                held += [found.astype(np.float32)] if every else []
            first += len(batch)
            self.progress.advance(len(batch))
        if self.aside is not None and every:
            self.aside.write(number, np.concatenate(held))
        return ShardRows({}, more=telling.told(number, score))

    def _scores(self, batch: EmbeddingBatch) -> npt.NDArray[np.float64]:
        pairs = fit_sample.as_pairs(batch).to(self.device)
        scores: npt.NDArray[np.float64] = self.apply(pairs).score.double().cpu().numpy()
        return scores


@contextmanager
def _scoring(
    fit: Fit, device: str, judges: Sequence[Asked], aside: Aside | None, progress: Progress
) -> Iterator[tuple[None, Does]]:
    where = pick_device(device)
    yield None, _Scoring(judges, calibrated.applier(fit, where), where, aside, progress).table

"""People's verdicts on some pairs, heard before anything is fitted, and again with the scores of these pairs.

Knows judges, tables, fits and sites; nothing of what becomes of a fit by what they say. What this process holds grows
with the pairs that were judged, and the tables that have them, not with the rows.
"""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b

from ncaudit.engines.jobs import Site
from ncaudit.judging.saved_fits import SavedFit
from ncaudit.progress import Progress
from ncaudit.shards.people.verdicts import Verdicts
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.verbs.outputs import versions_of
from ncaudit.verbs.score.judged.aside import edges, laid_aside
from ncaudit.verbs.score.judged.judged_scores import Judged, JudgedScores, require_known
from ncaudit.verbs.score.judged.likely_rows import look_up
from ncaudit.verbs.score.judged.scored_rows import scored

ASIDE = "judging"  # a folder beside the fit, while the scores of all rows lie there


@dataclass(frozen=True)
class Heard:
    """Who judged, and the tables that have what they judged. numbers: of the tables that must be scored for it."""

    judges: Sequence[Verdicts]
    tables: Sequence[EmbeddingTable]
    numbers: Sequence[int]

    @property
    def drawn(self) -> bool:
        """Whether each file tells the strata that its pairs were drawn from."""
        return all(judge.drawn is not None for judge in self.judges)

    @classmethod
    def of(
        cls, site: Site, judges: Sequence[Verdicts], tables: Sequence[EmbeddingTable], progress: Progress
    ) -> "Heard":
        """Raises BadTable when a judged pair is none of these tables, or its name is that of several.

        Where each file tells the strata that its pairs were drawn from, only tables with judged pairs are scored;
        else all rows' scores say what the judged ones stand for.
        """
        asked = [judge.pairs for judge in judges]
        there = look_up(site, asked, tables, partial(require_known, judges), progress)
        every = cls(judges, tables, range(len(tables)))
        return replace(every, numbers=sorted(there)) if every.drawn else every

    def scored(self, site: Site, saved: SavedFit, device: str, folder: str | None, progress: Progress) -> Judged:
        """The judged pairs by this fit. folder: shared, where scores may be laid aside; None: below TMPDIR.

        Raises BadTable as `JudgedScores` does.
        """
        asked = [judge.pairs for judge in self.judges]
        with ExitStack() as stack:
            aside = None if self.drawn else stack.enter_context(laid_aside(folder, self._of(saved)))
            looked = scored(site, saved.fit, device, asked, self.tables, self.numbers, aside, progress)
            cut = None if aside is None else partial(edges, site, aside, self.tables)
            return JudgedScores(self.judges, looked, cut).found()

    def _of(self, saved: SavedFit) -> str:
        """What all rows' scores are of, and what made them."""
        told = json.dumps([saved.fit_id, versions_of(table.shard for table in self.tables)])
        return blake2b(told.encode(), digest_size=16).hexdigest()

"""The report of score tables: what one pass finds, the pictures it wants, and the page that comes of both.

Knows tables of scores and the parts of the page; nothing of files' places or HTML.
"""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from ncaudit.errors import NcauditError
from ncaudit.judging.draw import Design, Drawable, designed, fetched, keys
from ncaudit.judging.galleries.collector import SHOWN
from ncaudit.options import ReportOptions, SampleOptions
from ncaudit.progress import Progress
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report import score_page
from ncaudit.verbs.report.answer import fit_beside, parts_of, together
from ncaudit.verbs.report.found.named_pairs import find_named
from ncaudit.verbs.report.found.seen import look_at
from ncaudit.verbs.report.found.truths import truth_for
from ncaudit.verbs.report.score_page import ScoreFindings
from ncaudit.verbs.report.shown.cards import CardMaker, Wanted, place_of, witnesses_of
from ncaudit.verbs.report.shown.judge_pairs import JudgePair, JudgeSample, JudgeStratum
from ncaudit.verbs.report.shown.pictures import LARGE, SMALL, Pictures
from ncaudit.verbs.report.shown.views import Page

VERDICTS = "verdicts.csv"  # what the browser exports
JUDGED_COLUMNS = ("pair_id", "shard", "row", "caption")  # nothing that tells a judge what to say
NO_PICTURES = "There are no pictures: the report was made without --data, the dataset that was scored."
NOWHERE = "There are no pictures: the tables have no shard and row that tell where in the dataset their pairs are."


class ScoreReport:
    """All that is found, before and after the pictures are there."""

    def __init__(self, options: ReportOptions, tables: Sequence[ScoreTable], progress: Progress) -> None:
        self._options, self._tables = options, tables
        seen = look_at(tables, options, truth_for(options, tables), progress)
        parts = parts_of(tables, seen.counts.of_table)
        self._found = ScoreFindings(seen, parts, fit_beside(tables, parts), options)
        shown = [] if options.judge_only else self._found.rows_with_witnesses()
        self._named = find_named(tables, witnesses_of(shown), SHOWN, progress)
        self._judged = self._draw(seen.drawable)

    @property
    def statuses(self) -> Mapping[str, int]:
        """Rows by their status."""
        return dict(self._found.seen.counts.statuses)

    @property
    def rate(self) -> dict[str, float | None]:
        """As the tables tell it."""
        told = together(self._found.parts) or (None, None, None)
        return dict(zip(("noise_rate", "noise_rate_low", "noise_rate_high"), told, strict=True))

    def want(self, wanted: Wanted) -> None:
        """Ask for the pictures of all rows that are shown."""
        for cells in self._judged_rows:
            wanted.add(cells, LARGE)
        if self._options.judge_only:
            return
        self._found.want(wanted)
        for cells in self._named.values():
            wanted.add(cells, SMALL)

    def page(self, pictures: Pictures) -> Page:
        """The page with these pictures."""
        maker, only = CardMaker(pictures, self._named), self._options.judge_only
        judge = self._judge(pictures)
        return Page(
            title="Judge these pairs" if only else "Do these images and captions belong together?",
            subtitle=self._subtitle,
            answer=None if only else score_page.answer(self._found),
            figures=() if only else self._figures,
            galleries=() if only else score_page.galleries(self._found, maker),
            judge=judge,
            judge_note=None if judge or not self._options.judge else "There is nothing to judge: no row has a score.",
            pictures_note=self._pictures_note(pictures),
        )

    @cached_property
    def _figures(self) -> Any:
        return score_page.figures(self._found)

    @property
    def _subtitle(self) -> str:
        names, rows = [table.shard.name for table in self._tables], sum(table.rows for table in self._tables)
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        return f"{rows:,} rows of {names[0]}{more}"

    def _pictures_note(self, pictures: Pictures) -> str | None:
        if not pictures.asked:
            return NO_PICTURES
        if not pictures.found:
            return NOWHERE if self._found.seen.counts.statuses["ok"] else None
        return None if pictures.count else "No picture of the rows shown could be decoded; each says why."

    def _draw(self, drawable: Drawable | None) -> tuple[Design, pa.Table] | None:
        """The pairs to judge, as `sample` draws them."""
        if drawable is None or not len(drawable.score):
            if self._options.judge_only:
                raise NcauditError("no row has a score, so there is no pair to judge", fix="see the status column")
            return None
        design = designed(drawable, max(2, self._options.judge), SampleOptions.strata)
        rows = fetched(self._tables, drawable.place[design.chosen], _judged_columns)
        return design, rows

    @cached_property
    def _judged_rows(self) -> list[dict[str, Any]]:
        """Their cells and their stratum, in random order."""
        if self._judged is None:
            return []
        design, table = self._judged
        order = np.argsort(keys("order", table["pair_id"].combine_chunks(), self._options.seed), kind="stable")
        renamed = self._strata_order(len(design.sizes))
        strata = renamed[design.stratum[design.chosen]]
        rows = table.to_pylist()
        return [{**rows[i], "stratum": int(strata[i])} for i in order.tolist()]

    def _strata_order(self, count: int) -> Any:
        """Numbers that do not tell which stratum has the low scores."""
        return np.random.default_rng(self._options.seed).permutation(count)

    def _judge(self, pictures: Pictures) -> JudgeSample | None:
        if self._judged is None:
            return None
        design, renamed = self._judged[0], self._strata_order(len(self._judged[0].sizes))
        back = np.argsort(renamed)
        strata = [JudgeStratum(rows=int(design.sizes[h]), drawn=int(design.drawn[h])) for h in back.tolist()]
        pairs = [self._judge_pair(cells, pictures) for cells in self._judged_rows]
        command = f"ncaudit score EMBEDDINGS --verdicts {VERDICTS} --out {shlex.join(self._options.scores[:1])}"
        alone = self._options.judge_only
        return JudgeSample(key=self._key, name=VERDICTS, pairs=pairs, strata=strata, command=command, alone=alone)

    def _judge_pair(self, cells: Mapping[str, Any], pictures: Pictures) -> JudgePair:
        maker = CardMaker(pictures, {})
        picture, text = maker.picture(cells, LARGE), maker.caption(cells)
        place = place_of(cells)
        return JudgePair(
            pair_id=str(cells["pair_id"]),
            shard=None if place is None else place.shard,
            row=None if place is None else place.row,
            caption=None if text is None else text.text,
            caption_characters=None if text is None else text.of,
            image=None if picture is None else picture.url,
            stratum=cells["stratum"],
        )

    @cached_property
    def _key(self) -> str:
        """Of the tables' content and the draw: pages opened from disk share one store."""
        told = [*(fingerprint(table.shard) for table in self._tables), self._options.judge, self._options.seed]
        return f"ncaudit-judge-{hashlib.sha256(repr(told).encode()).hexdigest()[:16]}"


def _judged_columns(table: ScoreTable, places: Any) -> pa.Table:
    """What a judge may see of some rows; long captions are cut later."""
    names = [name for name in JUDGED_COLUMNS if name in table.schema.names]
    return table.rows_at(places, names).select(names)

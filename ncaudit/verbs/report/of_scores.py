"""The report of score tables: what one pass finds, the pictures it wants, and the page that comes of both.

Knows tables of scores and the parts of the page; nothing of files' places or HTML.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ncaudit.counts import counted
from ncaudit.engines.jobs import Site
from ncaudit.judging.galleries.collector import SHOWN
from ncaudit.options import ReportOptions
from ncaudit.progress import Progress
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report import score_page
from ncaudit.verbs.report.answer import fit_beside, parts_of, together
from ncaudit.verbs.report.found.seen import look_at
from ncaudit.verbs.report.found.truths import truth_for
from ncaudit.verbs.report.found.witnesses import witnesses
from ncaudit.verbs.report.score_page import ScoreFindings
from ncaudit.verbs.report.shown.cards import Asked, CardMaker, witnesses_of
from ncaudit.verbs.report.shown.pictures import SMALL, Pictures
from ncaudit.verbs.report.shown.views import Page
from ncaudit.verbs.report.to_judge import ToJudge

NO_PICTURES = "There are no pictures: the report was made without --data, the dataset that was scored."
LABEL = ("label", "The estimated chance, 0 to 1, that picture and caption belong together.")
SCORE = ("score", "What the scorer found, higher for likelier pairs; there are no labels.")
COSINE = ("cosine", "How alike the model finds picture and caption.")
WHY = (
    "why",
    "Two pairs that are trusted: one with the most similar picture, one with the most similar caption. The less the "
    "caption of the first is like this one, and the picture of the second like this one, the likelier it is wrong.",
)
NOWHERE = "There are no pictures: the tables have no shard and row that tell where in the dataset their pairs are."


class ScoreReport:
    """All that is found, before and after the pictures are there."""

    def __init__(self, options: ReportOptions, tables: Sequence[ScoreTable], site: Site, progress: Progress) -> None:
        self._options, self._tables = options, tables
        seen = look_at(site, tables, options, truth_for(options, tables), progress)
        parts = parts_of(tables, [seen.counts.of_table[number] for number in range(len(tables))])
        self._found = ScoreFindings(seen, parts, fit_beside(tables, parts), options)
        shown = [] if options.judge_only else self._found.rows_with_witnesses()
        self._named = witnesses(site, tables, witnesses_of(shown), SHOWN, progress)
        self._to_judge = ToJudge(options, tables, seen.draw)

    @property
    def statuses(self) -> Mapping[str, int]:
        """Rows by their status."""
        return dict(sorted(self._found.seen.counts.statuses.items()))

    @property
    def rate(self) -> dict[str, float | None]:
        """As the tables tell it."""
        told = together(self._found.parts) or (None, None, None)
        return dict(zip(("noise_rate", "noise_rate_low", "noise_rate_high"), told, strict=True))

    @property
    def rate_told(self) -> bool:
        """Whether the tables tell one."""
        return together(self._found.parts) is not None

    def want(self, asked: Asked) -> None:
        """Ask for the pictures of all rows that are shown."""
        self._to_judge.want(asked)
        if self._options.judge_only:
            return
        self._found.want(asked)
        for row in self._named.values():
            asked.add(row, SMALL)

    def page(self, pictures: Pictures) -> Page:
        """The page with these pictures."""
        maker, only = CardMaker(pictures, self._named), self._options.judge_only
        return Page(
            title="Judge these pairs" if only else "Do these images and captions belong together?",
            subtitle=self._subtitle,
            answer=None if only else score_page.answer(self._found),
            figures=() if only else self._figures,
            galleries=() if only else score_page.galleries(self._found, maker),
            judge=self._to_judge.sample(pictures),
            judge_note=self._to_judge.note or None,
            pictures_note=self._pictures_note(pictures),
            cards_note=() if only else self._cards_note,
        )

    @cached_property
    def _figures(self) -> Any:
        return score_page.figures(self._found)

    @property
    def _subtitle(self) -> str:
        names, rows = [table.shard.name for table in self._tables], sum(table.rows for table in self._tables)
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        return f"{counted(rows, 'row')} of {names[0]}{more}"

    @cached_property
    def _cards_note(self) -> list[tuple[str, str]]:
        """What stands on the cards; nothing where there are none."""
        rows = self._found.rows_with_witnesses()
        label = LABEL if self._found.labelled else SCORE
        return [label, COSINE, *([WHY] if witnesses_of(rows) else [])] if rows else []

    def _pictures_note(self, pictures: Pictures) -> str | None:
        if not pictures.asked:
            return NO_PICTURES
        if not pictures.found:
            return NOWHERE if self._found.seen.counts.statuses["ok"] else None
        return pictures.none_of_them

"""The report of label tables: which classes are wrong, what to give instead, and who says so.

Knows label tables and the parts of the page; nothing of files' places or HTML.
"""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from ncaudit import own_json
from ncaudit.core.classes.votes import PARTITIONS
from ncaudit.counts import counted
from ncaudit.engines.jobs import Site
from ncaudit.errors import UsageError
from ncaudit.judging.galleries.cells import Cells
from ncaudit.judging.galleries.collector import Collector, Row
from ncaudit.judging.galleries.per_stratum import PerStratum
from ncaudit.judging.galleries.rules import FAILED, Gallery
from ncaudit.options import ReportOptions
from ncaudit.progress import Progress
from ncaudit.schema import OK
from ncaudit.shards.files.locations import dirname, join
from ncaudit.shards.tables.scores import ScoreTable
from ncaudit.verbs.report.found.placed import Placed, found_in_each, placed
from ncaudit.verbs.report.found.seen import BATCH_ROWS, READ, STRATUM_ROWS
from ncaudit.verbs.report.found.witnesses import witnesses
from ncaudit.verbs.report.of_scores import NO_PICTURES
from ncaudit.verbs.report.score_page import PLAIN, failed_row
from ncaudit.verbs.report.shown.cards import Asked, CardMaker, class_name, witnesses_of
from ncaudit.verbs.report.shown.pictures import LARGE, SMALL, Pictures
from ncaudit.verbs.report.shown.views import Answer, Bar, Figure, GalleryView, Matrix, Page
from ncaudit.verbs.report.to_judge import embeddings_beside

AUDIT_FILE = "audit.json"  # what `labels` leaves beside its tables
_CLASS: own_json.Shape = (str, int, bool, float)
_AUDIT: own_json.Shape = {
    "facts": {"class_names?": [_CLASS], "class_noise_matrix?": [[float]], "confusions?": [{"share": float}]}
}
_RATE: own_json.Shape = {"rate": float, "low": float, "high": float, "told": bool}
SHOWN = (
    *("pair_id", "shard", "row", "status", "caption", "given_label", "suggested_label", "label_quality", "partition"),
    *("why", "image_neighbour_label", "text_neighbour_label"),
)
LOOK = "Look at the worst labels. Where the suggestion is right, give it; train by class with what is left:"
TRAIN = "ncaudit train --objective nirnl --tune heads --label-column {} --embeddings {} --out heads/"
MOST_CLASSES = 24  # in the matrix, and as parts with cards half of them


def _quality(cells: Cells) -> Any:
    return cells.number("label_quality")


WORST = Gallery(
    "worst",
    "Worst labels",
    "The lowest chance that the given class is right, by neighbours and models that do not know it.",
    lambda cells: cells.ok & ~np.isnan(_quality(cells)),
    _quality,
)
SUGGESTED = Gallery(
    "suggested",
    "Suggested classes",
    "Pairs for which another class is likelier than the given one, the surest first.",
    lambda cells: cells.ok & cells.there("suggested_label") & cells.there("given_label"),
    _quality,
)
UNLABELLED = Gallery(
    "unlabelled",
    "Without a class",
    "Pairs that came without a class, with the one that their neighbours have.",
    lambda cells: cells.ok & ~cells.there("given_label"),
    lambda cells: np.zeros(len(cells)),
)
GALLERIES = (WORST, SUGGESTED, UNLABELLED, FAILED)


Part = tuple[Counter[str], Counter[str], Any, Any]


@dataclass
class _Seen:
    """What one pass over label tables finds; of each of them, and then joined, in any order."""

    statuses: Counter[str]
    partitions: Counter[str]
    galleries: Collector
    classes: PerStratum

    @classmethod
    def nothing(cls, cards: int, first: int = 0) -> "_Seen":
        """Before any row. first: the place of the first one that will come."""
        classes = PerStratum("given_label", STRATUM_ROWS, columns=SHOWN, number="label_quality", first=first)
        return cls(Counter(), Counter(), Collector(GALLERIES, cards, SHOWN, first=first), classes)

    def look(self, table: ScoreTable, progress: Progress) -> None:
        """Take all rows of the next table."""
        columns = [name for name in SHOWN if name in table.schema.names]
        for batch in table.batches(columns, BATCH_ROWS):
            cells = Cells(batch)
            for counts, name in ((self.statuses, "status"), (self.partitions, "partition")):
                told = cells.words(name).value_counts().to_pylist()
                counts.update({entry["values"] or "": entry["counts"] for entry in told})
            self.galleries.add(batch)
            self.classes.add(batch)
            progress.advance(len(batch))

    def part(self) -> Part:
        """As it is sent."""
        return self.statuses, self.partitions, self.galleries.part(), self.classes.part()

    def join(self, part: Part) -> None:
        """Take in what was found in another table."""
        self.statuses.update(part[0])
        self.partitions.update(part[1])
        self.galleries.join(part[2])
        self.classes.join(part[3])


def _part_of(of: Placed, progress: Progress, *, cards: int) -> Part:
    seen = _Seen.nothing(cards, of.first)
    seen.look(of.table, progress)
    return seen.part()


class LabelReport:
    """All that is found, before and after the pictures are there."""

    def __init__(self, options: ReportOptions, tables: Sequence[ScoreTable], site: Site, progress: Progress) -> None:
        if options.judge_only or options.truth is not None:
            flag = "--judge-only" if options.judge_only else "--truth"
            raise UsageError(f"{flag} is about pairs, and these tables hold judged classes", fix="leave it out")
        self._options, self._tables = options, tables
        site.ready(tables[0].shard, progress)
        progress.stage(READ, sum(table.rows for table in tables))
        self._seen = _Seen.nothing(options.cards)
        if site.elsewhere:
            for part in found_in_each(site, tables, partial(_part_of, cards=options.cards), progress):
                self._seen.join(part)
        else:
            for of in placed(tables):
                self._seen.look(of.table, progress)
        self._named = witnesses(site, tables, witnesses_of(self._witnessed()), SHOWN, progress)

    def _witnessed(self) -> list[Row]:
        return [row for gallery in (WORST, SUGGESTED, UNLABELLED) for row in self._seen.galleries[gallery].rows]

    @property
    def statuses(self) -> Mapping[str, int]:
        """Rows by their status."""
        return {status or "no status": count for status, count in sorted(self._seen.statuses.items())}

    @property
    def rate(self) -> dict[str, float | None]:
        """Of wrong classes, as the tables tell it."""
        told = self._told_rate or {}
        return {f"noise_rate{end}": told.get(name) for end, name in (("", "rate"), ("_low", "low"), ("_high", "high"))}

    @property
    def rate_told(self) -> bool:
        """Whether the rate was measured, and is not just a usual one."""
        return bool((self._told_rate or {}).get("told"))

    @property
    def _told_rate(self) -> Mapping[str, Any] | None:
        said = (table.provenance.get("noise_rate") for table in self._tables if table.provenance)
        return next((one for one in said if own_json.fits(one, _RATE)), None)

    def want(self, asked: Asked) -> None:
        """Ask for the pictures of all rows that are shown."""
        for row in self._witnessed():
            asked.add(row, LARGE)
        for stratum in self._seen.classes.found()[: MOST_CLASSES // 2]:
            for row in stratum.worst:
                asked.add(row, SMALL)
        for row in self._named.values():
            asked.add(row, SMALL)

    def page(self, pictures: Pictures) -> Page:
        """The page with these pictures."""
        names, rows = [table.shard.name for table in self._tables], sum(table.rows for table in self._tables)
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        return Page(
            title="Are these classes right?",
            subtitle=f"{counted(rows, 'row')} of {names[0]}{more}",
            answer=self._answer(),
            figures=self._figures,
            galleries=self._galleries(CardMaker(pictures, self._named)),
            pictures_note=pictures.none_of_them if pictures.asked else NO_PICTURES,
        )

    def _answer(self) -> Answer:
        ok, rows = self._seen.statuses[OK], sum(self._seen.statuses.values())
        headline, interval = self._headline(ok)
        facts = [("rows", f"{rows:,}"), ("judged", f"{ok:,}")]
        facts += [("failed", f"{rows - ok:,}")] if rows > ok else []
        return Answer(
            headline=headline,
            interval=interval,
            meaning=self._meaning,
            facts=[*facts, ("another class suggested", f"{self._seen.galleries[SUGGESTED].count:,}")],
            verdicts=self._partition_bars(),
            next_step=LOOK if ok else "Mend what the statuses say, and embed again.",
            command=TRAIN.format(self._column, embeddings_beside(self._options.scores)) if ok else None,
            figure=self._per_class(),
        )

    def _headline(self, ok: int) -> tuple[str, str | None]:
        told = self._told_rate
        if told is None:
            return ("No row could be judged" if not ok else "No rate of wrong classes"), None
        if not told["told"]:
            usual = f"A usual rate of wrong classes, {told['rate']:.1%}, is taken instead of a measured one"
            return "These embeddings do not show how many classes are wrong", usual
        return f"{told['rate']:.1%} of the classes look wrong", f"90 % interval {told['low']:.1%} to {told['high']:.1%}"

    @property
    def _column(self) -> str:
        """Where the classes are, as the tables tell it."""
        said = ((table.provenance or {}).get("options") or {} for table in self._tables)
        return shlex.quote(next((str(one["label_column"]) for one in said if one.get("label_column")), "LABEL"))

    @property
    def _meaning(self) -> str:
        said = (table.provenance.get("label_means") for table in self._tables if table.provenance)
        return next((f"{one}." for one in said if one), "")

    def _partition_bars(self) -> list[Bar]:
        total = sum(self._seen.partitions[word] for word in PARTITIONS)
        each = [(word, self._seen.partitions[word]) for word in PARTITIONS]
        return [Bar(word, f"{n:,} ({n / total:.0%})", n / total, word) for word, n in each] if total else []

    @cached_property
    def _figures(self) -> list[Figure]:
        return [figure for figure in (self._matrix(),) if figure is not None]

    def _per_class(self) -> Figure | None:
        found = [one for one in self._seen.classes.found() if one.labelled][:MOST_CLASSES]
        if not found:
            return None
        bars = [
            Bar(one.name, f"{one.noise_rate or 0:.0%} of {one.labelled:,}", one.noise_rate or 0, "reason")
            for one in found
        ]
        note = "Mean of 1 − label_quality of the pairs that were given each class, the worst first."
        return Figure("Wrong labels by class", note, bars=bars)

    def _matrix(self) -> Figure | None:
        """As `labels` found it; None where it left none beside the tables."""
        facts = self._audit
        names, rows = facts.get("class_names") or [], facts.get("class_noise_matrix") or []
        if not names or len(rows) != len(names) or any(len(row) != len(names) for row in rows):
            return None
        if len(names) > MOST_CLASSES:
            return None
        matrix = Matrix("true class ↓ given →", [str(name) for name in names], rows)
        note = "How often pairs of each true class were given which class; what lies off the diagonal is wrong."
        return Figure("Class noise", note, matrix=matrix, wide=True)

    @cached_property
    def _audit(self) -> Mapping[str, Any]:
        for table in self._tables:
            told = own_json.known(join(dirname(table.shard.path), AUDIT_FILE), _AUDIT)
            if told is not None:
                return dict(told["facts"])
        return {}

    def _galleries(self, maker: CardMaker) -> list[GalleryView]:
        views = [self._gallery(gallery, maker) for gallery in (WORST, SUGGESTED, UNLABELLED)]
        return [view for view in (*views, *self._by_class(maker), self._failed()) if view.count]

    def _gallery(self, gallery: Gallery, maker: CardMaker) -> GalleryView:
        found = self._seen.galleries[gallery]
        cards = [maker.class_labelled(row) for row in found.rows]
        return GalleryView(gallery.name, gallery.title, gallery.rule, found.count, cards)

    def _by_class(self, maker: CardMaker) -> list[GalleryView]:
        found = [one for one in self._seen.classes.found() if one.labelled]
        parts = []
        for one in found[: MOST_CLASSES // 2]:
            cards = [maker.class_labelled(row, SMALL, why=False) for row in one.worst]
            rule = f"{counted(one.labelled, 'pair')}, {one.noise_rate or 0:.1%} likely wrong"
            parts.append(GalleryView("", one.name, rule, one.labelled, cards, small=True))
        rule = "The classes with the most wrong labels, each with its worst."
        return [GalleryView("classes", "By class", rule, len(found), parts=parts)] if parts else []

    def _failed(self) -> GalleryView:
        found = self._seen.galleries[FAILED]
        statuses = sorted((one for one in self.statuses.items() if one[0] != OK), key=lambda one: (-one[1], one[0]))
        most = max([count for _, count in statuses], default=1)
        bars = [Bar(f"{w}: {PLAIN[w]}" if w in PLAIN else w, f"{n:,}", n / most, "status") for w, n in statuses]
        groups = [failed_row(row, class_status(row)) for row in found.rows]
        return GalleryView("failed", "Rows without a judgement", FAILED.rule, found.count, groups=groups, bars=bars)


def class_status(row: Row) -> str:
    """What a failed row says, and its class."""
    given = row.get("given_label")
    status = str(row.get("status") or "no status")
    return status if given is None else f"{status}, given {class_name(given)}"

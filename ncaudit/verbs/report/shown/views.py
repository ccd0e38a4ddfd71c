"""What stands on a page, part by part, as the templates take it. Knows words, cards and charts; nothing of tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from ncaudit.verbs.report.shown.cards import Card, Text
from ncaudit.verbs.report.shown.judge_pairs import JudgeSample
from ncaudit.verbs.report.shown.pictures import Picture


@dataclass(frozen=True)
class Bar:
    """One row of a list with bars. share: of the longest, in [0, 1]. kind: what colours it."""

    name: str
    value: str
    share: float
    kind: str = ""


@dataclass(frozen=True)
class Interval:
    """A rate with its interval, all in [0, 1], and what it is of. count: rows."""

    name: str
    rate: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Figure:
    """A chart with its title, and in words what it shows. Bars, intervals and a matrix are drawn in HTML."""

    title: str
    note: str
    svg: Markup | None = None
    bars: Sequence[Bar] = ()
    intervals: Sequence[Interval] = ()
    matrix: "Matrix | None" = None
    wide: bool = False


@dataclass(frozen=True)
class Matrix:
    """Shares in [0, 1], named by row and column."""

    corner: str
    names: Sequence[str]
    rows: Sequence[Sequence[float]]


@dataclass(frozen=True)
class GroupView:
    """Rows that share something: pictures and captions of the first, and where they are."""

    title: str
    count: int
    pictures: Sequence[Card] = ()
    caption: Text | None = None
    captions: Sequence[Text] = ()
    places: Sequence[str] = ()


@dataclass(frozen=True)
class GalleryView:
    """One section of cards. count: rows that qualify. note: what must be said of an empty one."""

    name: str
    title: str
    rule: str
    count: int
    cards: Sequence[Card] = ()
    groups: Sequence[GroupView] = ()
    bars: Sequence[Bar] = ()
    note: str | None = None
    small: bool = False
    parts: Sequence["GalleryView"] = ()

    @property
    def shown(self) -> int:
        """How many of the rows are on the page."""
        return len(self.cards)


@dataclass(frozen=True)
class Answer:
    """What the page says first. headline: one number or sentence; interval: on it; verdicts: bars that make a whole."""

    headline: str
    meaning: str
    interval: str | None = None
    facts: Sequence[tuple[str, str]] = ()
    verdicts: Sequence[Bar] = ()
    sentences: Sequence[str] = ()
    warnings: Sequence[str] = ()
    next_step: str | None = None
    command: str | None = None
    figure: Figure | None = None


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    subtitle: str
    answer: Answer | None
    figures: Sequence[Figure] = ()
    galleries: Sequence[GalleryView] = ()
    judge: JudgeSample | None = None
    judge_note: str | None = None  # why there is nothing to judge
    pictures_note: str | None = None
    cards_note: Sequence[tuple[str, str]] = ()  # what stands on a card, and what it means
    provenance: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = field(default=())

    @property
    def all_pictures(self) -> list[Picture]:
        """Of all cards."""
        return [card.picture for gallery in self.galleries for card in gallery.cards if card.picture is not None]

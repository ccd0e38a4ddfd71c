"""What the page shows of single rows: their picture, caption, numbers, and the witnesses that they were judged by.

Knows rows that were kept, pictures and pairs found by name; nothing of HTML.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncaudit.judging.galleries.cells import LENGTH, whole_length
from ncaudit.judging.galleries.collector import Row
from ncaudit.verbs.report.shown.pictures import LARGE, SMALL, Picture, Pictures, Shown

CAPTION = 600  # characters shown of a caption
ALT = 300  # read out of it
WITNESSES = {"image_anchor": "nearest trusted picture", "text_anchor": "nearest trusted caption"}
Cells = Mapping[str, Any]


@dataclass(frozen=True)
class Text:
    """A text as it is shown: its beginning, and how many characters it has in all where it was cut."""

    text: str
    of: int | None = None

    @property
    def alt(self) -> str:
        """For people who cannot see a picture."""
        return self.text if len(self.text) <= ALT else f"{self.text[: ALT - 1]}…"


@dataclass(frozen=True)
class Witness:
    """A pair that another was judged by. role: in words."""

    role: str
    pair_id: str
    picture: Picture | None
    caption: Text | None
    where: str | None


@dataclass(frozen=True)
class Card:
    """One row as the page shows it. facts: names and values, in order. missing: why there is no picture, if told."""

    pair_id: str
    where: str | None
    picture: Picture | None
    missing: str | None
    caption: Text | None
    facts: Sequence[tuple[str, str]]
    tags: Sequence[str]  # verdict and reason, or the like
    suggestion: Text | None = None
    suggestion_note: str | None = None
    witnesses: Sequence[Witness] = field(default=())


def place_of(row: Row) -> tuple[str, int] | None:
    """Where in the dataset a row of a table comes from, shard and row; None where it does not say."""
    shard, number = row.get("shard"), row.get("row")
    return (str(shard), number) if shard is not None and isinstance(number, int) and number >= 0 else None


def where(row: Row) -> str | None:
    """The same in words."""
    place = place_of(row)
    return None if place is None else f"{place[0]}, row {place[1]}"


def cut(text: str | None, length: int | None = None) -> Text | None:
    """A text as it is shown. length: its own, where it has been cut before."""
    if text is None:
        return None
    whole = length or len(text)
    return Text(text) if whole <= CAPTION else Text(text[:CAPTION], whole)


LABELLED = {"soft_label": "label", "similarity": "cosine"}
RANKED = {"score": "score", "similarity": "cosine"}  # by what, where there is no label


@dataclass(frozen=True)
class CardMaker:
    """Makes the cards of one page. named: pairs that were found by name."""

    pictures: Pictures
    named: Mapping[str, Row]

    def caption(self, row: Row) -> Text | None:
        """As the table has it, or, where it carries none, the dataset."""
        own = row.get("caption")
        if isinstance(own, str):
            return cut(own, whole_length(row.cells, "caption"))
        shown = self._shown(row)
        return None if shown is None else cut(shown.caption)

    def picture(self, row: Row, size: int) -> Picture | None:
        """Of about this size; None where there is none."""
        shown = self._shown(row)
        return None if shown is None else shown.sizes.get(size)

    def missing(self, row: Row) -> str | None:
        """Why there is no picture; None where nobody looked for one."""
        shown = self._shown(row)
        return None if shown is None else shown.problem

    def _shown(self, row: Row) -> Shown | None:
        return self.pictures.found.get(row.place)

    def witness(self, role: str, pair_id: str) -> Witness:
        """A pair by its name, with what is known of it."""
        row = self.named.get(pair_id)
        if row is None:
            return Witness(role, pair_id, None, None, None)
        return Witness(role, pair_id, self.picture(row, SMALL), self.caption(row), where(row))

    def scored(self, row: Row, size: int = LARGE, *, why: bool = True) -> Card:
        """A row of a score table. why: with the anchors that judged it, and what is suggested."""
        cells = row.cells
        anchors = [(WITNESSES[name], cells.get(name)) for name in WITNESSES] if why else []
        suggested = cells.get("suggested_caption") if why else None
        probability = cells.get("suggested_probability") if why else None
        return Card(
            pair_id=str(cells.get("pair_id")),
            where=where(row),
            picture=self.picture(row, size),
            missing=self.missing(row),
            caption=self.caption(row),
            facts=numbers(cells, LABELLED if isinstance(cells.get("soft_label"), float) else RANKED),
            tags=words(cells, ("verdict", "reason")),
            suggestion=cut(suggested, cells.get("suggested_caption" + LENGTH)),
            suggestion_note=None if probability is None else f"fits with probability {probability:.2f}",
            witnesses=[self.witness(role, str(name)) for role, name in anchors if name is not None],
        )

    def class_labelled(self, row: Row, size: int = LARGE, *, why: bool = True) -> Card:
        """A row of a label table. why: with the neighbours that disagree."""
        cells = row.cells
        suggested = cells.get("suggested_label")
        against = (cells.get("why") or []) if why else []
        return Card(
            pair_id=str(cells.get("pair_id")),
            where=where(row),
            picture=self.picture(row, size),
            missing=self.missing(row),
            caption=self.caption(row),
            facts=[
                ("class given", class_name(cells.get("given_label"))),
                *numbers(cells, {"label_quality": "quality"}),
            ],
            tags=words(cells, ("partition",)),
            suggestion=None if suggested is None else cut(class_name(suggested)),
            witnesses=[self._neighbour(str(name)) for name in against if name is not None],
        )

    def _neighbour(self, pair_id: str) -> Witness:
        row = self.named.get(pair_id)
        given = None if row is None else row.get("given_label")
        return self.witness("neighbour" if given is None else f"neighbour: {class_name(given)}", pair_id)


def class_name(value: Any) -> str:
    """A class, or several of one pair, in words."""
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "none" if value is None else str(value)


def numbers(cells: Cells, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Those that are there, with two digits or three."""
    return [(word, f"{cells[name]:.3f}") for name, word in names.items() if isinstance(cells.get(name), float)]


def words(cells: Cells, names: Sequence[str]) -> list[str]:
    """Those that are there, each once."""
    told = (cells.get(name) for name in names)
    return list(dict.fromkeys(str(word).replace("_", " ") for word in told if word is not None))


def witnesses_of(rows: Iterable[Row]) -> set[str]:
    """The names of all pairs that these rows name."""
    single = {row.get(name) for row in rows for name in WITNESSES}
    several = {name for row in rows for name in row.get("why") or []}
    return {str(name) for name in single | several if name is not None}


class Asked:
    """Which rows a page shows pictures of, and in which sizes."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}  # by their place among all
        self.sizes: dict[int, set[int]] = {}

    def add(self, row: Row, *sizes: int) -> None:
        """A row of a table."""
        self.rows.setdefault(row.place, row)
        self.sizes.setdefault(row.place, set()).update(sizes)

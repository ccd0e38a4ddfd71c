"""What `show` shows: a few lines for each pair, what is told of it one below the other. Knows its result only."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ncaudit.cli.layout.vocabulary import Meaning, Span, Told, Words, prose, quoted
from ncaudit.cli.shared.accounts import noted
from ncaudit.cli.shared.user_text import shown
from ncaudit.counts import counted
from ncaudit.schema import VERDICTS
from ncaudit.verbs.show.show import ShownClass, ShownList, ShownPair, ShownRow, ShowResult

INDENT, TEXT = 4, 21  # columns before the pair, and before what is told of it
LIKE = "is like: the caption of the trusted pair (anchor) whose picture, or caption, is nearest; they judged the pair"
NAME = 200  # characters of a name that are shown
MOST = 480  # columns of one text: whoever wants all of it asks for --json


def lines(result: ShowResult) -> Words:
    """Every list with its pairs, numbered as they stand."""
    told, number = Words(), 0
    for one in result.lists:
        pairs = [pair for pair in result.pairs if pair.list == one.name]
        told += [*([""] if told else []), *_head(one, len(pairs), result.rows)]
        for pair in pairs:
            number += 1
            told += ["", *_row(number, pair)]
    return [*told, *_end(result)]


def _head(one: ShownList, count: int, rows: int) -> list[Told]:
    if not one.count:
        return _text(f"{one.title}: none of {counted(rows, 'row')}. {one.rule}", "", 0)
    return _text(f"{one.title}, {count:,} of {one.count:,}. {one.rule}", "", 0)


def _row(number: int, pair: ShownPair | ShownClass) -> Words:
    head = f"{number:>{INDENT - 2}}  "
    if isinstance(pair, ShownClass):
        return [*_text(_class(pair), head, INDENT), *_caption(pair), *_witnesses(pair), *_place(pair)]
    return [_found(pair, head), *_caption(pair), *_why(pair), *_place(pair)]


def _found(pair: ShownPair, head: str) -> Told:
    """The numbers and the words of the table."""
    if pair.verdict not in VERDICTS:  # anybody's word
        (told,) = _text(", ".join([*_numbers(pair), *_given(pair.verdict), *_given(pair.reason)]), head, INDENT)
        return told
    reason = "".join(f", {word}" for word in _given(pair.reason))
    parts = (f"{', '.join(_numbers(pair))}, ", Span(pair.verdict, Meaning(pair.verdict)), reason)
    return replace(prose(*parts), head=Span(head), hang=INDENT)


def _numbers(pair: ShownPair) -> list[str]:
    numbers = {"soft label": pair.soft_label, "cosine": pair.similarity}
    if pair.soft_label is None:
        numbers["score"] = pair.score
    return [f"{name} {value:.3f}" for name, value in numbers.items() if value is not None]


def _given(word: str | None) -> list[str]:
    return [] if word is None else [shown(str(word))]


def _caption(pair: ShownRow) -> list[Told]:
    if pair.caption is None:
        return []
    told = _labelled("caption", str(pair.caption))
    cut = pair.caption_characters
    return [*told, *_text(f"… of {cut:,} characters", "", TEXT)] if cut else told


def _why(pair: ShownPair) -> list[Told]:
    """The anchors that judged it, and what would fit better."""
    told = list[Told]()
    for what, name, caption in (
        ("picture is like", pair.image_anchor, pair.image_anchor_caption),
        ("caption is like", pair.text_anchor, pair.text_anchor_caption),
    ):
        if name is not None:
            told += _labelled(what, str(caption) if caption is not None else f"pair {shown(name, NAME)}")
    if pair.suggested_caption is not None:
        told += _labelled("suggested", f"{pair.suggested_caption}{_chance(pair.suggested_probability)}")
    return [*told, *_times(pair)]


def _chance(probability: float | None) -> str:
    return "" if probability is None else f" (probability {probability:.2f})"


def _times(pair: ShownPair) -> list[Told]:
    counts = (("caption", pair.caption_count), ("picture", pair.image_count))
    told = ", ".join(f"this {what} occurs {count:,} times" for what, count in counts if count is not None and count > 1)
    return _labelled("repeats", told) if told else []


def _class(pair: ShownClass) -> str:
    quality = "no label_quality" if pair.label_quality is None else f"label_quality {pair.label_quality:.3f}"
    better = "" if pair.suggested_label is None else f", better {_name(pair.suggested_label)}"
    return ", ".join([f"{quality}: given {_name(pair.given_label)}{better}", *_given(pair.partition)])


def _witnesses(pair: ShownClass) -> list[Told]:
    told = list[Told]()
    for what, label, share in (
        ("pictures nearby", pair.image_neighbour_label, pair.image_neighbour_share),
        ("captions nearby", pair.text_neighbour_label, pair.text_neighbour_share),
    ):
        if label is not None:
            told += _labelled(what, _name(label) + ("" if share is None else f" ({share:.0%} of the votes)"))
    return told + (_labelled("why", _listed(pair.why)) if pair.why else [])


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(_name(name) for name in names)


def _name(label: Any) -> str:
    return _listed(label) if isinstance(label, (list, tuple)) else shown(str(label), NAME)


def _place(pair: ShownRow) -> list[Told]:
    place = "" if pair.shard is None or pair.row is None else f" ({shown(str(pair.shard), NAME)} row {pair.row})"
    told = _labelled("pair", f"{shown(pair.pair_id, NAME)}{place}")
    if pair.image is not None:
        return [*told, *_labelled("picture", pair.image)]
    return [*told, *(_labelled("no picture", pair.image_problem) if pair.image_problem is not None else [])]


def _labelled(what: str, text: str) -> list[Told]:
    return _text(text, f"{'':{INDENT}}{what}", TEXT)


def _text(text: str, head: str, indent: int) -> list[Told]:
    return [quoted(text, head, at=indent, most=MOST)]


def _end(result: ShowResult) -> Words:
    told: Words = []
    if any(isinstance(pair, ShownPair) and pair.image_anchor for pair in result.pairs):
        told += _text(LIKE, "", 0)
    if result.images is not None:
        written = sum(pair.image is not None for pair in result.pairs)
        told.append(f"{counted(written, 'picture is', 'pictures are')} in {result.images}")
    told += noted(result.notes)
    return ["", *told] if told else []

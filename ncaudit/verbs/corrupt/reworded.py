"""Captions that say something else: one word exchanged for another, or a phrase of another caption put behind.

Knows words of any language, which are runs of letters or digits; nothing of photos but who shares one, nor of files.
No list of words is needed: which words are ordinary is counted in the dataset itself.
"""

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import CorruptKind, CorruptOptions
from ncaudit.shards.dataset.captions import CaptionRows
from ncaudit.verbs.corrupt.dataset_rows import Ints, chosen_rows, row_keys
from ncaudit.verbs.corrupt.moved import near

COMMON = 0.1  # share of all captions above which a word holds sentences together, and names nothing
TRIES = 64  # of other words, before a caption is left as it is
WORD = re.compile(r"\w+(?:['’]\w+)*")
ENDS = ".!?…。！？"  # of sentences, left where they are when something is put before them
BETWEEN = re.compile(r"[.!?…,;:)\]]+(?=\s|$)|(?:^|\s)[(\[]|[。！？，；：、（）]+|\s[-–—]\s")  # but no decimal point


@dataclass(frozen=True)
class Change:
    """What becomes of one caption."""

    row: int
    caption: str
    put_in: str  # the word or the phrase
    replaced: str | None  # the word that it stands for
    lent_by: int | None  # the row that the phrase is from
    right: float  # share of the caption's words, or phrases, that are its own


@dataclass(frozen=True)
class Reworded:
    """The changes, by row."""

    chosen: int  # rows that were to be changed
    changes: Sequence[Change]

    @cached_property
    def rows(self) -> Ints:
        """(m,) ascending."""
        return np.array([change.row for change in self.changes], dtype=np.int64)

    def told(self) -> npt.NDArray[np.uint8]:
        """What an output rests on, as bytes."""
        told = repr([(one.row, one.caption, one.lent_by) for one in self.changes])
        return np.frombuffer(told.encode("utf-8", "surrogateescape"), dtype=np.uint8)


def reworded(options: CorruptOptions, rows: CaptionRows, wanted: int) -> Reworded:
    """The changes that `options.kind` makes. Raises BadTable where a row has a list of captions."""
    if pa.types.is_large_list(rows.captions.type):
        raise BadTable(
            f"{rows.shards[0].path} has several captions in a row, and --kind {options.kind} changes one",
            fix="give a dataset with a row per caption, or --kind shuffle, topic or near, which move all of a row",
        )
    return KINDS[options.kind](options, rows, wanted)


def other_words(options: CorruptOptions, rows: CaptionRows, wanted: int) -> Reworded:
    """One word of each chosen caption exchanged for another that is as frequent in the dataset.

    As frequent: the counts of captions that hold the two words have the same power of 2 below them. Words of more than
    a tenth of all captions stay, and so do words that a caption holds twice. Digits are exchanged for digits.
    The new caption is none of the same photo's. A caption for which no word can be had stays as it was.
    """
    chosen = chosen_rows(rows, np.flatnonzero(rows.usable), wanted, options.seed)
    texts = rows.words(np.arange(len(rows)))
    bands = _Bands(texts[row] for row in np.flatnonzero(rows.usable).tolist())
    taken = _taken(rows, texts, chosen)
    luck = row_keys(rows, options.seed + 1)[chosen].tolist()
    tried = [
        _with_other_word(row, texts[row], bands, taken[int(rows.photo_id[row])], key)
        for row, key in zip(chosen.tolist(), luck, strict=True)
    ]
    return Reworded(len(chosen), [change for change in tried if change is not None])


def half_truths(options: CorruptOptions, rows: CaptionRows, wanted: int) -> Reworded:
    """Each chosen caption with a phrase of one of the captions nearest to it behind, which is another photo's.

    A phrase is what stands between punctuation; of several it is the one with the most words that the caption lacks.
    Where the near caption has no word that it lacks, the caption stays as it was.
    """
    chosen, lenders = near(options, rows, wanted)
    luck = row_keys(rows, options.seed + 1)[chosen].tolist()
    own, lent = rows.words(chosen), rows.words(lenders)
    told = zip(chosen.tolist(), lenders.tolist(), own, lent, luck, strict=True)
    tried = [_with_phrase(*one) for one in told if one[0] != one[1]]
    return Reworded(len(chosen), [change for change in tried if change is not None])


KINDS: dict[CorruptKind, Callable[[CorruptOptions, CaptionRows, int], Reworded]] = {
    CorruptKind.word: other_words,
    CorruptKind.half_truth: half_truths,
}


class _Bands:
    """All words of a dataset by how many captions hold them."""

    def __init__(self, captions: Iterator[str]) -> None:
        self._count: Counter[str] = Counter()
        total = 0
        for caption in captions:
            self._count.update(_words(caption))
            total += 1
        if not self._count:
            raise NcauditError("no caption holds a word to exchange", fix="give another --kind")
        self._common = COMMON * total
        self._alike: defaultdict[tuple[int, bool], list[str]] = defaultdict(list)
        for word in sorted(self._count):
            self._alike[self._band(word)].append(word)

    def may_go(self, word: str) -> bool:
        """Whether it names something, and others are as frequent."""
        return self._count[word] <= max(1.0, self._common) and len(self._alike[self._band(word)]) > 1

    def instead_of(self, word: str, key: int) -> Iterator[str]:
        """Words as frequent as this one, from a place that `key` says."""
        alike = self._alike[self._band(word)]
        own = bisect_left(alike, word)
        for step in range(min(TRIES, len(alike) - 1)):
            yield alike[(own + 1 + (key + step) % (len(alike) - 1)) % len(alike)]

    def _band(self, word: str) -> tuple[int, bool]:
        return self._count[word].bit_length(), word.isdigit()


def _taken(rows: CaptionRows, texts: Sequence[str], chosen: Ints) -> dict[int, set[str]]:
    """What the photos of the chosen rows are called, by photo."""
    taken: dict[int, set[str]] = {int(photo): set() for photo in rows.photo_id[chosen]}
    for row in np.flatnonzero(np.isin(rows.photo_id, rows.photo_id[chosen])).tolist():
        taken[int(rows.photo_id[row])].add(_known(texts[row]))
    return taken


def _known(caption: str) -> str:
    return caption.strip().casefold()


def _with_other_word(row: int, caption: str, bands: _Bands, taken: set[str], key: int) -> Change | None:
    found = list(WORD.finditer(caption))
    words = [match[0].casefold() for match in found]
    may_go = [match for match, word in zip(found, words, strict=True) if words.count(word) == 1 and bands.may_go(word)]
    if not may_go:
        return None
    old = may_go[key % len(may_go)]
    for new in bands.instead_of(old[0].casefold(), key // len(may_go)):
        put_in = _cased_like(old[0], new)
        made = caption[: old.start()] + put_in + caption[old.end() :]
        if new not in words and _known(made) not in taken:
            return Change(row, made, put_in, old[0], None, 1 - 1 / len(words))
    return None


def _cased_like(old: str, new: str) -> str:
    if old.isupper() and len(old) > 1:
        return new.upper()
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _with_phrase(row: int, lender: int, own: str, lent: str, key: int) -> Change | None:
    new = _newest(_phrases(lent), _words(own))
    if not new:
        return None
    phrase, text = new[key % len(new)], own.rstrip()
    body = text.rstrip(ENDS)
    phrases = max(1, len(_phrases(own)))
    return Change(row, f"{body}, {phrase}{text[len(body) :]}", phrase, None, lender, phrases / (phrases + 1))


def _newest(phrases: Sequence[str], known: set[str]) -> list[str]:
    """Those with the most words that are not known; none where all are."""
    more = [len(_words(phrase) - known) for phrase in phrases]
    return [phrase for phrase, count in zip(phrases, more, strict=True) if count and count == max(more)]


def _words(text: str) -> set[str]:
    return {word.casefold() for word in WORD.findall(text)}


def _phrases(caption: str) -> list[str]:
    return [phrase.strip() for phrase in BETWEEN.split(caption) if WORD.search(phrase)]

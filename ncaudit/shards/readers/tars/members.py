"""Which of a sample's files are its image and its caption, and which others can be asked for by their suffix.

Knows suffixes, how files begin, and how often they were met; nothing of archives or tables.

The image is the file called like an encoding (`.jpg`), or any that its bytes say is one (`.img`). What has more dots
(`.input.jpg`, `.output.txt`) is never guessed at: it is a column that can be named.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ncaudit.counts import counted
from ncaudit.shards.columns import ENCODINGS
from ncaudit.shards.files.image_bytes import begins_an_image
from ncaudit.shards.readers.tars.tar_samples import Sample, printable

TEXTS, JSON = ("txt", "text", "caption"), "json"  # suffixes; of a text, the first there is
OURS = frozenset({*ENCODINGS, *TEXTS, JSON})
SUFFIXES_TOLD = 6
MOST_COLUMNS = 32  # more suffixes than this are no kinds of files, but parts of keys that have dots


@dataclass(frozen=True)
class Members:
    """What a whole shard has. images: suffixes of a sample's image, the first there is."""

    images: tuple[str, ...]
    more_images: tuple[str, ...]  # suffixes with several parts, which must be named
    more_texts: tuple[str, ...]
    told: str  # of all files of the shard, for people

    @property
    def columns(self) -> frozenset[str]:
        """The suffixes that are columns of their own."""
        return frozenset({*self.more_images, *self.more_texts})


class Met:
    """The files of all samples, counted by suffix. Those of unknown suffixes are told by how they begin."""

    def __init__(self) -> None:
        self._samples = 0
        self._counts: Counter[str] = Counter()
        self._no_images: set[str] = set()  # unknown suffixes of which some file is none
        self._first_key = ""
        self._lost: Counter[str] = Counter()  # of links that lead nowhere

    def see(self, sample: Sample) -> None:
        """Take one more sample into account."""
        self._first_key = self._first_key or printable(sample.key)
        self._samples += 1
        self._lost.update(list(sample.lost))
        for suffix, member in sample.members.items():
            self._counts[suffix] += 1
            if member.size and not begins_an_image(sample.contents.get(suffix, b"")):
                self._no_images.add(suffix)

    @property
    def members(self) -> Members:
        """What was met."""
        unknown = sorted(suffix for suffix in self._counts if "." not in suffix and suffix not in OURS)
        parted = {suffix: suffix.rpartition(".")[2] for suffix in self._counts if "." in suffix}
        parted = parted if len(parted) <= MOST_COLUMNS and not self._pairs_within else {}
        images = [s for s, last in parted.items() if last in ENCODINGS or self._is_image(s, last)]
        return Members(
            images=(*ENCODINGS, *(suffix for suffix in unknown if self._is_image(suffix, suffix))),
            more_images=tuple(images),
            more_texts=tuple(suffix for suffix, last in parted.items() if last in TEXTS),
            told=self._told(),
        )

    @property
    def _hardly_any_again(self) -> bool:
        """Whether suffixes of several parts hardly come back in another sample."""
        parted = [count for suffix, count in self._counts.items() if "." in suffix]
        return len(parted) > 2 and max(parted) <= max(1, self._samples // 10)

    @property
    def _pairs_within(self) -> bool:
        """Whether such suffixes are pairs of their own (v1.jpg, v1.txt, v2.jpg, v2.txt): parts of keys with dots."""
        ends = {suffix.rpartition(".")[::2] for suffix in self._counts if "." in suffix}
        images = {stem for stem, last in ends if last in ENCODINGS}
        return self._hardly_any_again and len(images & {stem for stem, last in ends if last in (*TEXTS, JSON)}) > 1

    def _is_image(self, suffix: str, last: str) -> bool:
        return last not in OURS and suffix not in self._no_images

    def _told(self) -> str:
        most = [f"{printable(suffix)} in {count:,}" for suffix, count in self._counts.most_common(SUFFIXES_TOLD)]
        more = len(self._counts) - len(most)
        told = (", ".join(most) or "none") + (f" and {more:,} more suffixes" if more else "")
        if self._lost:
            lost = ", ".join(f"{printable(suffix)} in {n:,}" for suffix, n in self._lost.most_common(SUFFIXES_TOLD))
            told += f", links that lead nowhere in the tar: {lost}"
        if self._hardly_any_again:
            files = f"{self._counts.total():,} files share {counted(self._samples, 'key')}"
            return f"{told}; {files}, the first {self._first_key!r}: webdataset ends a key at the first dot"
        return f"{told} of {counted(self._samples, 'sample')}"


def looked_at(suffix: str) -> bool:
    """Whether the name does not tell what a file is."""
    return suffix not in OURS and suffix.rpartition(".")[2] not in (*ENCODINGS, *TEXTS)


def first_of(found: Mapping[str, bytes], suffixes: tuple[str, ...]) -> bytes | None:
    """The first of these files that a sample has."""
    return next((found[suffix] for suffix in suffixes if suffix in found), None)


def has_any(sample: Sample, suffixes: tuple[str, ...]) -> bool:
    """Whether a sample has one of these files."""
    return any(suffix in sample.members for suffix in suffixes)


def listed(suffixes: Sequence[str]) -> str:
    """The files of a sample without image, for people."""
    names: Iterator[str] = map(printable, suffixes[:SUFFIXES_TOLD])
    more = len(suffixes) - SUFFIXES_TOLD
    return f"no image; the sample has {', '.join(names)}" + (f" and {counted(more, 'more file')}" if more > 0 else "")

"""Captions that change places: which rows get whose.

Knows captions, photos and embeddings; nothing of what is written.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from ncaudit.core.neighbours.clusters import kmeans
from ncaudit.core.neighbours.search import nearest
from ncaudit.core.parallel import one_thread_each
from ncaudit.core.statistics.derangement import derange
from ncaudit.errors import BadTable, NcauditError
from ncaudit.options import CorruptKind, CorruptOptions
from ncaudit.shards.dataset.captions import CaptionRows
from ncaudit.verbs.corrupt.dataset_rows import Ints, chosen_rows, embedded_rows, row_keys

NEAR_POOL = 100_000  # captions that `near` looks among: beyond that the search would grow with the square of the rows
TFIDF_TERMS = 65_536
TFIDF_DIMS = 128


def shuffled(options: CorruptOptions, rows: CaptionRows, wanted: int) -> tuple[Ints, Ints]:
    """The chosen rows, and for each the row whose caption it gets: a permutation among them."""
    chosen = chosen_rows(rows, np.flatnonzero(rows.usable), wanted, options.seed)
    return chosen, _exchanged(rows, chosen, np.random.default_rng(options.seed))


def within_topics(options: CorruptOptions, rows: CaptionRows, wanted: int) -> tuple[Ints, Ints]:
    """As `shuffled`, inside each cluster of similar images (of similar captions where there are no embeddings)."""
    eligible, vectors = _vectors(options, rows, "image")
    cluster = np.full(len(rows), -1)
    cluster[eligible] = kmeans(vectors, options.clusters, options.seed).numpy()
    chosen = chosen_rows(rows, eligible, wanted, options.seed)
    draw = np.random.default_rng(options.seed)
    given = chosen.copy()
    for number in range(options.clusters):
        inside = cluster[chosen] == number
        given[inside] = _exchanged(rows, chosen[inside], draw)
    return chosen, given


def near(options: CorruptOptions, rows: CaptionRows, wanted: int) -> tuple[Ints, Ints]:
    """The chosen rows, and for each a row with one of the nearest captions that is another photo's and not equal."""
    eligible, vectors = _vectors(options, rows, "text")
    chosen = chosen_rows(rows, eligible, wanted, options.seed)
    pool = chosen_rows(rows, eligible, NEAR_POOL, options.seed + 1)
    asked, bank = np.searchsorted(eligible, chosen), np.searchsorted(eligible, pool)
    groups = [rows.photo_id, rows.caption_id]
    found = nearest(
        vectors[asked],
        vectors[bank],
        min(options.nearest, len(pool)),
        query_groups=[torch.from_numpy(group[chosen]) for group in groups],
        key_groups=[torch.from_numpy(group[pool]) for group in groups],
    ).index.numpy()
    count = (found >= 0).sum(axis=1)
    pick = (np.random.default_rng(options.seed).random(len(chosen)) * count).astype(np.int64)
    given = pool[found[np.arange(len(chosen)), pick]] if len(chosen) else chosen
    return chosen, np.where(count > 0, given, chosen)


def paraphrased(options: CorruptOptions, rows: CaptionRows, wanted: int) -> tuple[Ints, Ints]:
    """The chosen rows, each with the caption of another row of its photo that reads differently: nothing gets wrong.

    Raises NcauditError when no photo has two captions.
    """
    others = _siblings(rows)
    if not others:
        raise NcauditError(
            "no photo has two captions that read differently, and --kind paraphrase exchanges them",
            fix="give a dataset with a row per caption, as of several captions per photo; or another --kind",
        )
    chosen = chosen_rows(rows, np.sort(np.fromiter(others, np.int64)), wanted, options.seed)
    luck = row_keys(rows, options.seed + 1)[chosen].tolist()
    given = [others[row][key % len(others[row])] for row, key in zip(chosen.tolist(), luck, strict=True)]
    return chosen, np.array(given, dtype=np.int64)


def _siblings(rows: CaptionRows) -> dict[int, Ints]:
    """The rows of the same photo with another caption, ascending, of each row that has any."""
    order = np.lexsort([np.arange(len(rows)), rows.photo_id])
    order = order[rows.usable[order]]
    starts = np.flatnonzero(np.diff(rows.photo_id[order], prepend=rows.photo_id[order][:1] - 1))
    ends = np.append(starts[1:], len(order))
    several = np.flatnonzero(ends - starts > 1)
    found: dict[int, Ints] = {}
    for same in (order[starts[photo] : ends[photo]] for photo in several):
        others = {int(row): same[rows.caption_id[same] != rows.caption_id[row]] for row in same}
        found |= {row: other for row, other in others.items() if len(other)}
    return found


KINDS: dict[CorruptKind, Callable[[CorruptOptions, CaptionRows, int], tuple[Ints, Ints]]] = {
    CorruptKind.shuffle: shuffled,
    CorruptKind.topic: within_topics,
    CorruptKind.near: near,
    CorruptKind.paraphrase: paraphrased,
}


def _exchanged(rows: CaptionRows, members: Ints, draw: np.random.Generator) -> Ints:
    return members[derange([rows.photo_id[members], rows.caption_id[members]], draw)]


def _vectors(options: CorruptOptions, rows: CaptionRows, modality: str) -> tuple[Ints, torch.Tensor]:
    """The rows that can be compared, ascending, and a unit vector of each."""
    usable = np.flatnonzero(rows.usable)
    if not len(usable):
        raise BadTable(f"{rows.shards[0].path} has no caption to swap", fix="name one with --caption-column")
    if options.embeddings is None:
        return usable, torch.from_numpy(_tfidf(rows.words(usable), options.seed))
    return _embedded(options, rows, modality)


def _tfidf(captions: Sequence[str], seed: int) -> npt.NDArray[np.float32]:
    """Unit vectors of captions by their words: rare ones count more. (n, d) float32, d at most 128."""
    from sklearn.decomposition import TruncatedSVD  # seconds to import, and `shuffle` does without
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    words = TfidfVectorizer(max_features=TFIDF_TERMS, token_pattern=r"\w+", sublinear_tf=True, dtype=np.float32)
    try:
        counts = words.fit_transform(captions)
    except ValueError as error:  # no word in any caption
        raise NcauditError("no caption holds a word to compare", fix="give --embeddings, or --kind shuffle") from error
    if counts.shape[1] <= TFIDF_DIMS:
        return np.ascontiguousarray(counts.toarray(), dtype=np.float32)
    with one_thread_each():  # of several, each would add up its own part, and last bits would differ
        reduced = TruncatedSVD(min(TFIDF_DIMS, len(captions)), random_state=seed).fit_transform(counts)
    return np.ascontiguousarray(normalize(reduced), dtype=np.float32)


def _embedded(options: CorruptOptions, rows: CaptionRows, modality: str) -> tuple[Ints, torch.Tensor]:
    numbers, parts = [], []
    for row, image, text in embedded_rows(options.embeddings or (), rows, options.max_row_bytes):
        numbers.append(row)
        parts.append(image if modality == "image" else text)
    row = np.concatenate(numbers)
    order = np.argsort(row)
    return row[order], torch.from_numpy(np.concatenate(parts)[order])

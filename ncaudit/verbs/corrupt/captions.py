"""`corrupt`: the user's dataset with a known share of its captions swapped, and the truth beside each pair.

Knows options, captions and shards; nothing of Typer or of how a parquet file is rewritten.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from ncaudit.core.neighbours.clusters import kmeans
from ncaudit.core.neighbours.search import nearest
from ncaudit.core.statistics.derangement import derange, is_own
from ncaudit.counts import counted
from ncaudit.engines.local import Accounting
from ncaudit.errors import BadTable, NcauditError, UsageError
from ncaudit.options import CorruptKind, CorruptOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.schema import OK
from ncaudit.shards.claims.claims import Claim
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.dataset.captions import CaptionRows, read_captions
from ncaudit.shards.files.locations import join
from ncaudit.shards.files.provenance import EarlierOutputs, Provenance, attach, describe
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import atomic_table
from ncaudit.shards.readers import open_shard
from ncaudit.shards.rewriting.rewrite import rewrite_shard
from ncaudit.verbs.corrupt.dataset_rows import (
    Flags,
    Ints,
    chosen_rows,
    claimed,
    corruptible_shards,
    embedded_rows,
    noise_types,
    plan_digest,
    write_shards,
)
from ncaudit.version import told_format

INDEX_FILE = "_corruption.parquet"  # the underscore keeps it from being read as a shard of the dataset
TRUTH = (pa.field("is_match", pa.bool_()), pa.field("caption_of", pa.string()), pa.field("noise_type", pa.string()))
INDEX = pa.schema([pa.field("pair_id", pa.string(), nullable=False), *TRUTH[1:]])
NEAR_POOL = 100_000  # captions that `near` looks among: beyond that the search would grow with the square of the rows
TFIDF_TERMS = 65_536
TFIDF_DIMS = 128


@dataclass(frozen=True, kw_only=True, repr=False)
class CorruptResult(Readable, first=("rate", "mismatched", "accounting", "out")):
    """What was swapped. A pair is mismatched when its caption is from another photo and reads differently."""

    out: str
    index: str  # the file that lists every pair whose caption was moved
    kind: CorruptKind
    asked_rate: float
    rate: float  # the real one: mismatched / rows with a caption
    mismatched: int
    not_swappable: int  # chosen, but no other photo's caption could be had
    accounting: Accounting


@dataclass(frozen=True)
class _Plan:
    """Which row's caption each row gets. source: (n,) row numbers over all shards; mismatched: (n,)."""

    source: Ints
    mismatched: Flags
    chosen: int
    kind: CorruptKind

    def noise_types(self, rows: Ints) -> pa.Array:
        return noise_types(self.mismatched[rows], self.kind)


def corrupt(options: CorruptOptions, progress: Progress = SILENT) -> CorruptResult:
    """Write the dataset again with `rate` of its captions swapped and the columns is_match, caption_of, noise_type.

    is_match says that the caption is the row's own, or one of the same photo, or reads the same; what was wrong in the
    source it cannot know. Which rows and captions: a pure function of data, options and seed, not of the order in
    which shards are named. Raises NcauditError when nothing can be swapped, the truth columns are already there, or
    the output would overwrite the input.
    """
    shards, claim = made_ready(options)
    with made_by(options), claim.held():
        return _corrupt(options, shards, claim, progress)


def made_ready(options: CorruptOptions) -> tuple[list[Shard], Claim]:
    """What is read, and the right to write it again. Raises NcauditError for whatever is wrong with either."""
    _require_captions(options)
    shards = corruptible_shards(options, [field.name for field in TRUTH], "captions may be swapped")
    return shards, claimed(options, shards, INDEX_FILE)


def _corrupt(options: CorruptOptions, shards: Sequence[Shard], claim: Claim, progress: Progress) -> CorruptResult:
    progress.job("corrupt", {"read the captions": 0.3, "choose captions": 0.0, "write the dataset": 1.0})
    progress.stage("read the captions", sum(open_shard(shard).rows for shard in shards))
    rows = read_captions(shards, options, progress)
    progress.stage("choose captions", None)
    plan = _plan(options, rows)
    progress.stage("write the dataset", len(rows))
    claim.settle(_facts(options, rows, plan))
    accounting = _write(options, rows, plan, progress)
    mismatched, usable = int(plan.mismatched.sum()), int(rows.usable.sum())
    return CorruptResult(
        out=options.out,
        index=join(options.out, INDEX_FILE),
        kind=options.kind,
        asked_rate=options.rate,
        rate=mismatched / usable if usable else 0.0,
        mismatched=mismatched,
        not_swappable=plan.chosen - mismatched,
        accounting=accounting,
    )


def _require_captions(options: CorruptOptions) -> None:
    if options.kind not in _KINDS:
        raise UsageError(f"corrupt swaps captions, and {options.kind} is about labels", fix="call corrupt_labels")


def _plan(options: CorruptOptions, rows: CaptionRows) -> _Plan:
    wanted = int(options.rate * int(rows.usable.sum()) + 0.5)
    source, everyone = np.arange(len(rows)), np.arange(len(rows))
    chosen = 0
    if options.rate:
        moved, given = _KINDS[options.kind](options, rows, wanted)
        source[moved] = given
        chosen = len(moved)
    mismatched = ~is_own([rows.photo_id, rows.caption_id], everyone, source)
    if options.rate and not mismatched.any():
        raise NcauditError(
            f"no caption can be swapped: {chosen:,} of {counted(int(rows.usable.sum()), 'pair')} with a caption were "
            "chosen, and none of them found a caption of another photo",
            fix="raise --rate, lower --clusters, use --kind shuffle, or give more data",
        )
    return _Plan(source, mismatched, chosen, options.kind)


def _shuffle(options: CorruptOptions, rows: CaptionRows, wanted: int) -> tuple[Ints, Ints]:
    """The chosen rows, and for each the row whose caption it gets: a permutation among them."""
    chosen = chosen_rows(rows, np.flatnonzero(rows.usable), wanted, options.seed)
    return chosen, _exchanged(rows, chosen, np.random.default_rng(options.seed))


def _topic(options: CorruptOptions, rows: CaptionRows, wanted: int) -> tuple[Ints, Ints]:
    """As `_shuffle`, inside each cluster of similar images (of similar captions where there are no embeddings)."""
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


def _near(options: CorruptOptions, rows: CaptionRows, wanted: int) -> tuple[Ints, Ints]:
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


_KINDS: dict[CorruptKind, Callable[[CorruptOptions, CaptionRows, int], tuple[Ints, Ints]]] = {
    CorruptKind.shuffle: _shuffle,
    CorruptKind.topic: _topic,
    CorruptKind.near: _near,
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


def _write(options: CorruptOptions, rows: CaptionRows, plan: _Plan, progress: Progress) -> Accounting:
    facts, earlier = _facts(options, rows, plan), EarlierOutputs(progress.note)

    def write(number: int) -> bool:
        shard = rows.shards[number]
        provenance, path = describe("corrupt", shard, options=facts), shard.output(options.out)
        if finished := earlier.hold(path, provenance):
            return finished
        _write_shard(rows, plan, number, path, provenance)
        return False

    def statuses(some: slice) -> dict[str, int]:
        usable = int(rows.usable[some].sum())
        return {OK: usable, "caption_missing": some.stop - some.start - usable}

    accounting = write_shards(rows, write, statuses, progress)
    index = join(options.out, INDEX_FILE)
    if not earlier.hold(index, made_from := {**told_format("corrupt"), "verb": "corrupt", "options": facts}):
        _write_index(index, rows, plan, made_from)
    return accounting


def _facts(options: CorruptOptions, rows: CaptionRows, plan: _Plan) -> dict[str, Any]:
    """What an output rests on: besides its own shard the captions of all others, hence their fingerprints."""
    told = {"rate": options.rate, "kind": options.kind, "seed": options.seed}
    told |= {"clusters": options.clusters} if options.kind is CorruptKind.topic else {}
    told |= {"nearest": options.nearest} if options.kind is CorruptKind.near else {}
    return {**told, "plan": plan_digest(rows, plan.source)}


def _write_shard(rows: CaptionRows, plan: _Plan, number: int, path: str, provenance: Provenance) -> None:
    caption, start = rows.columns[number], int(rows.starts[number])

    def columns_for(first: int, batch: pa.RecordBatch) -> list[pa.Array]:
        here = np.arange(start + first, start + first + len(batch))
        source = plan.source[here]
        own = batch[caption]
        moved = own if (source == here).all() else rows.captions.take(pa.array(source)).cast(own.type)
        truth = [pa.array(~plan.mismatched[here]), pa.array(rows.names(source), pa.string()), plan.noise_types(here)]
        return [moved, *truth]

    rewrite_shard(
        rows.shards[number], path, columns_for=columns_for, add=TRUTH, replace=[caption], provenance=provenance
    )


def _write_index(path: str, rows: CaptionRows, plan: _Plan, provenance: Provenance) -> None:
    """Every pair whose caption was moved, whose caption it has now, and whether that makes it a mismatch."""
    moved = np.flatnonzero(plan.source != np.arange(len(rows)))
    schema = attach(INDEX, provenance)
    columns = [pa.array(rows.names(moved)), pa.array(rows.names(plan.source[moved])), plan.noise_types(moved)]
    with atomic_table(path, schema) as writer:
        writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))

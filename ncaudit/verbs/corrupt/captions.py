"""`corrupt`: the user's dataset with a known share of its captions moved or changed, and the truth beside each pair.

Knows options, captions and shards; nothing of Typer, of how a caption is chosen or of how a parquet file is rewritten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ncaudit.core.statistics.derangement import is_own
from ncaudit.counts import counted
from ncaudit.engines.local import Accounting
from ncaudit.engines.pace import computing
from ncaudit.errors import NcauditError, UsageError
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
    claimed,
    corruptible_shards,
    noise_types,
    plan_digest,
    write_shards,
)
from ncaudit.verbs.corrupt.moved import KINDS
from ncaudit.verbs.corrupt.reworded import Change, Reworded, reworded
from ncaudit.version import told_format

INDEX_FILE = "_corruption.parquet"  # the underscore keeps it from being read as a shard of the dataset
TRUTH = (pa.field("is_match", pa.bool_()), pa.field("caption_of", pa.string()), pa.field("noise_type", pa.string()))
# of captions that say something else: what stands in them now, for which word or from which pair, and how much is right
CHANGES = (
    *(pa.field(name, pa.string()) for name in ("put_in", "replaced", "lent_by")),
    pa.field("share_right", pa.float32()),
)
PAIR_ID = pa.field("pair_id", pa.string(), nullable=False)


@dataclass(frozen=True, kw_only=True, repr=False)
class CorruptResult(Readable, first=("rate", "mismatched", "accounting", "out")):
    """What was changed.

    A pair is mismatched when its caption is from another photo and reads differently, or says something else than its
    own did.
    """

    out: str
    index: str  # the file that lists every pair whose caption was moved or changed
    kind: CorruptKind
    asked_rate: float
    rate: float  # the real one: mismatched / rows with a caption
    mismatched: int
    changed: int  # captions that read differently now, wrong or not
    not_swappable: int  # chosen, but no caption, word or phrase could be had for them
    accounting: Accounting


@dataclass(frozen=True)
class _Plan:
    """Which row's caption each row gets, and what is changed in it.

    source: (n,) row numbers over all shards; changed, mismatched: (n,), the second those of the first that are wrong.
    """

    source: Ints
    changed: Flags
    mismatched: Flags
    chosen: int
    kind: CorruptKind
    words: Reworded | None  # None: of a kind that moves captions

    @property
    def done(self) -> int:
        """Rows of those chosen for which something could be had."""
        return int((self.mismatched if self.kind is not CorruptKind.paraphrase else self.changed).sum())

    @property
    def truth(self) -> tuple[pa.Field, ...]:
        """The columns that tell it."""
        return truth_of(self.kind)

    def noise_types(self, rows: Ints) -> pa.Array:
        """Of these rows; a paraphrase is told, though nothing is wrong with it."""
        return noise_types((self.changed if self.kind is CorruptKind.paraphrase else self.mismatched)[rows], self.kind)

    def changes(self, rows: Ints) -> list[Change | None]:
        """What was changed within the caption of each of these rows, ascending."""
        assert self.words is not None
        own = {change.row: change for change in self._changes_between(rows)}
        return [own.get(row) for row in rows.tolist()]

    def _changes_between(self, rows: Ints) -> Sequence[Change]:
        assert self.words is not None
        first, last = np.searchsorted(self.words.rows, [rows[0], rows[-1] + 1]) if len(rows) else (0, 0)
        return self.words.changes[first:last]


def truth_of(kind: CorruptKind) -> tuple[pa.Field, ...]:
    """The columns that `corrupt` adds."""
    return (*TRUTH, *CHANGES) if kind.rewords else TRUTH


def corrupt(options: CorruptOptions, progress: Progress = SILENT) -> CorruptResult:
    """Write the dataset again with `rate` of its captions changed and the columns is_match, caption_of, noise_type.

    is_match says that the caption is the row's own, or one of the same photo, or reads the same; what was wrong in the
    source it cannot know. The kinds word and half-truth change what a caption says: it stays the row's own, is_match is
    false, and the columns put_in, replaced, lent_by and share_right tell the change. Which rows and captions: a pure
    function of data, options and seed, not of the order in which shards are named. Raises NcauditError when nothing can
    be changed, the truth columns are already there, or the output would overwrite the input.
    """
    shards, claim = made_ready(options)
    with made_by(options), computing(options.threads, exact=True), claim.held():
        return _corrupt(options, shards, claim, progress)


def made_ready(options: CorruptOptions) -> tuple[list[Shard], Claim]:
    """What is read, and the right to write it again. Raises NcauditError for whatever is wrong with either."""
    _require_captions(options)
    shards = corruptible_shards(options, [f.name for f in truth_of(options.kind)], "captions may be swapped")
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
        changed=int(plan.changed.sum()),
        not_swappable=plan.chosen - plan.done,
        accounting=accounting,
    )


def _require_captions(options: CorruptOptions) -> None:
    if options.kind.of_labels:
        raise UsageError(f"corrupt swaps captions, and {options.kind} is about labels", fix="call corrupt_labels")


def _plan(options: CorruptOptions, rows: CaptionRows) -> _Plan:
    wanted = int(options.rate * int(rows.usable.sum()) + 0.5)
    source, everyone = np.arange(len(rows)), np.arange(len(rows))
    if options.kind.rewords:
        words = reworded(options, rows, wanted) if options.rate else Reworded(0, [])
        changed = np.isin(everyone, words.rows)
        plan = _Plan(source, changed, changed, words.chosen, options.kind, words)
    else:
        moved, given = KINDS[options.kind](options, rows, wanted) if options.rate else (source[:0], source[:0])
        source[moved] = given
        changed = rows.caption_id != rows.caption_id[source]
        mismatched = ~is_own([rows.photo_id, rows.caption_id], everyone, source)
        plan = _Plan(source, changed, mismatched, len(moved), options.kind, None)
    if options.rate and not plan.done:
        raise _nothing_to_change(options, rows, plan)
    return plan


def _nothing_to_change(options: CorruptOptions, rows: CaptionRows, plan: _Plan) -> NcauditError:
    of = f"{plan.chosen:,} of {counted(int(rows.usable.sum()), 'pair')} with a caption were chosen, and none of them "
    if options.kind.rewords:
        what = "another word as frequent as one of its own" if options.kind is CorruptKind.word else "a phrase to add"
        return NcauditError(f"no caption can be changed: {of}found {what}", fix="raise --rate, or give more data")
    return NcauditError(
        f"no caption can be swapped: {of}found a caption of another photo",
        fix="raise --rate, lower --clusters, use --kind shuffle, or give more data",
    )


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
    told |= {"nearest": options.nearest} if options.kind in (CorruptKind.near, CorruptKind.half_truth) else {}
    return {**told, "plan": plan_digest(rows, plan.source, *([plan.words.told()] if plan.words else []))}


def _write_shard(rows: CaptionRows, plan: _Plan, number: int, path: str, provenance: Provenance) -> None:
    caption, start = rows.columns[number], int(rows.starts[number])

    def columns_for(first: int, batch: pa.RecordBatch) -> list[pa.Array]:
        here = np.arange(start + first, start + first + len(batch))
        return [_captions(rows, plan, here, batch[caption]), *_truth(rows, plan, here)]

    rewrite_shard(
        rows.shards[number], path, columns_for=columns_for, add=plan.truth, replace=[caption], provenance=provenance
    )


def _captions(rows: CaptionRows, plan: _Plan, here: Ints, own: pa.Array) -> pa.Array:
    """The captions of the rows `here`, in the type that they had."""
    if plan.words is not None:
        return _with_changes(own, plan.changes(here))
    source = plan.source[here]
    return own if (source == here).all() else rows.captions.take(pa.array(source)).cast(own.type)


def _with_changes(own: pa.Array, changes: Sequence[Change | None]) -> pa.Array:
    if not any(changes):
        return own
    changed = pa.array([change is not None for change in changes])
    made = pa.array([change.caption for change in changes if change], pa.large_string())
    return pc.replace_with_mask(own.cast(pa.large_string()), changed, made).cast(own.type)


def _truth(rows: CaptionRows, plan: _Plan, here: Ints) -> list[pa.Array]:
    told = [pa.array(~plan.mismatched[here]), rows.names(plan.source[here]), plan.noise_types(here)]
    return told if plan.words is None else [*told, *_told_changes(rows, plan.changes(here))]


def _told_changes(rows: CaptionRows, changes: Sequence[Change | None]) -> list[pa.Array]:
    told = [[one and one.put_in for one in changes], [one and one.replaced for one in changes]]
    right = pa.array([1.0 if one is None else one.right for one in changes], pa.float32())
    return [*(pa.array(column, pa.string()) for column in told), _lenders(rows, changes), right]


def _lenders(rows: CaptionRows, changes: Sequence[Change | None]) -> pa.Array:
    """The names of the rows that have lent something, where one has."""
    lent = [None if one is None else one.lent_by for one in changes]
    names = rows.names(np.array([row for row in lent if row is not None], dtype=np.int64))
    there = pa.array([row is not None for row in lent], pa.bool_())
    return pc.replace_with_mask(pa.nulls(len(lent), pa.string()), there, names)


def _write_index(path: str, rows: CaptionRows, plan: _Plan, provenance: Provenance) -> None:
    """Every pair whose caption was moved or changed, whose it is now, and whether that makes it a mismatch."""
    moved = plan.words.rows if plan.words else np.flatnonzero(plan.source != np.arange(len(rows)))
    schema = attach(pa.schema([PAIR_ID, *plan.truth[1:]]), provenance)
    columns = [rows.names(moved), *_truth(rows, plan, moved)[1:]]
    with atomic_table(path, schema) as writer:
        writer.write(pa.RecordBatch.from_arrays(columns, schema=schema))

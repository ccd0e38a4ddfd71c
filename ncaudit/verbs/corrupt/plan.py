"""What `corrupt` would do. Knows what it reads and where that goes; chooses no row."""

from collections.abc import Iterator
from typing import Any

from ncaudit.counts import counted
from ncaudit.options import CorruptOptions
from ncaudit.planned import Plan, Reading
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.claims.claims import Claim
from ncaudit.shards.dataset.captions import caption_columns
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.verbs.corrupt import captions, classes
from ncaudit.verbs.planning import AGAIN, Shards, counted_rows, plan_of_shards, reading


def plan_corrupt(options: CorruptOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `corrupt` would refuse to begin."""
    shards, claim, columns = _labels(options) if options.kind.of_labels else _captions(options)
    rows, there = counted_rows(shards), any(claim.there[place] for place in claim.places)
    told: dict[str, Any] = {"reads": tuple(_reads(options, shards, rows)), "columns": columns}
    if there:
        told["notes"] = ["which tables hold shows once the rows to be changed are chosen"]
    what = "class labels" if options.kind.of_labels else "captions"
    told["work"] = (
        f"read the {what} of {counted(sum(rows.values()), 'row')}",
        f"change {options.rate:.0%} of them ({options.kind})", f"write {counted(len(shards), 'shard')} again",
    )  # fmt: skip
    plan = Shards(shards, rows, None if there else frozenset())
    fate = None if there else plan.fate(options.out, lambda place, name: AGAIN)
    return plan_of_shards(claim, options.out, plan, fate=fate, **told)


def _captions(options: CorruptOptions) -> tuple[list[Shard], Claim, dict[str, str]]:
    shards, claim = captions.made_ready(options)
    first = caption_columns(shards, options)[0]
    return shards, claim, {"image": first.image, "caption": first.caption}


def _labels(options: CorruptOptions) -> tuple[list[Shard], Claim, dict[str, str]]:
    column, shards, claim = classes.made_ready_for_labels(options)
    classes.require_classes(shards, column)
    return shards, claim, {"class": column}


def _reads(options: CorruptOptions, shards: list[Shard], rows: dict[Shard, int]) -> Iterator[Reading]:
    yield reading("sources", options.sources, shards, rows.__getitem__)
    if options.embeddings:
        yield reading("--embeddings", options.embeddings, find_shards(options.embeddings))

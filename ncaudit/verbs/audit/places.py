"""Where an audit writes, and what it rests on: everything that can be wrong with that is told before any work.

Knows options, claims and shards; nothing of what the steps do.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from ncaudit import scorers
from ncaudit.errors import BadTable, NcauditError
from ncaudit.judging import choice
from ncaudit.options import AuditOptions
from ncaudit.shards.claims.claims import Claim, Place, asked, ours_in
from ncaudit.shards.claims.departed import tables_below
from ncaudit.shards.columns import carriable
from ncaudit.shards.dataset.class_labels import require_class_column
from ncaudit.shards.files.locations import is_dir, lexists
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.writer import remove_file
from ncaudit.shards.readers import open_shard
from ncaudit.verbs.embed.files import files_of
from ncaudit.verbs.labels.labels import claimed as claimed_labels
from ncaudit.verbs.outputs import inputs_of, tables_of
from ncaudit.verbs.report.page.render import is_report
from ncaudit.verbs.score.claims import places as score_places
from ncaudit.verbs.score.judged.judged_scores import read_judges

Places = Mapping[str, Sequence[Place]]  # by the verb that writes there


def places_of(options: AuditOptions, shards: Sequence[Shard]) -> Places:
    """All places of an audit, which its steps may write to; with --prune, without tables of other shards.

    Raises NcauditError as `asked_places` and `Claim.take` do.
    """
    claims, others = asked_places(options, shards)
    for one in claims:
        one.take()
    for path in others:
        remove_file(path)
    return {one.verb: one.places for one in claims}


def asked_places(options: AuditOptions, shards: Sequence[Shard]) -> tuple[list[Claim], list[str]]:
    """The claims of all steps, none of them taken; and the tables of other shards that --prune removes.

    Raises NcauditError where a step may not write, as `asked` does; where tables of other shards lie, which would be
    audited, too; and for judgements and settings that a later step would refuse.
    """
    scorers.refuse_unread(choice.meant(options.scorer), options.of_score)
    if options.verdicts:
        read_judges(options.verdicts, options.max_row_bytes)
    claims = list(_claims(options, shards))
    return claims, [path for one in claims for path in _others(one, prune=options.prune)]


def anything_there(places: Places) -> bool:
    """Whether a step has finished a file."""
    return any(lexists(place.at(name)) for each in places.values() for place in each for name in place.files)


def with_classes(options: AuditOptions, shards: Sequence[Shard]) -> AuditOptions:
    """The options with columns such that the embedding tables hold the classes: lists are not carried unasked.

    Raises BadTable where a shard that can be read has no such column.
    """
    label = options.label_column
    if label is None:
        return options
    carried = [carriable(schema, None).names for schema in _schemas(shards, label)]
    if options.columns is not None or all(label in names for names in carried):
        return options
    everywhere = [name for name in carried[0] if all(name in names for names in carried) and name != label]
    return replace(options, columns=[*everywhere, label])  # a column that is named must be in every shard


def _schemas(shards: Sequence[Shard], label: str) -> Iterator[pa.Schema]:
    """Of the shards that can be read; the others are told when it is their turn."""
    for shard in shards:
        try:
            schema = open_shard(shard, choosing=True).schema
        except BadTable:
            continue
        require_class_column(shard.path, schema, label)
        yield schema


def _claims(options: AuditOptions, shards: Sequence[Shard]) -> Iterator[Claim]:
    inputs, over = [*inputs_of(shards), *(options.verdicts or ())], options.overwrite
    tables = _tables(options, shards)
    files = files_of(options.of_embed, [shard.name for shard in shards])
    yield asked("embed", [files.place(shards)], inputs, overwrite=over)
    yield asked("score", score_places(options.of_score, tables), inputs, overwrite=over)
    if options.of_labels is not None:
        yield claimed_labels(options.of_labels, tables)
    pages = [page.out for page in (options.of_report, options.of_labels_report) if page is not None]
    yield asked("report", [page_place(page) for page in pages], inputs, overwrite=over)


def page_place(path: str) -> Place:
    """Where a page goes: one of ours is known by itself."""
    return replace(Place.of_file("--out", path), proven=is_report)


def _tables(options: AuditOptions, shards: Sequence[Shard]) -> list[Shard]:
    """The embedding tables that the later steps read."""
    out = options.of_embed.out
    return [Shard(shard.output(out), name) for shard, name in zip(shards, tables_of(shards), strict=True)]


def _others(claim: Claim, *, prune: bool) -> Iterator[str]:
    """Tables of shards that are not audited: the steps after would take them for this dataset's."""
    for place in claim.places:
        if place.alone or not is_dir(place.folder):
            continue
        others = [name for name in tables_below(place.folder) if name not in place.files]
        if not others:
            continue
        ours = ours_in(claim.verb, place)
        strange = [name for name in others if not ours(name)]
        if strange or not prune:
            _refuse(place, strange or others, ours=not strange)
        yield from (place.at(name) for name in others)


def _refuse(place: Place, others: Sequence[str], *, ours: bool) -> None:
    more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
    if ours:
        what, fix = "was made from another dataset, or from a shard that is gone", "--prune removes it"
    else:
        what, fix = "is in the way: it would be taken for one of this audit's tables", "move it away"
    raise NcauditError(f"{place.at(others[0])}{more} {what}", fix=f"{fix}; or give another --out")

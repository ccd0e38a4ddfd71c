"""What to do next with a dataset, a table or a folder: commands that can be copied, or what must be mended first.

Knows the flags of commands and what `inspect` found; reads nothing but what `embed` itself would look at.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ncaudit.errors import BadTable
from ncaudit.options import MAX_ROW_BYTES, InspectOptions, ModelOptions
from ncaudit.schema import OK
from ncaudit.shards.columns import ImageKind, image_candidates
from ncaudit.shards.dataset.keys import BY_ROW, choose_key
from ncaudit.shards.files import locations
from ncaudit.shards.files.formats import Format
from ncaudit.shards.tables.told_rates import why_no_labels
from ncaudit.verbs.inspect.findings import Captions, Images, KeyColumn
from ncaudit.verbs.inspect.made_folders import FolderKind, MadeFolder
from ncaudit.verbs.inspect.noticed_columns import NoticedColumns
from ncaudit.verbs.inspect.shard_group import ShardGroup
from ncaudit.verbs.inspect.shard_kinds import Kind, ShardKind


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """commands: the first is the one to run; words in capitals stand for what is not known here. fixes: what first."""

    commands: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DatasetFindings:
    """What was found in a dataset. problem: why its columns cannot be told."""

    captions: Captions | None
    images: Images | None
    keys: Sequence[KeyColumn]
    columns: NoticedColumns
    problem: BadTable | None


def for_dataset(options: InspectOptions, group: ShardGroup, verb: str | None, found: DatasetFindings) -> NextStep:
    """verb: of ncaudit that wrote it, if one did."""
    kind = group.shards[0].kind.kind
    if kind is Kind.scored_dataset:
        return NextStep(
            fixes=("nothing: keep the rows whose ncaudit_soft_label is high enough with any tool you like",)
        )
    if kind is Kind.dropped:
        return NextStep(fixes=("nothing: these are the rows that were not worth keeping",))
    if found.problem is not None:
        return NextStep(fixes=(_mended_columns(group, found.columns, found.problem),))
    if found.images is not None and found.images.sample.sampled and not found.images.sample.read:
        return NextStep(fixes=(_mended_images(found.images),))
    if verb == "filter":
        out = _outside("matcher", options.sources)
        return NextStep(commands=(_command("train", (), "--data", *options.sources, "--out", out),))
    return NextStep(commands=_all_or_one(options, group, found))


def for_tables(
    options: InspectOptions,
    found: ShardKind,
    provenance: Mapping[str, Any],
    columns: NoticedColumns,
    statuses: Mapping[str, int],
) -> NextStep:
    """found: of the first table. provenance: empty for another tool's table. statuses: how often each occurs."""
    sources, kind = options.sources, found.kind
    if statuses and not statuses.get(OK) and provenance:
        return NextStep(fixes=("no row is ok: the statuses above say why",))
    if kind is Kind.review:
        return _review(sources[0])
    if kind is Kind.embeddings:
        return _embeddings(options, columns)
    rule = ("--where", "label_quality >= 0.5") if kind is Kind.labels else ("--min-soft-label", "0.5")
    if kind in (Kind.labels, Kind.scores) and found.format != Format.parquet:
        return _piped(sources, found.format, rule)
    if kind is Kind.labels:
        return NextStep(commands=(_command("filter", sources, *rule, "--out", _outside("kept", sources)),))
    return _scores(sources, provenance, columns) if kind is Kind.scores else NextStep()


def for_folder(folder: MadeFolder, path: str) -> NextStep:
    """A model, heads, or a fit."""
    if folder.kind is FolderKind.model:
        model = shlex.join(["--model", f"local-dir:{path}"])
        return NextStep(commands=(f"ncaudit embed DATA {model} --out embeddings/",))
    if folder.kind is FolderKind.unfinished:
        return NextStep(fixes=("run the same `ncaudit train` command again: it goes on where it stopped",))
    flag = "--fit" if folder.kind is FolderKind.fit else "--model"
    return NextStep(commands=(f"ncaudit score EMBEDDINGS {shlex.join([flag, path])} --out scores/",))


def _all_or_one(options: InspectOptions, group: ShardGroup, found: DatasetFindings) -> tuple[str, ...]:
    """All steps in one command, to the page; and the first of them alone."""
    flags = ("--model", ModelOptions.model, *_flags(options, group, found))
    steps = {"audit": "run", "embed": "embeddings"}
    return tuple(
        _command(verb, options.sources, *flags, "--out", _outside(out, options.sources)) for verb, out in steps.items()
    )


def _flags(options: InspectOptions, group: ShardGroup, found: DatasetFindings) -> list[str]:
    """Those that were given, and those without which `embed` would guess or refuse."""
    captions = found.captions
    named = {
        "--image-column": options.image_column,
        "--caption-column": options.caption_column or (captions.column if captions and captions.others else None),
        "--key": options.key if options.key is not None else _key_to_name(group, found.keys),
        "--image-root": options.image_root,
        "--max-row-bytes": None if options.max_row_bytes == MAX_ROW_BYTES else str(options.max_row_bytes),
    }
    flags = [word for flag, value in named.items() if value is not None for word in (flag, value)]
    return flags + ["--caption-lines"] * options.caption_lines


def _key_to_name(group: ShardGroup, keys: Sequence[KeyColumn]) -> str | None:
    """The key that `embed` has to be told because the one that it would take by itself does not do; None: none."""
    good = [key.column for key in keys if not key.null and not key.repeated]
    chosen = choose_key([each.shard for each in group.shards], None)
    if chosen is None or chosen in good:
        return None
    return good[0] if good else BY_ROW


def _mended_columns(group: ShardGroup, columns: NoticedColumns, problem: BadTable) -> str:
    if columns.urls and not image_candidates(group.schema):
        where = f"the images are still at the addresses in column {columns.urls[0]}"
        return f"{where}: download them, for example with img2dataset"
    stem = group.shards[0].shard.path.removesuffix(".parquet")
    if locations.is_file(f"{stem}.tar"):
        return f"this is the sidecar of a tar, which holds the images: give {stem}.tar"
    return f"{problem.message}: {problem.fix}"


def _mended_images(images: Images) -> str:
    sampled = images.sample.sampled
    none = "the only image cannot be read" if sampled == 1 else f"none of {sampled:,} images could be read"
    told = f"{none} (first: {images.sample.first_problem})"
    by_path = images.held in (ImageKind.path, ImageKind.struct) and set(images.sample.problems) == {"image_missing"}
    if by_path:
        return f"{told}: name the folder that the paths start from with --image-root"
    return f"{told}: name the image column with --image-column, or fetch the data again"


def _embeddings(options: InspectOptions, columns: NoticedColumns) -> NextStep:
    sources = options.sources
    features = ("--features", options.features) if options.features else ()
    commands = [_command("score", sources, *features, "--out", _outside("scores", sources))]
    for name in columns.classes[:1]:
        out = ("--out", _outside("labels", sources))
        commands.append(_command("labels", sources, *features, "--label-column", name, *out))
    return NextStep(commands=tuple(commands))


def _scores(sources: Sequence[str], provenance: Mapping[str, Any], columns: NoticedColumns) -> NextStep:
    judge = [word for name in columns.prior_scores for word in ("--against", name)]
    judge += ["--truth", columns.truths[0]] if columns.truths else []
    more = (_command("eval scores", sources, *judge),) if judge else ()
    if provenance.get("verb") == "filter":
        out = _outside("matcher", sources)
        return NextStep(commands=(f"{_command('train', (), '--scores', *sources)} --data DATA --out {out}", *more))
    if why_no_labels([("", dict(provenance))]):
        review = _command("sample", sources, "--out", os.path.normpath(_outside("review.csv", sources)))
        return NextStep(fixes=("look at a few pairs: no row has a label",), commands=(review, *more))
    keep = ("--min-soft-label", "0.5", "--out", _outside("kept", sources))
    return NextStep(commands=(_command("filter", sources, *keep), *more))


def _piped(sources: Sequence[str], form: str, rule: Sequence[str]) -> NextStep:
    """Tables of scores that are no parquet are read from standard input, in two formats."""
    if form in (Format.arrow_stream, Format.json_lines) and len(sources) == 1 and os.path.isfile(sources[0]):
        piped = _command("filter", ("-",), *rule, "--out", "kept.parquet")
        return NextStep(commands=(f"{piped} < {shlex.quote(sources[0])}",))
    return NextStep(fixes=("write it as parquet, which is what score tables are read from",))


def _review(source: str) -> NextStep:
    wanted = "fill in the column is_match: yes, no or cannot tell; empty: not judged"
    verdicts = shlex.join(["--verdicts", source])
    return NextStep(commands=(f"ncaudit score EMBEDDINGS --out scores/ {verdicts}",), fixes=(wanted,))


def _command(verb: str, sources: Sequence[str], *words: str) -> str:
    return f"ncaudit {verb} {shlex.join([*sources, *words])}"


def _outside(name: str, sources: Sequence[str]) -> str:
    """A new folder, in the parent of the working folder where that one lies in the input itself."""
    here = os.path.join(os.getcwd(), "")
    inside = any(here.startswith(os.path.join(os.path.abspath(s), "")) for s in sources if "://" not in s)
    return os.path.join(os.pardir if inside else "", name, "")

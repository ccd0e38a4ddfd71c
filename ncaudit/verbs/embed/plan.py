"""What `embed` would do. Knows what it settles before it loads a model; loads none."""

from dataclasses import replace
from typing import Any

from ncaudit.core.device import pick_device
from ncaudit.counts import counted
from ncaudit.matchers.heads.headed_encoder import heads_of
from ncaudit.options import STREAM, EmbedOptions
from ncaudit.planned import Plan
from ncaudit.progress import SILENT, Progress
from ncaudit.shards.columns import Columns, ImageKind
from ncaudit.verbs.embed.embed import (
    Known,
    Ready,
    known_before,
    made_ready,
    on_devices,
    others_in_partitions,
    source_of,
)
from ncaudit.verbs.embed.files import ClipRetrievalOutput
from ncaudit.verbs.planning import Shards, plan_of_one, plan_of_shards, reading, refuse_streams


def plan_embed(options: EmbedOptions, progress: Progress = SILENT) -> Plan:
    """Raises NcauditError where `embed` would refuse to begin."""
    refuse_streams(options.sources)
    options = on_devices(options)
    pick_device(options.device)  # one that is not there is told
    ready = made_ready(options, progress)
    look, heads = ready.look, heads_of(options)
    told: dict[str, Any] = {
        "reads": (reading("sources", options.sources, ready.shards, look.rows.__getitem__),),
        "columns": columns_told(look.columns, look.key),
    }
    if options.out == STREAM:
        rows = sum(look.rows.values())
        work = _work(source_of(options, heads).name, options.batch_pairs or 0, len(ready.shards), rows)
        return plan_of_one(ready.claim, STREAM, rows, work=work, **told)
    known = known_before(ready, heads, progress)
    shards = Shards(ready.shards, look.rows, _finished(ready, known), ready.own)
    left = len(shards.mine) - (shards.done or 0)
    told |= {"work": _work(known.source.name, known.batch, left, shards.left), "notes": _notes(ready, known)}
    return _of_layout(ready, shards, told)


def _of_layout(ready: Ready, shards: Shards, told: dict[str, Any]) -> Plan:
    options, files = ready.options, ready.files
    if not isinstance(files, ClipRetrievalOutput):
        files.refuse_others(ready.shards)
        return plan_of_shards(ready.claim, options.out, shards, prune=options.prune, **told)
    gone = others_in_partitions(ready)
    if not options.prune or set(files.others(ready.shards)) - set(gone):
        files.refuse_others(ready.shards)
    fates = {name: shards.of(shard) for shard in ready.shards for name in files.place([shard]).files}
    plan = plan_of_shards(ready.claim, options.out, shards, fate=lambda place, name: fates[name], **told)
    return replace(plan, removes=tuple(ready.claim.places[0].at(name) for name in gone), notes=tuple(told["notes"]))


def columns_told(columns: Columns, key: str | None) -> dict[str, str]:
    """What is what in the user's rows."""
    kind = {ImageKind.path: " (paths)", ImageKind.bytes: ""}.get(columns.kind, f" ({columns.kind.value})")
    told = {"image": f"{columns.image}{kind}", "caption": columns.caption, "pair_id": key or "shard and row"}
    return told | ({"carried": ", ".join(columns.carried)} if columns.carried else {})


def _finished(ready: Ready, known: Known) -> frozenset[Any] | None:
    """Where nothing lies there nothing is finished, whatever the model is."""
    there = any(ready.claim.there[place] for place in ready.claim.places)
    return known.finished if known.finished is not None or there else frozenset()


def _work(model: str, batch_pairs: int, shards: int, rows: int | None) -> tuple[str, ...]:
    if not shards:
        return ()
    many = counted(rows, "row") if rows is not None else "the rows"
    batch = f", {batch_pairs:,} pairs at once" if batch_pairs else ", after the batch size is found"
    return f"load the model {model}", f"embed {many} of {counted(shards, 'shard')}{batch}"


def _notes(ready: Ready, known: Known) -> list[str]:
    notes = ready.look.left_out(ready.options.columns)
    if _finished(ready, known) is None:
        told = known.record.get("model") or {}
        whose = f" by {told['name']}" if "name" in told else ""
        refused = "" if ready.options.overwrite else "; those of another model are refused then, unless --overwrite"
        notes.append(
            f"{ready.options.out} holds tables that were made{whose}: whether they hold for {known.source.name} shows"
            f" once that is loaded{refused}"
        )
    return [*notes, *ready.options.told_of(len(ready.own), len(ready.shards))]

"""What `inspect` tells at its end: what it is, what it holds, what is wrong, what next. Knows findings; reads nothing.

Whatever comes from the user's files is shown so that no terminal is steered by it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ncaudit.cli.layout.vocabulary import (
    Command,
    Detail,
    Word,
    Words,
    failure,
    fix,
    item,
    quoted,
    value,
)
from ncaudit.cli.layout.vocabulary import Told as Said
from ncaudit.cli.shared.accounts import counted_shards
from ncaudit.cli.shared.user_text import shown
from ncaudit.counts import counted
from ncaudit.engines.local import ShardError
from ncaudit.verbs.inspect.findings import (
    Captions,
    FolderInspection,
    Images,
    Inspection,
    KeyColumn,
    ShardsInspection,
    Told,
)

HELD = {"bytes": "bytes", "struct": "bytes and path", "path": "paths of files", "base64": "base64 text"}
COLUMNS_SHOWN = 30
DAMAGED_SHOWN = 10
MOST = 150  # columns of an example


def lines(found: Inspection) -> Words:
    """The summary for people, the next command last."""
    return [*(_shards(found) if isinstance(found, ShardsInspection) else _folder(found)), *_next(found)]


def _folder(found: Inspection) -> Words:
    facts = found.facts if isinstance(found, FolderInspection) else {}
    return [found.what, *(value(name, _value(told), indent=2) for name, told in facts.items())]


def _shards(found: ShardsInspection) -> Words:
    pairs = f" = {counted(found.pairs, 'pair')}" if found.pairs != found.rows else ""
    size = f"{counted_shards(found.shards)}, {_bytes(found.bytes)}"
    return [
        f"{found.what}: {counted(found.rows, 'row')}{pairs} in {size}",
        *(line for told in found.provenance for line in _told(told, found.shards)),
        _columns(found),
        *_embeddings(found),
        *_words(found),
        *(_images(found.images) if found.images else []),
        *(_captions(found.captions) if found.captions else []),
        *map(_key, found.keys),
        *_noticed(found),
        *(value("schemas differ", shown(line, 200)) for line in found.schema_differences),
        *_damaged(found.damaged, "damaged shard"),
        *_damaged(found.without_pairs, "shard without pairs"),
    ]


def _embeddings(found: ShardsInspection) -> Words:
    told: Words = []
    if found.dims:
        image, text = found.dims
        told.append(f"embeddings: {image} dimensions" + (f", captions {text}" if text != image else ""))
    if len(found.features) > 1:
        told.append(f"features: {', '.join(map(shown, found.features))} (choose with --features)")
    return told


def _words(found: ShardsInspection) -> list[Said]:
    """Statuses, verdicts and the like, and how high the soft labels are."""
    told = []
    for name, counts in found.words.items():
        rows = found.rows if name in found.columns else None  # what lies beside has other rows
        told.append(value(name, _counts(counts, rows)))
    if found.mean_soft_label is not None:
        low = f"{found.soft_labels_below_half:,} below .5"
        told.append(value("soft labels", f"mean {found.mean_soft_label:.3f}, {low}"))
    return told


def _damaged(damaged: Sequence[ShardError], what: str) -> Words:
    told: Words = []
    for one in damaged[:DAMAGED_SHOWN]:
        told += [failure(shown(one.message, 300), f"{what}: "), fix(shown(one.fix, 300))]
    more = len(damaged) - DAMAGED_SHOWN
    return [*told, *([f"and {more:,} more of the kind '{what}': see --json"] if more > 0 else [])]


def _told(told: Told, shards: int) -> Words:
    """What the tables say of themselves; what has a line of its own first, then every plain value that is left."""
    said = dict(told.provenance)
    of = "" if told.shards == shards else f" ({told.shards:,} of {counted(shards, 'shard')})"
    return [
        f"made by ncaudit {said.pop('ncaudit', '?')} {said.pop('verb', '')}{of}",
        *_made_from(told),
        *_model(said.pop("model", None) or {}),
        *_noise_rate(said.pop("noise_rate", None) or {}, said.pop("judged_pairs", None)),
        *_meaning(said.pop("label_means", None)),
        Detail([*_options(said.pop("options", None) or {}), *_plain(said)]),
    ]


def _meaning(label_means: Any) -> list[Said]:
    """It begins with the column's name."""
    return [item(_value(label_means))] if isinstance(label_means, str) else []


def _plain(said: Mapping[str, Any]) -> list[Said]:
    return [value(name, _value(told), indent=2) for name, told in said.items() if isinstance(told, str | int | float)]


def _made_from(told: Told) -> list[Said]:
    made_from = [_source(source) for source in (told.source, told.data) if source]
    first = "" if told.shards == 1 else ", the first of them"
    return [value("from", f"{', made from '.join(made_from)}{first}", indent=2)] if made_from else []


def _model(model: Mapping[str, Any]) -> list[Said]:
    if not model:
        return []
    heads = f", heads {str(model['heads'])[:12]}" if model.get("heads") else ""
    name = shown(str(model.get("name", "heads on embeddings from elsewhere")))
    return [value("model", f"{name}, weights {str(model.get('weight_hash', '?'))[:12]}{heads}", indent=2)]


def _options(options: Mapping[str, Any]) -> list[Said]:
    given = [f"{name} {_value(one)}" for name, one in options.items() if one is not None]
    return [value("options", ", ".join(given), indent=2)] if given else []


def _noise_rate(rate: Mapping[str, Any], judged: Any) -> list[Said]:
    if rate.get("rate") is None:
        return []
    people = f", corrected by {counted(judged, 'judged pair')}" if isinstance(judged, int) else ""
    interval = f" ({rate['low']:.1%} to {rate['high']:.1%})" if rate.get("low") is not None else ""
    return [value("noise rate", f"{rate['rate']:.1%}{interval}{people}", indent=2)]


def _source(source: Any) -> str:
    return f"{shown(str(source.get('name')))} ({str(source.get('fingerprint'))[:16]})"


def _columns(found: ShardsInspection) -> Said:
    told = [f"{shown(name)} ({kind})" for name, kind in list(found.columns.items())[:COLUMNS_SHOWN]]
    more = len(found.columns) - len(told)
    return value("columns", ", ".join(told), f" and {more:,} more" if more > 0 else "")


def _images(images: Images) -> Words:
    sample = images.sample
    missing = f", {counted(images.missing, 'row')} without" if images.missing else ""
    held = HELD[images.held]
    told: Words = [value("images", f"column {shown(images.column)} ({held}){missing}")]
    if sample.width and sample.height:
        kinds = ", ".join(f"{count} {name}" for name, count in sample.formats.items())
        sizes = f"width {_spread(sample.width)}, height {_spread(sample.height)}"
        told.append(item(f"{sample.read} of {sample.sampled} sampled: {kinds}; smallest/median/largest {sizes}"))
    if sample.problems:
        first = shown(sample.first_problem or "", 160)
        told.append(item(f"in the sample: {_counts(sample.problems, sample.sampled)} (first: {first})"))
    if sample.bordered:
        told.append(
            item(
                "all sampled are 256 x 256, many with white borders: img2dataset's default resize, which shifts CLIP "
                "scores; its --resize_mode keep_ratio does not"
            )
        )
    return told


def _captions(captions: Captions) -> Words:
    several = ", several per row" if captions.several else ""
    lacks = f", {captions.null:,} null" * bool(captions.null) + f", {captions.blank:,} blank" * bool(captions.blank)
    others = f" (could be too: {', '.join(map(shown, captions.others))})" if captions.others else ""
    told: Words = [value("captions", f"column {shown(captions.column)}{several}{lacks}{others}")]
    if captions.of_several_lines:
        hold = counted(captions.of_several_lines, "holds", "hold")
        told.append(item(f"{hold} several lines: if each is a caption, give embed --caption-lines"))
    return [*told, *(quoted(shown(example), "", at=2, hang=4, most=MOST) for example in captions.examples)]


def _key(key: KeyColumn) -> Said:
    told = [counted(key.repeated, "row repeats one", "rows repeat one")] * bool(key.repeated)
    told += [f"{key.null:,} null"] * bool(key.null)
    return value("key", f"column {shown(key.column)}, {', '.join(told) or 'without repeats'}")


def _noticed(found: ShardsInspection) -> list[Said]:
    parts = {
        "prior scores": found.prior_scores,
        "addresses": (found.url,) if found.url else (),
        "classes": found.class_columns,
        "truth": found.truth_columns,
    }
    return [value(what, ", ".join(map(shown, names))) for what, names in parts.items() if names]


def _next(found: Inspection) -> list[Word]:
    first = [value("first", shown(line, 400)) for line in found.first]
    return [*first, *(Command(told, "also: " if number else "next: ") for number, told in enumerate(found.next))]


def _counts(counts: Mapping[str, int], rows: int | None) -> str:
    """Each word with its count, and its share of the rows where it is not all of them."""
    share = {word: f" ({count / rows:.1%})" if rows and count < rows else "" for word, count in counts.items()}
    return ", ".join(f"{count:,} {shown(word)}{share[word]}" for word, count in counts.items())


def _spread(values: tuple[int, int, int]) -> str:
    return "/".join(map(str, values))


def _value(told: Any) -> str:
    return shown(f"{told:g}" if isinstance(told, float) else str(told), 200)


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"

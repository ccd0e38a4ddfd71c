"""`ncaudit inspect`: what is this, and what to do with it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ncaudit.cli.shared import flags, output
from ncaudit.options import InspectOptions

if TYPE_CHECKING:
    from ncaudit.verbs.inspect.findings import Captions, Images, Inspection, KeyColumn, ShardsInspection, Told

COLUMNS_SHOWN = 30
DAMAGED_SHOWN = 10


def inspect(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="A dataset, tables of ncaudit, embeddings, a model, heads or a fit: files, folders, globs."
        ),
    ],
    image_column: flags.ImageColumn = None,
    caption_column: flags.CaptionColumn = None,
    key: flags.Key = None,
    image_root: flags.ImageRoot = None,
    features: flags.Features = InspectOptions.features,
    as_json: flags.Json = False,
) -> None:
    """Tell what this is, what it holds and what is wrong with it, and the next command to run.

    Reads the light columns once and a sample of 64 images; nothing is written, no model is loaded.
    """
    options = InspectOptions(
        sources=sources, image_column=image_column, caption_column=caption_column, key=key, image_root=image_root,
        features=features,
    )  # fmt: skip
    from ncaudit.verbs.inspect.findings import ShardsInspection
    from ncaudit.verbs.inspect.inspect import inspect as run  # --help must not pay for arrow

    with output.progress() as progress:
        found = run(options, progress)
    shards = found if isinstance(found, ShardsInspection) else None
    lines = _shards(shards) if shards else _folder(found)
    output.result(found, [*lines, *_next(found)], as_json=as_json)
    raise typer.Exit(output.TOO_MANY_FAILED if shards and shards.damaged else 0)


def _folder(found: "Inspection") -> list[str]:
    facts: dict[str, Any] = getattr(found, "facts", {})
    return [found.what, *(f"  {name}: {_value(value)}" for name, value in facts.items())]


def _shards(found: "ShardsInspection") -> list[str]:
    pairs = f" = {found.pairs:,} pairs" if found.pairs != found.rows else ""
    shards = f"{found.shards:,} shard{'s' * (found.shards != 1)}"
    lines = [f"{found.what}: {found.rows:,} rows{pairs} in {shards}, {_bytes(found.bytes)}"]
    lines += [line for told in found.provenance for line in _told(told, found.shards)]
    lines += [_columns(found)]
    if found.dims:
        image, text = found.dims
        lines.append(f"embeddings: {image} dimensions" + (f", captions {text}" if text != image else ""))
    if len(found.features) > 1:
        lines.append(f"features: {', '.join(map(output.shown, found.features))} (choose with --features)")
    for name, counts in found.words.items():
        rows = found.rows if name in found.columns else None  # what lies beside has other rows
        lines.append(f"{name}: {_counts(counts, rows)}")
    if found.mean_soft_label is not None:
        low = f"{found.soft_labels_below_half:,} below .5"
        lines.append(f"soft labels: mean {found.mean_soft_label:.3f}, {low}")
    lines += [*(_images(found.images) if found.images else []), *(_captions(found.captions) if found.captions else [])]
    lines += [_key(key) for key in found.keys]
    lines += _noticed(found)
    lines += [f"schemas differ: {output.shown(line, 200)}" for line in found.schema_differences]
    for failure in found.damaged[:DAMAGED_SHOWN]:
        lines += [f"damaged shard: {output.shown(failure.message, 300)}", f"  fix: {output.shown(failure.fix, 300)}"]
    more = len(found.damaged) - DAMAGED_SHOWN
    return lines + ([f"and {more:,} more damaged shards: see --json"] if more > 0 else [])


def _told(told: "Told", shards: int) -> list[str]:
    said = dict(told.provenance)
    of = "" if told.shards == shards else f" ({told.shards:,} of {shards:,} shards)"
    model = said.pop("model", None) or {}
    lines = [f"made by ncaudit {said.pop('ncaudit', '?')} {said.pop('verb', '')}{of}"]
    made_from = [_source(source) for source in (told.source, told.data) if source]
    if made_from:
        first = "" if told.shards == 1 else ", the first of them"
        lines.append(f"  from: {', made from '.join(made_from)}{first}")
    if model:
        heads = f", heads {str(model['heads'])[:12]}" if model.get("heads") else ""
        name = output.shown(str(model.get("name", "heads on embeddings from elsewhere")))
        lines.append(f"  model: {name}, weights {str(model.get('weight_hash', '?'))[:12]}{heads}")
    options = {name: value for name, value in (said.pop("options", None) or {}).items() if value is not None}
    if options:
        lines.append("  options: " + ", ".join(f"{name} {_value(value)}" for name, value in options.items()))
    rate = said.pop("noise_rate", None) or {}
    if rate.get("rate") is not None:
        interval = f" ({rate['low']:.1%} to {rate['high']:.1%})" if rate.get("low") is not None else ""
        lines.append(f"  noise rate: {rate['rate']:.1%}{interval}")
    short = {name: value for name, value in said.items() if isinstance(value, str | int | float)}
    return lines + [f"  {name}: {_value(value)}" for name, value in short.items()]


def _source(source: Any) -> str:
    return f"{output.shown(str(source.get('name')))} ({str(source.get('fingerprint'))[:16]})"


def _columns(found: "ShardsInspection") -> str:
    shown = [f"{output.shown(name)} ({kind})" for name, kind in list(found.columns.items())[:COLUMNS_SHOWN]]
    more = len(found.columns) - len(shown)
    return f"columns: {', '.join(shown)}" + (f" and {more:,} more" if more > 0 else "")


def _images(images: "Images") -> list[str]:
    sample = images.sample
    missing = f", {images.missing:,} rows without" if images.missing else ""
    held = {"bytes": "bytes", "struct": "bytes and path", "path": "paths of files"}[images.held]
    lines = [f"images: column {output.shown(images.column)} ({held}){missing}"]
    if sample.width and sample.height:
        kinds = ", ".join(f"{count} {name}" for name, count in sample.formats.items())
        sizes = f"width {_spread(sample.width)}, height {_spread(sample.height)}"
        lines.append(f"  {sample.read} of {sample.sampled} sampled: {kinds}; smallest/median/largest {sizes}")
    if sample.problems:
        first = output.shown(sample.first_problem or "", 160)
        lines.append(f"  in the sample: {_counts(sample.problems, sample.sampled)} (first: {first})")
    if sample.bordered:
        lines.append(
            "  all sampled are 256 x 256, many with white borders: img2dataset's default resize, which shifts CLIP "
            "scores; its --resize_mode keep_ratio does not"
        )
    return lines


def _captions(captions: "Captions") -> list[str]:
    several = ", several per row" if captions.several else ""
    lacks = f", {captions.null:,} null" * bool(captions.null) + f", {captions.blank:,} blank" * bool(captions.blank)
    others = f" (could be too: {', '.join(map(output.shown, captions.others))})" if captions.others else ""
    lines = [f"captions: column {output.shown(captions.column)}{several}{lacks}{others}"]
    return lines + [f"  {output.shown(example)}" for example in captions.examples]


def _key(key: "KeyColumn") -> str:
    told = [f"{key.repeated:,} rows repeat one"] * bool(key.repeated) + [f"{key.null:,} null"] * bool(key.null)
    return f"key: column {output.shown(key.column)}, {', '.join(told) or 'without repeats'}"


def _noticed(found: "ShardsInspection") -> list[str]:
    parts = {
        "prior scores": found.prior_scores,
        "addresses": (found.url,) if found.url else (),
        "classes": found.class_columns,
        "truth": found.truth_columns,
    }
    return [f"{what}: {', '.join(map(output.shown, names))}" for what, names in parts.items() if names]


def _next(found: "Inspection") -> list[str]:
    first = [f"first: {output.shown(line, 400)}" for line in found.first]
    return [*first, *(f"{'also' if i else 'next'}: {command}" for i, command in enumerate(found.next))]


def _counts(counts: Any, rows: int | None) -> str:
    """Each word with its count, and its share of the rows where it is not all of them."""
    share = {word: f" ({count / rows:.1%})" if rows and count < rows else "" for word, count in counts.items()}
    return ", ".join(f"{count:,} {output.shown(str(word))}{share[word]}" for word, count in counts.items())


def _spread(values: tuple[int, int, int]) -> str:
    return "/".join(map(str, values))


def _value(value: Any) -> str:
    return output.shown(f"{value:g}" if isinstance(value, float) else str(value), 200)


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"

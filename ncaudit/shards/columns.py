"""Which column of a shard holds the image, the caption and the key: by names and types, never by position.

Knows arrow schemas and the names that tools and releases use; nothing of what the rows hold.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.types as t

from ncaudit.errors import BadTable, UsageError
from ncaudit.nearest import did_you_mean
from ncaudit.options import DataOptions
from ncaudit.schema import carried_name
from ncaudit.shards.arrow_types import parquet_holds, repeated_names

# In order of preference; compared in lower case.
ENCODINGS = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tiff", "tif", "avif", "jp2", "jfif", "jpe")  # of img2dataset
IMAGES = ("image", "img", "image_bytes", "img_bytes", "image_data", "picture", "photo")
PATHS = (
    "image_path",
    "img_path",
    "image_file",
    "image",
    "img",
    "path",
    "filepath",
    "file_path",
    "file_name",
    "filename",
)
CAPTIONS = ("caption", "captions", "text", "txt", "top_caption", "title", "alt_text", "alt")
KEYS = ("uid", "sample_id", "key", "__key__", "id")
URLS = ("url", "urls", "image_url", "img_url")
FOLDER_KEYS = ("key", "__key__")  # img2dataset and webdataset count anew in every output folder

IMG2DATASET = frozenset({"status", "error_message"})  # together they are no user's own columns


FILES_KEY = b"files"  # of schema metadata: what a tar's samples have, in words


class ImageKind(StrEnum):
    """How a column holds its images."""

    bytes = "bytes"
    struct = "struct"  # struct<bytes, path>, as Hugging Face datasets writes it
    path = "path"


@dataclass(frozen=True)
class Columns:
    """What `read_rows` reads of one shard. types: of carried columns that are null throughout it: see `null_types`."""

    image: str
    kind: ImageKind
    many_images: bool  # a list per row: its first image is the pair's
    caption: str
    many_captions: bool  # several per row: one pair per caption
    key: str | None = None
    status: str | None = None  # img2dataset's: anything but "success" is a download that failed
    carried: tuple[str, ...] = ()
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    caption_fields: tuple[str, ...] = ()  # where the captions are below their column, if that holds structs
    caption_lines: bool = False  # whether each line is a caption


def refuse_unread_root(found: Iterable[Columns], image_root: str | None) -> None:
    """Raises UsageError where --image-root was given, and all shards hold the images themselves."""
    kinds = {columns.kind for columns in found}
    if image_root is not None and kinds == {ImageKind.bytes}:
        what = "--image-root says where relative paths of images start, and the images are in the files themselves"
        raise UsageError(what, fix="leave it out")


def find_columns(
    schema: pa.Schema,
    shard: str,
    options: DataOptions,
    *,
    key: str | None = None,
    carry: Sequence[str] | None = None,
    types: Mapping[str, pa.DataType] = MappingProxyType({}),
) -> Columns:
    """The columns of one shard. `options` name some of them; the rest are found.

    key: the column that pair ids come from, already decided (see `key_candidates`), or None.
    carry: light columns to carry; None for all of them, an empty list for none. types: those of columns that are null
    throughout this shard, where others have them.
    Columns that share a name are no fault while none of them is chosen.
    Raises BadTable naming the shard, what is missing or wrong, and the flag that settles it.
    """
    twins, schema = repeated_names(schema.names), _first_of_each(schema)
    image = _image(schema, shard, options.image_column)
    caption, *fields = _caption(schema, shard, options.caption_column)
    if key is not None:
        usable = key in schema.names and is_key(schema.field(key).type)
        _require(usable, f"{shard} has no column {key} that can name pairs", schema, "--key", key)
    kind, many_images = _image_kind(schema.field(image).type) or (ImageKind.path, False)
    columns = Columns(
        image=image,
        kind=kind,
        many_images=many_images,
        caption=caption,
        many_captions=options.caption_lines or _is_many(schema.field(caption).type, fields),
        key=key,
        status="status" if set(schema.names) >= IMG2DATASET and is_text(schema.field("status").type) else None,
        carried=_carried(schema, shard, {image, caption}, carry),
        types=types,
        caption_fields=tuple(fields),
        caption_lines=options.caption_lines,
    )
    _refuse_twins(twins, columns, shard)
    return columns


def carriable(schema: pa.Schema, carry: Sequence[str] | None) -> pa.Schema:
    """The columns that our tables may carry of this shard: those of `carry`, or all light ones."""
    fields = (schema.field(i) for i in range(len(schema)))
    return pa.schema([f for f in fields if (_is_light(f.type) if carry is None else f.name in carry)])


def not_carried(schema: pa.Schema) -> list[str]:
    """Light columns that are left out of our tables unasked, as no parquet file can hold them, each with its type."""
    return [f"{f.name} ({f.type})" for f in schema if _has_light_type(f.type) and not parquet_holds(f.type)]


def image_candidates(schema: pa.Schema) -> list[str]:
    """Columns that may hold the images, all for the same reason, which is the strongest there is."""
    return next((names for names in _image_candidates(schema) if names), [])


def caption_candidates(schema: pa.Schema) -> list[str]:
    """Columns that may hold the captions, the most telling name first: `find_columns` takes the first."""
    schema = _first_of_each(schema)
    named = [name for name in _by_name(schema, CAPTIONS) if _is_captions(schema.field(name).type)]
    return sorted(named, key=lambda name: _holds_bytes(schema.field(name).type))  # text before the bytes of text


def key_candidates(schema: pa.Schema, *, one_folder: bool) -> list[str]:
    """Columns that may name pairs, the most telling first. `key` counts only where all shards lie in one folder."""
    known = [name for name in KEYS if one_folder or name not in FOLDER_KEYS]
    schema = _first_of_each(schema)
    return [name for name in _by_name(schema, known) if is_key(schema.field(name).type)]


def is_key_name(name: str) -> bool:
    """Whether a column is called like one that names pairs."""
    return name.lower() in KEYS


def is_key(kind: pa.DataType) -> bool:
    """Whether values of this type can name a pair: text and whole numbers."""
    return is_text(kind) or t.is_integer(kind)


def carried_names(names: Sequence[str]) -> list[str]:
    """What the user's columns are called in our tables: as they were, or `input_NAME` where the name is ours.

    >>> carried_names(["url", "width", "input_width"])
    ['url', 'input_input_width', 'input_width']
    """
    kept = {name for name in names if carried_name(name) == name}
    renamed: list[str] = []
    for name in names:
        new = carried_name(name)
        while new != name and new in kept:
            new = f"input_{new}"
        kept.add(new)
        renamed.append(new)
    return renamed


def carried_type(kind: pa.DataType) -> pa.DataType:
    """The type of a carried column in our table: a dictionary's own values.

    An all-null column becomes text, where no other shard says what it is.
    """
    if t.is_dictionary(kind):
        return carried_type(kind.value_type)
    return pa.string() if t.is_null(kind) else kind


def _image(schema: pa.Schema, shard: str, named: str | None) -> str:
    if named is not None:
        _require(named in schema.names, f"{shard} has no column {named}", schema, "--image-column", named)
        kind = schema.field(named).type
        holds = _image_kind(kind) is not None
        _require(holds, f"{shard}: column {named} is {kind}, which holds no image", schema, "--image-column")
        return named
    candidates = image_candidates(schema)
    if len(candidates) > 1:
        several = ", ".join(candidates)
        raise BadTable(f"{shard} has several image columns ({several})", fix="name one with --image-column")
    if candidates:
        return candidates[0]
    raise BadTable(f"{shard} has no image column (found: {_found(schema)})", fix=_image_fix(schema))


def _image_fix(schema: pa.Schema) -> str:
    """How to name the images; in a tar, what to do where there is nothing to name."""
    kinds = {field.name: _image_kind(field.type) for field in schema}
    able = [name for name, kind in kinds.items() if kind and kind[0] is not ImageKind.path]
    if able:
        return f"name it with --image-column, such as --image-column {able[0]}"
    if urls := _by_name(schema, URLS):
        return f"the images are still at the addresses in column {urls[0]}: download them, for example with img2dataset"
    if FILES_KEY in (schema.metadata or {}):
        return "write the images of a tar as KEY.jpg (or .png, .webp, …) with no other dot in their names"
    return "name it with --image-column"


def _image_candidates(schema: pa.Schema) -> Iterable[list[str]]:
    """Ever weaker reasons to take a column for the image."""
    declared = _declared_images(schema)
    yield [f.name for f in schema if f.name in declared and _image_kind(f.type)]
    yield [f.name for f in schema if (_image_kind(f.type) or (None,))[0] is ImageKind.struct]
    binary = pa.schema([f for f in schema if (_image_kind(f.type) or (None,))[0] is ImageKind.bytes])
    yield _by_name(binary, ENCODINGS)
    yield _by_name(binary, IMAGES)[:1]
    text = pa.schema([f for f in schema if is_text(f.type)])
    yield _by_name(text, PATHS)[:1]


def _declared_images(schema: pa.Schema) -> set[str]:
    """The columns that Hugging Face's own metadata calls images."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name for name, feature in features.items() if _is_image_feature(feature)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return set()


def _is_image_feature(feature: Any) -> bool:
    if isinstance(feature, list):  # how older releases write a list of images
        return len(feature) == 1 and _is_image_feature(feature[0])
    inner = feature.get("feature")
    return feature.get("_type") == "Image" or (inner is not None and _is_image_feature(inner))


def _caption(schema: pa.Schema, shard: str, named: str | None) -> tuple[str, ...]:
    """The caption's column, and the fields below it that lead to the captions."""
    if named is not None:
        column, *fields = way = _way(schema, named)
        _require(column in schema.names, f"{shard} has no column {named}", schema, "--caption-column", column)
        kind = _type_at(schema.field(column).type, fields)
        if kind is None or not _is_captions(kind):
            what = f"{shard}: column {named} is {kind or schema.field(column).type}, which holds no caption"
            raise BadTable(f"{what} (found: {_found(schema)})", fix=_field_fix(schema, [column]))
        return way
    candidates = caption_candidates(schema)
    if not candidates:
        fix = _caption_fix(schema)
        raise BadTable(f"{shard} has no caption column (found: {_found(schema)})", fix=fix)
    return (candidates[0],)


def _way(schema: pa.Schema, named: str) -> tuple[str, ...]:
    """A column's name, or one with fields below it behind dots: the longest name that is a column."""
    parts = named.split(".")
    for count in range(len(parts), 0, -1):
        if (column := ".".join(parts[:count])) in schema.names:
            return (column, *parts[count:])
    return (named,)


def _type_at(kind: pa.DataType, fields: Sequence[str]) -> pa.DataType | None:
    """The type of a field below structs, or lists of structs; None where there is none."""
    for place, name in enumerate(fields):
        if is_list(kind):
            inner = _type_at(kind.value_type, fields[place:])
            return None if inner is None or is_list(inner) else pa.list_(inner)
        if not t.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind


def _is_many(kind: pa.DataType, fields: Sequence[str]) -> bool:
    return is_list(_type_at(kind, fields) or kind)


def _caption_fix(schema: pa.Schema) -> str:
    """How to name the captions; in a tar without any column of text, what to do where there is nothing to name."""
    names = _by_name(schema, CAPTIONS)
    texts = [f.name for f in schema if is_text(f.type) and f.name.lower() not in KEYS]
    if FILES_KEY in (schema.metadata or {}) and not names and not texts:
        return "write the captions of a tar as KEY.txt, or in a field of KEY.json, with no other dot in their names"
    if not names and FILES_KEY in (schema.metadata or {}):
        return f"name it with --caption-column, such as --caption-column {texts[0]}"
    return _field_fix(schema, names or schema.names)


def _field_fix(schema: pa.Schema, names: Sequence[str]) -> str:
    """How to name the captions; where some are in structs, by an example that works."""
    examples = [way for name in names if name in schema.names for way in _text_fields(name, schema.field(name).type)]
    shown = f", such as --caption-column {' or '.join(examples[:2])}" if examples else ""
    return f"name it with --caption-column{shown}"


def _text_fields(way: str, kind: pa.DataType) -> list[str]:
    """The fields below a column that hold text, as they are named."""
    kind = kind.value_type if is_list(kind) else kind
    if not t.is_struct(kind):
        return []
    fields = [kind.field(i) for i in range(kind.num_fields)]
    own = [f"{way}.{field.name}" for field in fields if is_text(field.type)]
    return [*own, *(found for field in fields for found in _text_fields(f"{way}.{field.name}", field.type))]


def _carried(schema: pa.Schema, shard: str, taken: set[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    if wanted is None:
        return tuple(f.name for f in schema if f.name not in taken and _is_light(f.type))
    for name in wanted:
        _require(name in schema.names, f"{shard} has no column {name}", schema, "--columns", name)
        kind = schema.field(name).type
        light = not _is_heavy(kind)
        _require(light, f"{shard}: column {name} holds bytes, and tables carry light columns only", schema, "--columns")
        if not parquet_holds(kind):
            raise BadTable(
                f"{shard}: column {name} is {kind}, which no table in parquet can hold",
                fix="leave it out of --columns, or write it as text",
            )
    return tuple(f.name for f in schema if f.name in set(wanted) - taken)


def _by_name(schema: pa.Schema, known: Sequence[str]) -> list[str]:
    """The schema's columns that carry a known name, in the order of `known`, whatever their case."""
    lower = {name: [f.name for f in schema if f.name.lower() == name] for name in known}
    return [column for name in known for column in dict.fromkeys(lower[name])]


def _image_kind(kind: pa.DataType) -> tuple[ImageKind, bool] | None:
    """How a column of this type would hold images, and whether it holds a list of them; None if it cannot."""
    if is_list(kind):
        inner = _image_kind(kind.value_type)
        return None if inner is None or inner[1] else (inner[0], True)
    if _is_binary(kind) or t.is_null(kind):  # a shard whose downloads all failed has a column of nulls
        return ImageKind.bytes, False
    if t.is_struct(kind) and min(kind.get_field_index("bytes"), kind.get_field_index("path")) >= 0:
        holds = kind.field("bytes").type
        fits = _is_binary(holds) or t.is_null(holds) or is_text(holds)  # in JSON lines they are base64 text
        return (ImageKind.struct, False) if fits else None
    return (ImageKind.path, False) if is_text(kind) else None


def _is_captions(kind: pa.DataType) -> bool:
    kind = kind.value_type if is_list(kind) else kind
    return is_text(kind) or t.is_null(kind) or _is_binary(kind)  # text may be held as its bytes


def _holds_bytes(kind: pa.DataType) -> bool:
    return _is_binary(kind.value_type if is_list(kind) else kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(t.is_binary(kind) or t.is_large_binary(kind) or t.is_binary_view(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds text, in any of arrow's ways to hold it."""
    if t.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_string_view(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, in any of arrow's ways that a file can hold."""
    return bool(t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind))


def _is_light(kind: pa.DataType) -> bool:
    return _has_light_type(kind) and parquet_holds(kind)


def _has_light_type(kind: pa.DataType) -> bool:
    return not (_is_binary(kind) or t.is_nested(kind))


def _is_heavy(kind: pa.DataType) -> bool:
    """Whether a column that the user asks for by name could still not be meant: images, in whatever wrapping."""
    if t.is_nested(kind):
        return any(_is_heavy(kind.field(i).type) for i in range(kind.num_fields))
    return _is_binary(kind)


def _first_of_each(schema: pa.Schema) -> pa.Schema:
    """The schema with one column of each name."""
    places = sorted({name: place for place, name in reversed([*enumerate(schema.names)])}.values())
    return schema if len(places) == len(schema) else pa.schema([schema.field(i) for i in places], schema.metadata)


def _refuse_twins(twins: Sequence[str], columns: Columns, shard: str) -> None:
    chosen = {columns.image, columns.caption, columns.key, columns.status, *columns.carried}
    if asked := [name for name in twins if name in chosen]:
        raise BadTable(
            f"{shard} has two columns {asked[0]}",
            fix="rename one, or carry others with --columns: columns are known by their names",
        )


def _require(holds: bool, what: str, schema: pa.Schema, flag: str, missing: str | None = None) -> None:
    """missing: a name that is not there, where that is what is wrong."""
    if not holds:
        others = () if missing is None or missing in schema.names else schema.names
        fix = f"{did_you_mean(missing or '', others)}name it with {flag}"
        raise BadTable(f"{what} (found: {_found(schema)})", fix=fix)


def _found(schema: pa.Schema) -> str:
    files = (schema.metadata or {}).get(FILES_KEY, b"").decode()
    return (", ".join(schema.names) or "no columns") + (f"; files: {files}" if files else "")

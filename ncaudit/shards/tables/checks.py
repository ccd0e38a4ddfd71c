"""Checks that every table of ours passes once, and what its columns are. Knows arrow types; nothing of embeddings."""

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ncaudit.errors import BadTable
from ncaudit.nearest import did_you_mean
from ncaudit.schema import IDENTITY, SCORE
from ncaudit.shards.arrow_types import parquet_holds

EMBEDDINGS = frozenset(["image_embedding", "text_embedding"])
SCORED = frozenset(SCORE.names) - {*IDENTITY.names, "status"}
ALWAYS_THERE = frozenset([*IDENTITY.names, "status"])


def require_column(path: str, schema: pa.Schema, name: str, fix: str | None = None) -> None:
    """Raises BadTable, listing what is there, unless the table has the column.

    fix: what to do; None: what the table's columns suggest.
    """
    if name not in schema.names:
        found = ", ".join(schema.names) or "none"
        raise BadTable(f"{path} has no column {name} (found: {found})", fix=_fix(path, schema, name, fix))


def _fix(path: str, schema: pa.Schema, name: str, fix: str | None) -> str:
    return _remedy(path, schema, name) if fix is None else did_you_mean(name, schema.names) + fix


def refuse_unscored(path: str, schema: pa.Schema) -> None:
    """Raises BadTable where embeddings were given for scores."""
    if is_unscored(schema):
        raise BadTable(f"{path} holds embeddings, and no scores yet", fix=_score_first(path))


def is_unscored(schema: pa.Schema) -> bool:
    """Whether these are embeddings that nobody has scored."""
    return EMBEDDINGS <= set(schema.names) and not {"score", "soft_label"} & set(schema.names)


def _remedy(path: str, schema: pa.Schema, name: str) -> str:
    """What helps whoever gave a table for another, or a name that is not there."""
    if name in SCORED and is_unscored(schema):
        return _score_first(path)
    if name in ("pair_id", "status"):
        return "give score tables: `ncaudit embed` and then `ncaudit score` make them of a dataset"
    if name in SCORED:
        return f"give score tables that have {name}, as `ncaudit score` writes them"
    return f"{did_you_mean(name, schema.names)}name a column that is there"


def _score_first(path: str) -> str:
    if path == "standard input":
        return "score them first: ncaudit score - --out - | …"
    folder = path.rpartition("/")[0] or path
    return f"score them first: ncaudit score {shlex.quote(folder)} --out scores/; and give scores/"


def common_schema(tables: Sequence[tuple[str, pa.Schema]]) -> pa.Schema:
    """The columns of one table that is to hold these, told by path and schema.

    Raises BadTable when a column has two types that fit into no third.
    """
    first, common = tables[0]
    for path, schema in tables[1:]:
        try:
            common = pa.unify_schemas([common, schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise BadTable(
                f"{first} and {path} do not fit into one table: {str(error).splitlines()[0]}",
                fix="give a folder with --out, which writes one file per table",
            ) from error
    return common


def cast_to(kind: pa.DataType, column: pa.Array, name: str, place: str) -> pa.Array:
    """A column in the type that it has in a table for all. Raises BadTable where a value of it would change."""
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise BadTable(
            f"{place}: {name} is {column.type} there and {kind} in one table for all, which changes values:"
            f" {str(error).splitlines()[0]}",
            fix="give a folder with --out, which writes one file per table",
        ) from error


def require_word(path: str, schema: pa.Schema, name: str) -> None:
    """Raises BadTable where the column is there but holds neither text nor whole numbers."""
    if name in schema.names and not is_word(schema.field(name).type):
        raise BadTable(f"{path}: {name} is {schema.field(name).type}, not a string", fix="rename or convert the column")


def is_word(kind: pa.DataType) -> bool:
    """Text, or whole numbers that may serve as text."""
    if pa.types.is_dictionary(kind):
        return is_word(kind.value_type)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(text or pa.types.is_integer(kind))


def is_light(kind: pa.DataType) -> bool:
    """Whether a column of this type is carried along unasked: no bytes, lists or structs, and nothing that no table
    can hold.
    """
    return not is_binary(kind) and not pa.types.is_nested(kind) and parquet_holds(kind)


def is_binary(kind: pa.DataType) -> bool:
    """Bytes of any width."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def is_present(column: pa.Array) -> npt.NDArray[np.bool_]:
    """(n,): the entry is not null."""
    present: npt.NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    return present


def strings(batch: pa.RecordBatch, name: str) -> list[Any] | None:
    """A column's entries as text, None for null ones; None where there is no such column."""
    if name not in batch.schema.names:
        return None
    values: list[Any] = words_of(batch[name]).to_pylist()
    return values


def words_of(column: pa.Array) -> pa.Array:
    """Every value of a column that `is_light` as text, different ones differently, whatever their size or zone."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz:
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:  # a zone that is not known here
            return column.cast(pa.int64()).cast(pa.timestamp(kind.unit)).cast(pa.string())
    return column.cast(pa.string())


def require_plain(path: str, schema: pa.Schema, name: str, flag: str) -> None:
    """Raises BadTable unless the table has the column, and its values are text, numbers, dates or the like."""
    require_column(path, schema, name)
    kind = schema.field(name).type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not is_light(kind):
        raise BadTable(f"{path}: {name} is {kind}", fix=f"name a column of text, numbers or dates with {flag}")

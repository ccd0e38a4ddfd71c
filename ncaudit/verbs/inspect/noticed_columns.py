"""Columns worth a word, by their names and types: addresses, prior scores, classes, known truth. Knows schemas only."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as t

from ncaudit.shards.columns import URLS

PRIOR = re.compile(r"similarity|clip.*score|score$|punsafe|pwatermark|aesthetic", re.IGNORECASE)
CLASSES = ("label", "labels", "class", "classes", "class_label", "category", "categories", "topic", "tags", "genre")
TRUTHS = ("is_match", "match", "matches", "is_correct", "correct")


@dataclass(frozen=True)
class NoticedColumns:
    """Names of columns, in the schema's order."""

    urls: tuple[str, ...]
    prior_scores: tuple[str, ...]  # numbers called like a score
    classes: tuple[str, ...]
    truths: tuple[str, ...]  # whether a pair belongs together


def noticed_columns(schema: pa.Schema, ours: Collection[str]) -> NoticedColumns:
    """What is worth a word in a table of which the columns `ours` are ncaudit's own."""
    theirs = pa.schema([field for field in schema if field.name not in ours])
    priors = tuple(f.name for f in theirs if PRIOR.search(f.name) and (t.is_floating(f.type) or t.is_integer(f.type)))
    return NoticedColumns(_named(theirs, URLS), priors, _named(theirs, CLASSES), _named(theirs, TRUTHS))


def _named(schema: pa.Schema, known: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in schema.names if name.lower() in known)

"""A column that is null throughout a shard has the type that others have; what was settled once stays."""

import pyarrow as pa
import pytest

from ncaudit.shards.arrow_types import typeless
from ncaudit.shards.dataset.null_types import as_text, filled, from_text, has_null, settled_types, types_of_nulls

NULL, INT, TEXT = pa.null(), pa.int64(), pa.string()


def schema(*kinds, **named):
    return pa.schema([*zip("abcdef", kinds, strict=False), *named.items()])


@pytest.mark.parametrize("order", [1, -1])
def test_the_type_is_that_of_the_shards_that_have_one_in_whatever_order(order):
    shards = [schema(NULL, NULL), schema(INT, NULL), schema(NULL, pa.timestamp("us", "UTC"))][::order]
    assert settled_types(shards, {}) == {"a": INT, "b": pa.timestamp("us", "UTC")}


def test_what_no_shard_shows_is_text_and_a_column_of_one_shard_alone_counts_too():
    assert settled_types([schema(NULL), schema(x=INT)], {}) == {"a": TEXT, "x": INT}


def test_of_several_types_the_first_shard_settles_it():
    assert settled_types([schema(NULL), schema(pa.int32()), schema(TEXT)], {}) == {"a": pa.int32()}


def test_what_is_known_stays_whatever_has_come_since():
    assert settled_types([schema(INT, INT)], {"a": TEXT}) == {"a": TEXT, "b": INT}
    assert settled_types([schema(INT)], {"gone": INT})["gone"] == INT


def test_a_dictionary_settles_its_values_type():
    assert settled_types([schema(NULL), schema(pa.dictionary(pa.int8(), TEXT))], {}) == {"a": TEXT}


STRUCT = pa.struct([("a", INT), ("b", TEXT)])


@pytest.mark.parametrize(
    ("kind", "other", "both"),
    [
        (NULL, pa.list_(INT), pa.list_(INT)),
        (pa.list_(NULL), pa.list_(INT), pa.list_(INT)),
        (pa.large_list(NULL), pa.list_(INT), pa.large_list(INT)),
        (pa.list_(NULL, 3), pa.list_(INT), pa.list_(INT, 3)),
        (pa.list_(pa.list_(NULL)), pa.list_(pa.list_(INT)), pa.list_(pa.list_(INT))),
        (pa.struct([("b", NULL), ("c", NULL)]), STRUCT, pa.struct([("b", TEXT), ("c", NULL)])),
        (pa.struct([("b", NULL), ("a", TEXT)]), STRUCT, pa.struct([("b", TEXT), ("a", TEXT)])),
        (pa.list_(pa.struct([("a", NULL)])), pa.list_(STRUCT), pa.list_(pa.struct([("a", INT)]))),
        (pa.map_(TEXT, NULL), pa.map_(TEXT, INT), pa.map_(TEXT, INT)),
        (pa.list_(NULL), INT, pa.list_(NULL)),
        (pa.int32(), INT, pa.int32()),
    ],
)  # fmt: skip
def test_only_what_a_type_leaves_open_is_filled(kind, other, both):
    assert filled(kind, other) == both
    assert has_null(kind) is (kind != pa.int32())


def test_a_shard_is_given_the_types_of_its_open_columns_and_of_no_others():
    types = {"a": INT, "b": INT, "c": TEXT, "d": pa.list_(INT)}
    assert types_of_nulls(schema(NULL, pa.int32(), NULL, pa.list_(NULL), NULL), types) == {"a": INT, "d": pa.list_(INT)}


def test_a_guess_of_a_format_without_types_is_open_as_well():
    guessed = pa.schema([typeless(pa.field("a", TEXT)), pa.field("b", TEXT)])
    assert settled_types([guessed, schema(INT, INT)], {}) == {"a": INT, "b": TEXT}
    assert types_of_nulls(guessed, {"a": INT, "b": INT}) == {"a": INT}


def test_every_type_comes_back_from_a_record_and_no_damaged_record_does_harm():
    kinds = [pa.timestamp("ns", "Europe/Berlin"), pa.decimal256(70, 3), STRUCT, pa.map_(TEXT, pa.list_(INT, 2)), TEXT]
    types = {f"column {i}": kind for i, kind in enumerate(kinds)}
    assert from_text(as_text(types)) == types
    assert as_text(types) == as_text(dict(reversed(types.items())))
    for damaged in (None, 7, "", "%", as_text(types)[:-20], "AAAA"):
        assert from_text(damaged) == {}

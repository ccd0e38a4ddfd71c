"""Types that fit every object, whatever order they come in, and no value lost."""

import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.shards.readers.text.json_fields import JsonFields, json_column

WORDS = st.none() | st.text(max_size=3)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), st.text(max_size=5),
    st.lists(WORDS, max_size=3), st.dictionaries(st.text(max_size=2), st.integers()),
)  # fmt: skip


def types_of(*values):
    fields = JsonFields()
    for value in values:
        fields.see({"x": value})
    return fields.types["x"]


def test_each_mixture_has_its_type():
    assert types_of(None, None) == pa.string()
    assert types_of(None, 3, 4) == pa.int64()
    assert types_of(3, None, 0.5) == pa.float64()
    assert types_of(True, False) == pa.bool_()
    assert types_of(True, 1) == pa.string()
    assert types_of(1, "1") == pa.string()
    assert types_of(2**63, 0) == pa.uint64()
    assert types_of(2**64) == types_of(2**63, -1) == types_of(2**63, 0.5) == pa.string()
    assert types_of(2**53, 0.5) == pa.float64()
    assert types_of(2**53 + 1, 0.5) == types_of(0.5, -(2**53) - 1) == pa.string()  # a float would change it
    assert types_of(["a"], None, []) == pa.list_(pa.string())
    assert types_of(["a"], [1]) == pa.string()
    assert types_of({"a": 1}) == pa.string()


def test_fields_are_in_the_order_in_which_they_were_met():
    fields = JsonFields()
    for values in ({"b": 1}, {"a": None, "b": 2}, {"c": 1.5}):
        fields.see(values)
    assert list(fields.types) == ["b", "a", "c"]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(VALUES, min_size=1, max_size=6))
def test_a_column_holds_what_the_objects_said(values):
    kind = types_of(*values)
    assert types_of(*reversed(values)) == kind
    column = json_column(values, kind)
    for value, shown in zip(values, column.to_pylist(), strict=True):
        if value is None or isinstance(value, str) or not pa.types.is_string(kind):
            assert shown == (value if kind != pa.float64() or value is None else float(value))
        else:
            assert json.loads(shown) == value


def test_half_a_surrogate_pair_becomes_a_replacement_character():
    assert json_column(["a\ud800b", None], pa.string()).to_pylist() == ["a\ufffdb", None]
    assert json_column([["\udfff"], None], pa.list_(pa.string())).to_pylist() == [["\ufffd"], None]


def test_objects_of_strings_stay_objects_under_the_names_that_may_have_fields():
    values = [{"en": "a", "de": None}, None, {"en": "b\ud800", "fr": "c"}]
    fields = JsonFields(may_have_fields=["caption"])
    for value in values:
        fields.see({"caption": value, "meta": value})
    kind = pa.struct([("en", pa.string()), ("de", pa.string()), ("fr", pa.string())])
    assert fields.types == {"caption": kind, "meta": pa.string()}
    found = json_column(values, kind).to_pylist()
    assert found == [{"en": "a", "de": None, "fr": None}, None, {"en": "b\ufffd", "de": None, "fr": "c"}]
    fields.see({"caption": "one in no language"})
    assert fields.types["caption"] == pa.string()

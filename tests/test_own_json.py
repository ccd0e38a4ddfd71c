"""Our own JSON is read as what may have become of it: one reader, bounded in size and depth, that knows the shape."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncaudit import own_json
from ncaudit.errors import BadTable

RATE = {"rate": float, "pairs?": int, "shards": {...: str}, "notes": [str], "of": (None, {"name": str})}
WHOLE = {"rate": 0.25, "pairs": 3, "shards": {"a": "1-2"}, "notes": ["x"], "of": None}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def file(folder, text):
    """Its path."""
    path = folder / "state.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_what_was_written_is_read(tmp_path):
    assert own_json.read(file(tmp_path, json.dumps(WHOLE)), RATE, fix="") == WHOLE


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": "0.25"}, {"rate": True}, {"rate": 10**400}, {"pairs": 1.5}, {"pairs": 2**63}, {"pairs": None},
        {"shards": {"a": 1}}, {"shards": []}, {"notes": [1]}, {"notes": {}}, {"of": {}}, {"of": []},
    ],
)  # fmt: skip
def test_a_value_of_another_kind_is_damage(tmp_path, changes):
    with pytest.raises(BadTable, match=r"state\.json is damaged: it is no JSON of the kind that belongs there"):
        own_json.read(file(tmp_path, json.dumps({**WHOLE, **changes})), RATE, fix="")


def test_a_name_may_be_missing_only_where_the_shape_says_so():
    assert own_json.fits({name: value for name, value in WHOLE.items() if name != "pairs"}, RATE)
    assert not own_json.fits({name: value for name, value in WHOLE.items() if name != "rate"}, RATE)


def test_names_that_another_version_added_are_no_damage():
    assert own_json.fits({**WHOLE, "younger": [1]}, RATE)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "Expecting value"),
        (b"{", "Expecting property name"),
        (b"[]", "no JSON of the kind"),
        (b'{"a": \xff}', "can't decode"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested too deeply"),
        (b"[" + b"9" * 5000 + b"]", "Exceeds the limit"),
    ],
)
def test_damage_is_told_with_the_file_and_the_fix(tmp_path, text, why):
    path = file(tmp_path, text)
    with pytest.raises(BadTable) as told:
        own_json.read(path, fix="fit anew")
    assert told.value.message.startswith(f"{path} is damaged: ")
    assert why in told.value.message
    assert told.value.fix == "fit anew"
    assert own_json.known(path) is None
    assert own_json.is_damaged(path)


def test_a_file_that_is_too_long_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(own_json, "MOST_BYTES", 20)
    assert own_json.known(file(tmp_path, '{"a": 1}')) == {"a": 1}
    assert own_json.known(file(tmp_path, json.dumps({"a": "x" * 20}))) is None


def test_a_folder_in_its_place_is_damage_and_nothing_is_none(tmp_path):
    assert own_json.is_damaged(str(tmp_path))
    assert not own_json.is_damaged(str(tmp_path / "absent"))


@given(value=JSON)
def test_no_value_whatever_raises_anything_but_damage(value):
    try:
        assert own_json.fits(own_json.parsed(json.dumps(value), RATE), RATE)
    except ValueError:
        assert not own_json.fits(value, RATE)


@pytest.mark.parametrize("encode", [str, str.encode])
def test_it_is_deep_by_its_levels_and_not_by_its_brackets(encode):
    def nested(levels):
        return encode("[" * levels + "]" * levels)

    assert own_json.parsed(nested(own_json.DEEPEST), own_json.Any)
    with pytest.raises(ValueError, match="too deeply"):
        own_json.parsed(nested(own_json.DEEPEST + 1), own_json.Any)
    many = json.dumps(["[" * 200, *([[]] * 200)])
    assert own_json.parsed(encode(many), own_json.Any) == json.loads(many)

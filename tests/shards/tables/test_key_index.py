"""A key is found where it stands, whichever way it is looked up."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.errors import BadTable
from ncaudit.shards.tables.key_index import MANY, NOWHERE, KeyIndex, OnceEach

KEYS = st.lists(st.sampled_from(["a", "b", "é", "", "1", None]), max_size=40)


def first_places(keys, wanted):
    return [keys.index(key) if key is not None and key in keys else NOWHERE for key in wanted]


@settings(deadline=None)
@given(KEYS, KEYS)
def test_many_keys_and_one_after_the_other_are_found_in_the_same_places(keys, wanted):
    index, names = KeyIndex(pa.array(keys, pa.string())), pa.array(wanted, pa.string())
    alone = [place for at in range(len(names)) for place in index.places(names.slice(at, 1)).tolist()]
    assert index.places(names).tolist() == first_places(keys, wanted) == alone
    assert index.places(names).dtype == np.int64


def test_few_keys_among_many_do_not_make_arrow_hash_all_of_them_anew(monkeypatch):
    index, asked = KeyIndex([str(number) for number in range(100)]), []
    own = pa.compute.index_in
    monkeypatch.setattr(
        pa.compute, "index_in", lambda keys, **value_set: asked.append(len(keys)) or own(keys, **value_set)
    )
    assert index.places(["7"] * (100 // MANY - 1)).tolist() == [7] * (100 // MANY - 1)
    assert asked == []
    assert index.places(["7"] * (100 // MANY)).tolist() == [7] * (100 // MANY)
    assert asked == [100 // MANY]


@pytest.mark.parametrize("rows", [3, 300])
def test_a_null_is_no_key(rows):
    index = KeyIndex(pa.array([None, "a", *["b"] * rows]))
    assert index.places(pa.array([None, "a"], pa.string())).tolist() == [NOWHERE, 1]
    assert index.knows(pa.array([None, "b"], pa.string())).tolist() == [False, True]


@pytest.mark.parametrize(
    "keys",
    [
        pa.array([8, 7], pa.int32()),
        pa.array(["8", "7"]).dictionary_encode(),
        pa.chunked_array([["8"], ["7"]]),
        pa.array(["8", "7"], pa.string_view()),
        ["8", "7"],
    ],
    ids=["numbers", "categories", "chunks", "views", "a list"],
)
def test_keys_of_any_type_are_compared_as_text(keys):
    assert KeyIndex(keys).places(["7", "07"]).tolist() == [1, NOWHERE]
    assert KeyIndex(["7", "x"]).places(keys).tolist() == [NOWHERE, 0]


@settings(deadline=None)
@given(KEYS)
def test_the_first_key_that_is_there_again_is_the_repeated_one(keys):
    again = [key for key in dict.fromkeys(keys) if key is not None and keys.count(key) > 1]
    assert KeyIndex(pa.array(keys, pa.string())).repeated == (again[0] if again else None)


@settings(deadline=None)
@given(KEYS, KEYS)
def test_a_key_asked_for_again_is_the_next_row_that_has_it(keys, wanted):
    left = {key: [at for at, own in enumerate(keys) if own == key] for key in keys if key is not None}
    turns = [left[key].pop(0) if left.get(key) else NOWHERE for key in wanted]
    assert KeyIndex(pa.array(keys, pa.string())).places_in_turn(pa.array(wanted, pa.string())).tolist() == turns


def test_a_row_tells_its_key():
    index = KeyIndex(["a", "b"])
    assert (len(index), index.key(1)) == (2, "b")


def test_a_repeat_is_refused_with_the_key_and_two_rows_that_have_it():
    KeyIndex(["a", "b", None]).refuse_repeats("t.parquet")
    with pytest.raises(BadTable, match=r"t\.parquet has the uid 'b' more than once \(rows 1 and 3\)"):
        KeyIndex(["c", "b", "a", "b", "a"]).refuse_repeats("t.parquet", "uid")


def test_a_row_is_found_once_whether_in_one_look_or_in_several():
    taken = OnceEach(KeyIndex(["a", "b", "c"]), "emb.parquet")
    taken.take(np.array([2, NOWHERE, NOWHERE, 0]))
    assert taken.found.tolist() == [True, False, True]
    for again in ([1, 1], [0]):
        with pytest.raises(BadTable, match=r"emb\.parquet has the pair_id '[ab]' in several rows"):
            taken.take(np.array(again))

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.shards.tables.repeats.counts import ARRAYS, Repeats, count_pairs, count_part
from ncaudit.shards.tables.repeats.spread import Spread, bits_for
from tests.worlds.repeats import NUMBERS, arrays

PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=60)


def counted(spread, blocks):
    """What all parts give, one behind the other."""
    found = [count_part(*spread.read(part, blocks, 2)).arrays for part in range(spread.parts)]
    return Repeats.of_arrays([np.concatenate([part[number] for part in found]) for number in range(ARRAYS)])


@settings(deadline=None, max_examples=40)
@given(pairs=PAIRS, bits=st.sampled_from([0, 1, 3]), cut=st.integers(0, 60))
def test_parts_of_blocks_give_what_all_rows_in_memory_give(tmp_path_factory, pairs, bits, cut):
    spread = Spread(str(tmp_path_factory.mktemp("blocks")), bits, "these")
    image, caption = arrays(pairs)
    rows = np.stack([image, caption], axis=1)
    for number, some in enumerate((rows[:cut], rows[cut:])):
        spread.write(number, [some, some[:, ::-1]])
    for ours, plain in zip(counted(spread, 2).arrays, count_pairs([(image, caption)]).arrays, strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_a_block_is_there_only_as_it_was_asked_for(tmp_path):
    spread = Spread(str(tmp_path), 1, "these")
    spread.write(3, [np.array([[1, 2]])])
    assert spread.has(3, 1)
    assert not spread.has(2, 1)
    assert not spread.has(3, 2)
    assert not Spread(str(tmp_path), 1, "others").has(3, 1)
    assert not Spread(str(tmp_path), 2, "these").has(3, 1)


def test_a_block_that_was_cut_is_told(tmp_path):
    spread = Spread(str(tmp_path), 0, "these")
    spread.write(0, [np.array([[1, 2], [3, 4]])])
    path = tmp_path / "block-000000.bin"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="ends before"):
        spread.read(0, 1, 1)


def test_what_was_written_goes_and_nothing_else(tmp_path):
    spread = Spread(str(tmp_path / "blocks"), 0, "these")
    spread.write(0, [np.array([[1, 2]])])
    (tmp_path / "blocks/mine.txt").write_text("mine")
    spread.clear()
    assert [path.name for path in (tmp_path / "blocks").iterdir()] == ["mine.txt"]
    (tmp_path / "blocks/mine.txt").unlink()
    spread.clear()
    assert not (tmp_path / "blocks").exists()


def test_parts_have_about_a_million_rows_up_to_a_thousand_million_in_all():
    assert [bits_for(rows) for rows in (10, 1 << 20, 100 << 20, 1 << 30, 1 << 40)] == [0, 1, 7, 10, 10]

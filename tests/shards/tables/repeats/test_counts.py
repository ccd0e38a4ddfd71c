import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ncaudit.shards.tables.repeats.counts import count_pairs, count_part
from tests.worlds.repeats import NUMBERS, all_counts, arrays, counted_plainly

PAIRS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=60)


@settings(deadline=None, max_examples=60)
@given(pairs=PAIRS, cuts=st.lists(st.integers(0, 60), max_size=3))
def test_counts_are_those_of_a_plain_counter(pairs, cuts):
    image, caption = arrays(pairs)
    pieces = list(zip(np.split(image, sorted(cuts)), np.split(caption, sorted(cuts)), strict=True))
    assert all_counts(count_pairs(pieces), image, caption) == counted_plainly(pairs)


@settings(deadline=None, max_examples=60)
@given(pairs=PAIRS, other=PAIRS)
def test_pairs_that_were_not_counted_are_told_as_met_once(pairs, other):
    known = count_pairs([arrays(pairs)])
    image, caption = arrays(other)
    met = counted_plainly(pairs)["pairs"]
    of = dict(zip(pairs, met, strict=True))
    assert known.pair_count(image, caption).tolist() == [of.get(pair, 1) for pair in other]


def test_what_was_never_met_or_met_once_counts_as_one_and_is_not_kept():
    repeats = count_pairs([(np.array([7, 7, 8]), np.array([1, 2, 3]))])
    assert repeats.images.ids.tolist() == [7]
    assert len(repeats.captions.ids) == len(repeats.pairs.rows) == 0
    strange = np.array([8, 99])
    assert all_counts(repeats, strange, strange) == {
        "images": [1, 1], "captions": [1, 1], "captions of image": [1, 1], "images of caption": [1, 1], "pairs": [1, 1]
    }  # fmt: skip


def test_a_part_tells_its_own_photos_and_captions_alone():
    # photo 7 comes twice with caption 1, and once with 2; caption 1 comes with photos 7 and 8, which is not of the part
    by_image = np.array([[7, 1], [7, 2], [7, 1]])
    by_caption = np.array([[1, 7], [1, 8], [1, 7]])
    assert [array.tolist() for array in count_part(by_image, by_caption).arrays] == [
        [7], [3], [2],
        [1], [3], [2],
        [7], [1], [2],
    ]  # fmt: skip

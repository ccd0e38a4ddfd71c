"""Rows that belong together: known groups, in a known order, whatever batches they come in."""

import pickle

import pyarrow as pa
import pytest

from ncaudit.judging.galleries.groups import DUPLICATES, GENERIC_CAPTIONS, PLACEHOLDER_IMAGES, Groups


def rows(*told: tuple[str, str, int, int, str]) -> pa.RecordBatch:
    """reason, caption, caption_count, image_count, image_anchor of each row."""
    columns = zip(*told, strict=True)
    names = ("reason", "caption", "caption_count", "image_count", "image_anchor")
    data = dict(zip(names, map(list, columns), strict=True))
    return pa.RecordBatch.from_pydict({"pair_id": [str(i) for i in range(len(told))], **data})


GENERIC = rows(
    *[("generic_caption", "photo", 12, 1, "x")] * 3,
    *[("generic_caption", "image", 30, 1, "y")] * 5,
    ("mismatch", "photo", 12, 1, "x"),
    ("generic_caption", "photo", 12, 1, "z"),
)


def found(grouping, batch, cut=100, **more):
    groups = Groups(grouping, **{"most": 5, "shown": 2, **more})
    for first in range(0, len(batch), cut):
        groups.add(batch.slice(first, cut))
    return groups.found()


@pytest.mark.parametrize("cut", [1, 4, 100])
def test_generic_captions_are_grouped_by_caption(cut):
    told = found(GENERIC_CAPTIONS, GENERIC, cut)
    assert told.count == 9
    assert [(group.key, group.size, group.rows) for group in told.groups] == [(("image",), 30, 5), (("photo",), 12, 4)]
    assert [[row.get("pair_id") for row in group.shown] for group in told.groups] == [["3", "4"], ["0", "1"]]


def test_two_placeholders_that_are_equally_frequent_are_two_groups():
    batch = rows(*[("placeholder_image", f"c{i}", 1, 20, "x" if i % 2 else "y") for i in range(7)])
    assert [(group.key, group.rows) for group in found(PLACEHOLDER_IMAGES, batch).groups] == [
        (("20", "y"), 4),
        (("20", "x"), 3),
    ]


def test_duplicates_are_the_same_photo_and_caption():
    batch = rows(*[("duplicate", "a", 2, 2, "x")] * 2, *[("duplicate", "b", 3, 2, "x")] * 2)
    assert [group.key[0] for group in found(DUPLICATES, batch).groups] == ["a", "b"]


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_the_largest_groups_are_kept_whatever_comes_between(cut):
    told = [("generic_caption", f"c{i % 40}", 10 + i % 40, 1, "x") for i in range(400)]
    groups = found(GENERIC_CAPTIONS, rows(*told), cut, most=3, kept=3)
    assert [(group.key[0], group.rows) for group in groups.groups] == [("c39", 10), ("c38", 10), ("c37", 10)]
    assert groups.count == 400


def test_rows_without_captions_are_one_group():
    batch = pa.RecordBatch.from_pydict({"reason": ["generic_caption"] * 2, "caption_count": [12, 12]})
    assert [(group.key, group.rows) for group in found(GENERIC_CAPTIONS, batch).groups] == [(("",), 2)]


@pytest.mark.parametrize("kept", [3, 100])
def test_groups_that_were_found_elsewhere_are_joined_in_any_order(kept):
    told = rows(*[("generic_caption", f"c{i % 40}", 10 + i % 7, 1, "x") for i in range(400)])
    here, joined = found(GENERIC_CAPTIONS, told, 7, most=3, kept=kept), Groups(GENERIC_CAPTIONS, 3, 2, kept)
    for first in (300, 0, 200, 100):
        part = Groups(GENERIC_CAPTIONS, 3, 2, kept, first=first)
        part.add(told.slice(first, 100))
        joined.join(pickle.loads(pickle.dumps(part.part())))
    assert joined.found() == here
    assert [row.place for row in here.groups[0].shown] == sorted(row.place for row in here.groups[0].shown)


def test_what_carries_other_counts_is_another_group():
    batch = rows(*[("generic_caption", "photo", 12, 1, "x")] * 2, ("generic_caption", "photo", 30, 1, "x"))
    assert [(group.size, group.rows) for group in found(GENERIC_CAPTIONS, batch).groups] == [(12, 2), (30, 1)]

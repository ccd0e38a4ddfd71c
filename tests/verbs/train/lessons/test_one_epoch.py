"""In which order a network is taught."""

from itertools import islice

import numpy as np

from ncaudit.verbs.train.data.embedded_pairs import EmbeddedPairs, record_type
from ncaudit.verbs.train.lessons.one_epoch import Lesson, shuffled


def test_every_place_comes_once_before_any_comes_again():
    places = np.array([3, 5, 8, 9, 11])
    batches = list(islice(shuffled(places, 4, np.random.default_rng(0)), 5))
    assert [len(batch) for batch in batches] == [4] * 5
    seen = np.concatenate(batches).reshape(4, 5)
    assert (np.sort(seen, axis=1) == places).all()
    assert len({tuple(once) for once in seen.tolist()}) > 1


def test_fewer_places_than_a_batch_fill_it_by_coming_again():
    batch = next(shuffled(np.array([2, 7]), 5, np.random.default_rng(0)))
    assert sorted(np.bincount(batch)[[2, 7]].tolist()) == [2, 3]


def test_batches_carry_the_lessons_labels_in_the_order_of_the_tables(tmp_path):
    records = np.zeros(6, record_type(2, 2))
    records["photo"], records["label"] = np.arange(6), 1
    with EmbeddedPairs(2, 2, at_most=6, folder=str(tmp_path)) as pairs:
        pairs.add(records)
        label = np.linspace(0, 1, 6, dtype=np.float32)
        lesson = Lesson(np.array([1, 4, 5]), label)
        batch = next(lesson.batches(pairs, 3, np.random.default_rng(0), slice(None)))
    assert batch.photo.tolist() == [1, 4, 5]
    assert batch.label.tolist() == label[[1, 4, 5]].tolist()
    assert lesson.mean_label == label[[1, 4, 5]].astype(np.float64).mean()

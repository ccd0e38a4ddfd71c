from hypothesis import given
from hypothesis import strategies as st

from ncaudit.options import CLASS_TOWERS_PACE, TOWERS_PACE, TrainOptions
from ncaudit.verbs.train.pace import FASTEST, SLOWEST, class_learning_rate

BY_CLASS = {"data": ["d"], "out": "o", "objective": "nirnl", "label_column": "c"}


def test_as_many_steps_of_the_samples_model_as_were_measured_are_made_as_fast_as_may_be():
    assert class_learning_rate(48, 96) == class_learning_rate(120, 96) == FASTEST
    assert class_learning_rate(240, 96) == FASTEST / 2


def test_a_million_pairs_are_learnt_from_as_slowly_as_without_classes():
    assert class_learning_rate(8 * 1_000_000 // 128, 512) == SLOWEST == TOWERS_PACE.learning_rate


@given(steps=st.integers(1, 10**7), more=st.integers(1, 10**7), width=st.integers(1, 4_096))
def test_more_steps_and_wider_models_are_never_faster(steps, more, width):
    found = class_learning_rate(steps, width)
    assert SLOWEST <= class_learning_rate(steps + more, width) <= found <= FASTEST
    assert class_learning_rate(steps, width + more) <= found


def test_only_towers_that_learn_classes_leave_it_open_and_what_is_given_counts():
    assert TrainOptions(**BY_CLASS).pace == CLASS_TOWERS_PACE
    assert TrainOptions(**BY_CLASS).pace.learning_rate is None
    assert TrainOptions(**BY_CLASS, learning_rate=2e-4).pace.learning_rate == 2e-4
    heads = BY_CLASS | {"tune": "heads", "data": None, "embeddings": ["e"]}
    for options in (TrainOptions(**heads), TrainOptions(data=["d"], out="o")):
        assert options.pace.learning_rate is not None

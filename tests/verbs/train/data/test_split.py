"""Which side a pair is on: told alike at every look, and counted once."""

import numpy as np
import pytest

from ncaudit.errors import NcauditError
from ncaudit.objectives import every_pair, get
from ncaudit.options import TrainOptions
from ncaudit.progress import Silent
from ncaudit.verbs.train.data.split import Sides, check_split, held_out

PHOTO = np.arange(1_000, dtype=np.int64) * 7_919
LABEL = np.linspace(0, 1, 1_000, dtype=np.float32)


def sides(share: float = 0.3, trains_on=every_pair) -> Sides:
    return Sides(share=share, seed=3, trains_on=trains_on)


def test_every_pair_validates_or_is_learnt_from_or_is_counted_as_dropped():
    told = sides(trains_on=get("drop", drop_below=0.5).trains_on)
    to_val, learnt = told.of(PHOTO, LABEL)
    assert not (to_val & learnt).any()
    assert to_val.sum() + learnt.sum() + told.dropped == 1_000
    assert told.dropped == (~to_val & (LABEL < 0.5)).sum() > 0
    assert told.label_sum == pytest.approx(LABEL[learnt].sum(), rel=1e-6)
    assert to_val.tolist() == held_out(PHOTO, share=0.3, seed=3).tolist()


def test_a_second_look_tells_the_same_and_counts_nothing():
    told = sides(trains_on=get("drop", drop_below=0.5).trains_on)
    _, learnt = told.of(PHOTO, LABEL)
    counted = (told.dropped, told.label_sum)
    assert told.learnt(PHOTO, LABEL).tolist() == learnt.tolist()
    assert (told.dropped, told.label_sum) == counted


def options(**given: object) -> TrainOptions:
    return TrainOptions(data=["data"], scores=["scores"], out="out", model="model", **given)


@pytest.mark.parametrize("given", [{"val_share": 0.1}, {"val_data": ["val"]}])
def test_a_run_that_validates_needs_two_photos(given):
    with pytest.raises(NcauditError, match="1 photo, and recall needs at least 2"):
        check_split(options(**given), 0.1, {5}, 0, Silent())


def test_a_run_that_does_not_validate_needs_none():
    check_split(options(val_share=0), 0.0, set(), 0, Silent())

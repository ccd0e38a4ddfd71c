"""Event files that TensorBoard reads, and a plain word where it is not installed."""

import sys

import pytest

from ncaudit.errors import NcauditError
from ncaudit.matchers.curves import FOLDER, TensorBoard


def test_without_the_package_there_is_a_word_and_no_traceback(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(NcauditError) as error:
        TensorBoard(str(tmp_path))
    assert error.value.message == "--tensorboard needs the tensorboard package"
    assert error.value.fix == "pip install 'ncaudit[tensorboard]'"
    assert not list(tmp_path.iterdir())


def test_event_files_hold_every_step_and_a_rerun_takes_back_what_a_killed_run_wrote_too_far(tmp_path):
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = TensorBoard(str(tmp_path))
    first.epoch({"scale": 10.0, "val": {"rsum": 1.0}})
    for number in (1, 2, 3):
        first.step(number, 1.0 / number, 0.1)
    first.epoch({"step": 2, "scale": 11.0, "val": {"rsum": 2.0}})
    again = TensorBoard(str(tmp_path))  # killed in its second epoch: step 3 is done once more
    again.step(3, 0.25, 0.2)
    again.epoch({"step": 4, "scale": 12.0, "val": None})

    events = reader.EventAccumulator(str(tmp_path / FOLDER)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert [(event.step, event.value) for event in events.Scalars("val/rsum")] == [(0, 1.0), (2, 2.0)]
    assert [(event.step, event.value) for event in events.Scalars("train/scale")] == [(0, 10.0), (2, 11.0), (4, 12.0)]

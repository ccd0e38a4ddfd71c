"""What every engine promises, held by the one of this process; `on_ray/` holds the cluster to the same."""

import pytest

from ncaudit.engines.jobs import Here
from ncaudit.engines.local import ShardRows
from ncaudit.errors import BadTable, NcauditError
from ncaudit.progress import SILENT
from tests.worlds.counted_work import refused, tasks, writing


@pytest.fixture
def engine(tmp_path):
    return Here(writing(tmp_path))


def test_every_task_has_one_outcome_in_the_order_of_the_tasks(engine):
    given = tasks("a", "c", "b")
    found = engine.run(given, SILENT)
    assert [task for task, _ in found] == given
    assert [outcome.more for _, outcome in found] == ["A", "C", "B"]


def test_one_that_fails_stops_no_other(engine):
    outcomes = [outcome for _, outcome in engine.run(tasks("a", "bad", "b"), SILENT)]
    assert [isinstance(one, ShardRows) for one in outcomes] == [True, False, True]
    assert isinstance(outcomes[1], BadTable)


def test_a_job_that_cannot_be_set_up_ends_all():
    with pytest.raises(NcauditError, match="nothing can be done"):
        Here(refused).run(tasks("a"), SILENT)

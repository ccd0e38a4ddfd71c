"""A real Ray on this machine: the promises of every engine, and what becomes of shards whose process dies."""

import pytest

from ncaudit.engines.local import ShardRows
from ncaudit.engines.on_ray.cluster import joined
from ncaudit.engines.on_ray.pool import Asked, pool_of
from ncaudit.errors import BadTable, NcauditError
from ncaudit.progress import SILENT, Silent
from tests.worlds.clusters import alone
from tests.worlds.counted_work import refused, tasks, writing

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def _ray():
    with alone() as ray:
        yield ray


@pytest.fixture
def run(_ray, tmp_path):
    def ran(*names, job=None, progress=SILENT, most=2):
        with (
            joined("local", [], str(tmp_path), SILENT) as cluster,
            pool_of(cluster, Asked(most, 1.0), progress) as pool,
        ):
            return pool.run(tasks(*names), job or writing(tmp_path))

    return ran


def begun(folder):
    return [line.split()[0] for line in (folder / "begun").read_text().splitlines()]


def test_every_task_has_one_outcome_in_the_order_of_the_tasks_and_the_largest_begins_first(run, tmp_path):
    found = run("a", "c", "bad", "b", most=1)
    assert [task.shard.name for task, _ in found] == ["a", "c", "bad", "b"]
    assert [one.more if isinstance(one, ShardRows) else type(one) for _, one in found] == ["A", "C", BadTable, "B"]
    assert begun(tmp_path)[0] == "b"


def test_a_shard_whose_process_is_killed_is_done_again_and_nothing_else_is_lost(run, tmp_path):
    told = []
    listener = type("Listener", (Silent,), {"note": lambda self, text: told.append(text)})()
    found = run("a", "b", "once", "c", progress=listener)
    assert all(isinstance(outcome, ShardRows) for _, outcome in found)
    assert sorted(path.stem for path in tmp_path.glob("*.done")) == ["a", "b", "c", "once"]
    assert begun(tmp_path).count("once") == 2
    assert len(told) == 1
    assert "once" in told[0]


def test_a_shard_that_kills_its_process_three_times_has_failed_with_its_name(run, tmp_path):
    found = {task.shard.name: outcome for task, outcome in run("a", "b", "kills", "c")}
    error = found.pop("kills")
    assert isinstance(error, NcauditError)
    assert "kills: 3 processes ended with it in hand" in error.message
    assert all(isinstance(outcome, ShardRows) for outcome in found.values())
    assert begun(tmp_path).count("kills") == 3


def test_a_job_that_cannot_be_set_up_ends_all(run):
    with pytest.raises(NcauditError, match="nothing can be done"):
        run("a", job=refused)


def test_the_pace_begins_with_the_first_task_that_is_handed_out(run):
    told = []
    listener = type("Listener", (Silent,), {
        "begins": lambda self: told.append("begins"), "advance": lambda self, done, failed=0: told.append(done),
    })()  # fmt: skip
    run("a", "b", "c", progress=listener)
    assert told.count("begins") == 1
    assert told[0] == "begins"

"""How many threads there are, by fabricated files of the system and environments; and how threads that wait do so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncaudit import budget


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def quota(tmp_path: Path, own: str, files: dict[str, str]) -> float | None:
    (tmp_path / "own").write_text(own)
    return budget.quota(str(written(tmp_path / "cgroup", files)), str(tmp_path / "own"))


def cores_of(monkeypatch: pytest.MonkeyPatch, count: int, allowed: float | None = None) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(count), raising=False)
    monkeypatch.setattr(budget, "quota", lambda: allowed)


def test_a_container_of_the_second_version_sees_its_own_limit_at_the_root(tmp_path):
    assert quota(tmp_path, "0::/\n", {"cpu.max": "150000 100000\n"}) == 1.5


def test_the_least_of_a_group_and_those_above_it_counts(tmp_path):
    files = {"a/cpu.max": "100000 50000", "a/b/cpu.max": "max 100000", "a/b/c/cpu.max": "400000 100000"}
    assert quota(tmp_path, "0::/a/b/c\n", files) == 2.0


def test_max_is_no_limit(tmp_path):
    assert quota(tmp_path, "0::/job\n", {"job/cpu.max": "max 100000\n"}) is None


@pytest.mark.parametrize("folder", ["cpu", "cpu,cpuacct"])
def test_the_first_version_has_two_files_for_it(tmp_path, folder):
    files = {f"{folder}/job/cpu.cfs_quota_us": "250000\n", f"{folder}/job/cpu.cfs_period_us": "100000\n"}
    own = f"11:memory:/job\n4:{folder}:/job\n1:name=systemd:/\n"
    assert quota(tmp_path, own, files) == 2.5


def test_minus_one_is_no_limit_in_the_first_version(tmp_path):
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert quota(tmp_path, "4:cpu:/\n", files) is None


@pytest.mark.parametrize("own", ["", "nonsense", "0::/../../outside\n", "a:b\n", "0::/none\n"])
def test_what_cannot_be_read_limits_nothing(tmp_path, own):
    assert quota(tmp_path, own, {"cpu.max": "what\n", "outside/cpu.max": "0 0"}) is None


def test_systems_without_cgroups_have_no_quota(tmp_path):
    assert budget.quota(str(tmp_path / "none"), str(tmp_path / "none")) is None


def test_a_quota_is_rounded_up_and_affinity_is_a_bound(monkeypatch):
    cores_of(monkeypatch, 8, 2.5)
    assert budget.cores() == 3
    cores_of(monkeypatch, 2, 7.0)
    assert budget.cores() == 2
    cores_of(monkeypatch, 8, 0.2)
    assert budget.cores() == 1
    cores_of(monkeypatch, 8)
    assert budget.cores() == 8


@pytest.mark.parametrize(
    ("given", "threads"),
    [({}, 4), ({"OMP_NUM_THREADS": "2"}, 2), ({"OMP_NUM_THREADS": "64"}, 4), ({"OMP_NUM_THREADS": "3,2"}, 3),
     ({"OMP_NUM_THREADS": ""}, 4), ({"OMP_NUM_THREADS": "0"}, 4), ({"OMP_NUM_THREADS": "many"}, 4)],
)  # fmt: skip
def test_what_users_say_to_openmp_is_an_upper_bound(monkeypatch, given, threads):
    cores_of(monkeypatch, 4)
    assert budget.threads(None, given) == threads


def test_what_is_asked_for_wins(monkeypatch):
    cores_of(monkeypatch, 2, 1.0)
    assert budget.threads(6, {"OMP_NUM_THREADS": "1"}) == 6
    assert budget.share(6, 4) == 1
    assert budget.share(6, 2) == 3


def test_waiting_is_settled_only_where_the_user_has_said_nothing():
    assert budget.waiting({}) == budget.SPINS
    assert "GOMP_SPINCOUNT" not in budget.waiting({"GOMP_SPINCOUNT": "7"})
    assert budget.waiting({"OMP_WAIT_POLICY": "PASSIVE"}) == {}
    environment = {"GOMP_SPINCOUNT": "7"}
    budget.settle_waiting(environment)
    assert environment == {**budget.SPINS, "GOMP_SPINCOUNT": "7"}


TOLD = "import os; print([os.environ.get(name) for name in ('GOMP_SPINCOUNT', 'KMP_BLOCKTIME')])"
COMMAND = """
import sys
from ncaudit.__main__ import main
sys.argv = ["ncaudit", "--version"]
try: main()
except SystemExit: pass
"""


@pytest.mark.parametrize(
    ("program", "given", "told"),
    [
        (f"import ncaudit; {TOLD}", {}, "[None, None]"),
        (f"import ncaudit; ncaudit.ScoreOptions; {TOLD}", {}, "[None, None]"),
        (COMMAND + TOLD, {}, str([budget.SPINS["GOMP_SPINCOUNT"], budget.SPINS["KMP_BLOCKTIME"]])),
        (COMMAND + TOLD, {"GOMP_SPINCOUNT": "77"}, str(["77", budget.SPINS["KMP_BLOCKTIME"]])),
        (COMMAND + TOLD, {"OMP_WAIT_POLICY": "active"}, "[None, None]"),
    ],
    ids=["import", "options", "command", "the user's count", "the user's policy"],
)
def test_the_command_settles_how_threads_wait_and_an_import_nothing(program, given, told):
    bare = {name: value for name, value in os.environ.items() if name not in {*budget.SPINS, budget.POLICY}}
    ran = subprocess.run([sys.executable, "-c", program], env={**bare, **given}, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == told, ran.stderr

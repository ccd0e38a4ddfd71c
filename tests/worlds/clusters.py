"""Ray for tests: one cluster of this machine for all of a session, small, quiet, and gone with its folder."""

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import pytest

STORE_BYTES = 100 << 20


@cache
def _home() -> str:
    """Where the token is, which Ray makes once in a process: of all clusters of a session, and none of the user's."""
    folder = tempfile.mkdtemp(prefix="h", dir="/tmp")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@contextmanager
def apart() -> Iterator[str]:
    """A short folder that is Ray's, and none of the user's."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", _home())
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.getcwd())
        patch.delenv("RAY_ADDRESS", raising=False)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def alone() -> Iterator[object]:
    """A cluster of this machine, joined."""
    ray = pytest.importorskip("ray", reason="needs the extra ncaudit[ray]")
    with apart() as folder:
        ray.init(
            num_cpus=2, include_dashboard=False, object_store_memory=STORE_BYTES, _temp_dir=folder,
            log_to_driver=False, logging_level=logging.ERROR,
        )  # fmt: skip
        try:
            yield ray
        finally:
            ray.shutdown()


def hands(folder: str) -> list[int]:
    """The processes of clusters of this machine that work for a command which was started in this folder (Linux)."""
    found = []
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                name = file.read()
            if name.startswith(b"ray::Hand") and os.path.samefile(f"/proc/{pid}/cwd", folder):
                found.append(int(pid))
    return found


@contextmanager
def of_two_machines() -> Iterator[object]:
    """A head that computes nothing and two machines of one CPU each, not joined yet."""
    pytest.importorskip("ray", reason="needs the extra ncaudit[ray]")
    from ray.cluster_utils import Cluster

    with apart() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        os.makedirs(os.path.join(folder, "ray"))  # where it notes its address, and makes no folder for that
        head = {
            "num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False,
        }  # fmt: skip
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            cluster.machines = [cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES) for _ in range(2)]
            yield cluster
        finally:
            cluster.shutdown()

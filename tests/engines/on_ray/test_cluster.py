"""What is looked over before work on a cluster. No Ray runs here."""

import importlib
import socket
import sys

import pytest

from ncaudit.engines.on_ray import cluster
from ncaudit.errors import NcauditError
from ncaudit.progress import SILENT

HERE = {"versions": {"ncaudit": "1", "torch": "2.6"}, "inputs": {"/in/0.parquet": 10}, "marked": True}


def compared(**changed):
    with pytest.raises(NcauditError) as told:
        cluster._compare(HERE, {**HERE, **changed}, "10.0.0.7", "/out")
    return told.value


def test_machines_alike_are_taken():
    cluster._compare(HERE, HERE, "10.0.0.7", "/out")
    cluster._compare(HERE, {}, "10.0.0.7", "/out")  # it has gone since


def test_other_versions_are_refused_with_both_of_them():
    told = compared(versions={"ncaudit": "1", "torch": "2.7"})
    assert told.message == "torch is 2.6 here and 2.7 on 10.0.0.7"


def test_a_path_that_only_the_driver_has_is_refused():
    assert "/in/0.parquet is not there on 10.0.0.7" in compared(inputs={"/in/0.parquet": None}).message
    assert "another file" in compared(inputs={"/in/0.parquet": 11}).message
    assert "/out is not the same folder" in compared(marked=False).message


def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path):
    pytest.importorskip("ray", reason="needs the extra ncaudit[ray]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (
        pytest.raises(NcauditError, match="no Ray cluster answers"),
        cluster.joined(address, [], str(tmp_path), SILENT),
    ):
        pass


def test_without_ray_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    importlib.invalidate_caches()
    with pytest.raises(NcauditError) as told, cluster.joined("local", [], str(tmp_path), SILENT):
        pass
    assert told.value.fix == "pip install 'ncaudit[ray]'"

"""A Ray cluster that is joined for one command: found, looked over before any work, and left as it was.

Knows Ray, versions and whether paths are everywhere the same; nothing of what is done there.
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from tempfile import TemporaryDirectory
from typing import Any

from ncaudit.errors import NcauditError
from ncaudit.progress import Progress
from ncaudit.shards.files import locations
from ncaudit.shards.places.partials import created, partial_name
from ncaudit.version import __version__

LOCAL, AUTO = "local", "auto"
COMPARED = ("torch", "open_clip_torch", "pyarrow", "numpy")  # on which bytes may depend
REACH_S = 10.0
LOOK_S = 120.0  # a process on every machine, which may have to start
STORE_BYTES = 512 << 20  # of a cluster of our own: fits and settings, and no rows
START = "start it (ray start --head) and give its HOST:PORT with --ray-address, or local for this machine alone"


@dataclass(frozen=True)
class Cluster:
    """What there is. cpus, gpus: of all machines that are alive."""

    ray: Any
    machines: int
    cpus: float
    gpus: float


@contextmanager
def joined(address: str, inputs: Sequence[str], out: str | None, progress: Progress) -> Iterator[Cluster]:
    """Within the block there is a cluster whose machines have our versions, our inputs and our output folder, if any.

    address: `local`, `auto` or HOST:PORT. inputs: files, one of which is enough. Raises NcauditError where that is not
    so. A cluster that this process has joined already is taken as it is, and stays joined.
    """
    ray = _ray()
    own = not ray.is_initialized()
    with ExitStack() as stack:
        if own:
            progress.status("joining Ray")
            folder = _own_folder(stack) if address == LOCAL else None
            stack.callback(ray.shutdown)
            _join(ray, address, folder)
        _quieten()
        with _marked(out) as marker:
            _look_over(ray, inputs, marker, out)
        progress.status("")
        alive = [node for node in ray.nodes() if node["Alive"]]
        total = ray.cluster_resources()
        yield Cluster(ray, len(alive), total.get("CPU", 0.0), total.get("GPU", 0.0))


def _own_folder(stack: ExitStack) -> str | None:
    """For what a cluster of our own leaves behind: nothing. None where the user says where that is to be."""
    if "RAY_TMPDIR" in os.environ:
        return None
    folder = TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)  # a short name, as there are sockets in it
    return stack.enter_context(folder)


def require(address: str) -> None:
    """Raises NcauditError where there is no Ray, or plainly no cluster: asked before any work."""
    ray = _ray()
    if not ray.is_initialized() and address != LOCAL:
        _reached(address)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of a user's run is told to anybody unasked
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns of a change to come
    try:
        import ray
    except ImportError as error:
        raise NcauditError("--engine ray, and Ray is not installed", fix="pip install 'ncaudit[ray]'") from error
    return ray


def _join(ray: Any, address: str, folder: str | None) -> None:
    told: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        told |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
        told |= {"_temp_dir": folder} if folder else {}
    else:
        told |= {"address": _reached(address)}
    try:
        ray.init(**told)
    except (ConnectionError, RuntimeError, OSError, ValueError) as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NcauditError(f"Ray at {address} cannot be joined: {said}", fix=START) from error


def _reached(address: str) -> str:
    """Where it listens. Asked before Ray does, which would wait for many minutes."""
    if address == AUTO:
        address = os.environ.get("RAY_ADDRESS") or _running() or AUTO
        if address == AUTO:
            raise NcauditError("--engine ray, and no Ray cluster runs on this machine", fix=START)
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH_S).close()
    except (OSError, ValueError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error) or "no answer"
        raise NcauditError(f"no Ray cluster answers at {address}: {why}", fix=START) from error
    return address


def _running() -> str | None:
    """The cluster that was started on this machine, as Ray itself notes it."""
    with suppress(ImportError, AttributeError, ConnectionError, ValueError):
        from ray._private import services

        found: str | None = services.get_ray_address_from_environment(AUTO, None)
        return found
    return None


def _quieten() -> None:
    """What Ray tells of processes that die goes to its logs: on standard output it would stand among our words."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def _marked(out: str | None) -> Iterator[str | None]:
    """A file in the output folder that other machines can look for."""
    if out is None or locations.is_remote(out):
        yield None
        return
    folder = os.path.abspath(out)
    path, made = os.path.join(folder, partial_name("machines")), not os.path.isdir(folder)
    with created(path):
        try:
            yield path
        finally:
            with suppress(OSError):
                os.remove(path)
                if made:
                    os.rmdir(folder)  # unless something is in it by now


def _look_over(ray: Any, inputs: Sequence[str], marker: str | None, out: str | None) -> None:
    here = _facts(os.getcwd(), inputs[:1], marker)
    look = ray.remote(num_cpus=0, max_retries=0)(_facts)
    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked[look.options(scheduling_strategy=there).remote(os.getcwd(), list(inputs[:1]), marker)] = node
    done, _ = ray.wait([*asked], num_returns=len(asked), timeout=LOOK_S)
    for ref in done:
        _compare(here, _had(ray, ref, asked[ref]["NodeManagerAddress"]), asked[ref]["NodeManagerAddress"], out)


def _had(ray: Any, ref: Any, machine: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        if "No module named" not in str(error):
            raise
        what = f"ncaudit cannot be imported on {machine}: {str(error).strip().splitlines()[-1]}"
        fix = f"install ncaudit {__version__} there, in the environment that Ray runs in"
        raise NcauditError(what, fix=fix) from error
    except ray.exceptions.RayError:  # the machine has gone since: nothing of it is needed
        return {}
    return found


def _compare(here: dict[str, Any], there: dict[str, Any], machine: str, out: str | None) -> None:
    for name, version in there.get("versions", {}).items():
        if version != here["versions"][name]:
            what = f"{name} is {here['versions'][name]} here and {version or 'not there'} on {machine}"
            raise NcauditError(what, fix="install the same versions on all machines: results may differ otherwise")
    for path, size in there.get("inputs", {}).items():
        if size != here["inputs"][path]:
            what = f"{path} is {'not there' if size is None else 'another file'} on {machine}"
            raise NcauditError(what, fix="give whole paths that all machines share, or an address such as s3://…")
    if there and not there["marked"]:
        what = f"{out} is not the same folder on {machine} as here"
        raise NcauditError(what, fix="give an --out that all machines share, with its whole path")


def _facts(folder: str, inputs: Sequence[str], marker: str | None) -> dict[str, Any]:
    """What a machine is asked for before work."""
    with suppress(OSError):
        os.chdir(folder)
    local = [path for path in inputs if not locations.is_remote(path)]
    return {
        "versions": {
            "ncaudit": __version__, "Python": ".".join(map(str, sys.version_info[:2])),
            **{name: _version(name) for name in COMPARED},
        },
        "inputs": {path: os.path.getsize(path) if os.path.exists(path) else None for path in local},
        "marked": marker is None or os.path.exists(marker),
    }  # fmt: skip


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

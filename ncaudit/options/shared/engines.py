"""Options of where shards are done: in this process, or by a cluster. Knows words; nothing of any cluster."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ncaudit.options.shared.about import About, Options, Panel
from ncaudit.options.shared.checks import choose, require, require_at_least
from ncaudit.options.shared.effect import Unread
from ncaudit.options.shared.streams import is_folder

LOCAL, AUTO = "local", "auto"
ON_RAY = ("ray_address", "actors", "gpus_per_actor")
CLUSTER = "a Ray cluster"


class EngineKind(StrEnum):
    """Where shards are done."""

    local = "local"
    ray = "ray"


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """Where shards are done."""

    engine: Annotated[
        EngineKind,
        About(
            "Who does the shards: local, which is this machine, or ray, a Ray cluster (pip install 'ncaudit[ray]').",
            Panel.speed, rare=True, of=CLUSTER, metavar="NAME",
        ),
    ] = EngineKind.local  # fmt: skip
    ray_address: Annotated[
        str,
        About(
            "The Ray cluster: auto, the one that this machine is part of; HOST:PORT of its head; or local, which "
            "starts one on this machine alone.",
            Panel.speed, rare=True, of=CLUSTER, metavar="ADDRESS",
        ),
    ] = AUTO  # fmt: skip
    actors: Annotated[
        int | None,
        About(
            "Processes on the cluster at one time, 1 or more. By default one per GPU that is used, else one per CPU.",
            Panel.speed, rare=True, of=CLUSTER, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    gpus_per_actor: Annotated[
        float | None,
        About(
            "GPUs of each process on the cluster, 0 or more; below 1 several share one. By default 1 for embed where "
            "the cluster has GPUs, else 0.",
            Panel.speed, rare=True, of=CLUSTER, metavar="COUNT",
        ),
    ] = None  # fmt: skip

    def check_engine(self) -> None:
        """Raises UsageError for what no cluster could mean."""
        choose(self, engine=EngineKind)
        require_at_least("--actors", self.actors, 1)
        if self.gpus_per_actor is not None:
            require(self.gpus_per_actor >= 0, f"--gpus-per-actor is {self.gpus_per_actor}", "give a number, 0 or more")
        port = self.ray_address.rpartition(":")
        known = self.ray_address in (AUTO, LOCAL) or (port[0] and port[2].isdecimal() and "://" not in self.ray_address)
        require(bool(known), f"--ray-address is {self.ray_address}", "give auto, local, or HOST:PORT of the head")

    def unread_of_engine(self, out: str) -> Iterator[Unread]:
        """What is about a cluster, where there is none."""
        if self.engine is EngineKind.local:
            yield Unread(ON_RAY, "is about a cluster, and --engine is local", "give --engine ray too")
        elif not is_folder(out):
            why = f"is {self.engine}, which does a table per shard, and --out {out} is one for all"
            yield Unread(("engine",), why, "give a folder")

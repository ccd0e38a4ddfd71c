"""Embeds shards on a Ray cluster: how many processes with what of each machine, and what they are told.

Knows options, the cluster and what `model_in_workers` sets up; nothing of how processes are fed or lost.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from ncaudit.encoders.decode_pool import MAX_WORKERS
from ncaudit.encoders.open_clip import ModelIdentity
from ncaudit.engines.jobs import Task
from ncaudit.engines.local import Outcome
from ncaudit.engines.on_ray.cluster import Cluster, joined
from ncaudit.engines.on_ray.pool import Asked, Pool
from ncaudit.options import EmbedOptions, Layout, Precision
from ncaudit.progress import Progress
from ncaudit.shards.dataset.null_types import Types, as_text
from ncaudit.shards.files.shard import Shard
from ncaudit.verbs.embed.model_in_workers import require_batch, set_up


class ModelOnRay:
    """The same model in processes of a cluster. The first settles precision and batch size; the others follow.

    Close it: the processes are running.
    """

    def __init__(
        self,
        options: EmbedOptions,
        key: str | None,
        types: Types,
        record: Mapping[str, Any],
        shards: Sequence[Shard],
        rows: Mapping[Shard, int],
        progress: Progress,
    ) -> None:
        """record: as `ModelHere.load` takes it. shards: all of the run. rows: of those that can be read."""
        self._options, self._key, self._types, self._rows = options, key, as_text(types), rows
        self._shards = [] if options.layout is Layout.parquet else [shard.name for shard in shards]
        self._stack = ExitStack()
        try:
            inputs = [file for shard in shards[:1] for file in shard.files]
            cluster = self._stack.enter_context(joined(options.ray_address, inputs, options.out, progress))
            asked, self._workers = asked_by(options, cluster)
            self._pool = Pool(cluster, asked, progress)
            self._stack.callback(self._pool.close)
            found = self._pool.set_up_first(self._job(options, {"record": dict(record)}))
        except BaseException:
            self._stack.close()
            raise
        self.identity = ModelIdentity.from_dict(found["model"])
        self.batch_pairs: int = found["batch_pairs"]

    def close(self) -> None:
        """End the processes, and leave the cluster."""
        self._stack.close()

    def at_batch(self, batch_pairs: int) -> "ModelOnRay":
        """The same, which must have found this batch size. Raises NcauditError where it has found another one."""
        require_batch(batch_pairs, self.batch_pairs)
        return self

    def run(self, shards: Sequence[Shard], progress: Progress) -> list[tuple[Shard, Outcome]]:
        """Embed all of them. Raises NcauditError when a process cannot begin."""
        settled = replace(self._options, precision=Precision(self.identity.precision), batch_pairs=self.batch_pairs)
        model = self.identity.as_dict()
        told = {"model": model, "record": {"model": model, "batch_pairs": self.batch_pairs}}
        tasks = [Task(shard, shard, self._rows.get(shard, 0)) for shard in shards]
        return [(task.shard, became) for task, became in self._pool.run(tasks, self._job(settled, told))]

    def _job(self, options: EmbedOptions, more: Mapping[str, Any]) -> Any:
        own = replace(options, sources=(), workers=self._workers)
        orders = {"options": asdict(own), "key": self._key, "types": self._types, "shards": self._shards}
        return partial(set_up, {**orders, "record": {}, "model": None, **more})


def asked_by(options: EmbedOptions, cluster: Cluster) -> tuple[Asked, int]:
    """What each process asks for, and how many processes decode for it.

    With GPUs each has its share of the cluster's CPUs, which decode; without, each has one CPU that does both.
    """
    gpus = options.gpus_per_actor
    if gpus is None:
        gpus = 1.0 if cluster.gpus and options.device in ("auto", "cuda") else 0.0
    share = int(cluster.cpus * gpus / cluster.gpus) if gpus and cluster.gpus else 1
    cpus = max(1, min(MAX_WORKERS, share) if options.workers is None else options.workers)
    decoders = options.workers if options.workers is not None else (cpus if gpus else 0)
    room = cluster.gpus / gpus if gpus else cluster.cpus / cpus
    return Asked(options.actors or max(1, int(room)), float(cpus), gpus), decoders

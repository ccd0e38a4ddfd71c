"""The engine that options ask for. Knows options and the engines there are; nothing of what is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from ncaudit.engines.jobs import Engine, Here, Job, Task
from ncaudit.engines.local import Outcome
from ncaudit.options import EngineKind
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.progress import Progress


@dataclass(frozen=True)
class OnRay:
    """On a cluster that is joined for it. out: the folder that is written to."""

    options: EngineOptions
    job: Job
    out: str

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """As `Engine` has it. Without a task nothing is joined."""
        if not tasks:
            return []
        from ncaudit.engines.on_ray.cluster import joined  # Ray is an extra
        from ncaudit.engines.on_ray.pool import Asked, pool_of

        inputs, gpus = list(tasks[0].shard.files), self.options.gpus_per_actor or 0.0
        with joined(self.options.ray_address, inputs, self.out, progress) as cluster:
            room = cluster.gpus / gpus if gpus else cluster.cpus
            asked = Asked(self.options.actors or max(1, int(room)), 1.0, gpus)
            with pool_of(cluster, asked, progress) as pool:
                return pool.run(tasks, self.job)


def engine_of(options: EngineOptions, job: Job, out: str) -> Engine:
    """Where the job is done. out: the folder that is written to."""
    return OnRay(options, job, out) if options.engine is EngineKind.ray else Here(job)


def require_engine(options: EngineOptions) -> None:
    """Raises NcauditError where the engine is plainly not there: asked before any work."""
    if options.engine is EngineKind.ray:
        from ncaudit.engines.on_ray.cluster import require  # Ray is an extra

        require(options.ray_address)

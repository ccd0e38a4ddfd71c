"""The site that options ask for. Knows options and the sites there are; nothing of what is done."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ncaudit.engines.jobs import Job, Site, Task, ThisProcess, Told, idle
from ncaudit.engines.local import Outcome
from ncaudit.options import EngineKind
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.progress import Progress
from ncaudit.shards.files.shard import Shard


@dataclass
class RaySite:
    """A cluster that is joined with the first task; its processes do one job after the other. out: the folder that they
    write to, if they do.
    """

    options: EngineOptions
    out: str | None
    stack: ExitStack
    elsewhere: bool = True
    _pool: Any = field(default=None, init=False)

    def ready(self, shard: Shard, progress: Progress) -> None:
        """As `Site` has it: the first process is, the others begin with the first job."""
        if self._pool is None:
            pool = self.pool_for([Task(shard, None)], progress)
            progress.status("starting processes on the cluster")
            pool.set_up_first(idle)
            progress.status("")

    def engine(self, job: Job) -> "OnRay":
        """As `Site` has it."""
        return OnRay(self, job)

    def pool_for(self, tasks: Sequence[Task], progress: Progress) -> Any:
        """The processes."""
        if self._pool is not None:
            return self._pool
        from ncaudit.engines.on_ray.cluster import joined  # Ray is an extra
        from ncaudit.engines.on_ray.pool import Asked, pool_of

        inputs, gpus = list(tasks[0].shard.files), self.options.gpus_per_actor or 0.0
        cluster = self.stack.enter_context(joined(self.options.ray_address, inputs, self.out, progress))
        room = cluster.gpus / gpus if gpus else cluster.cpus
        asked = Asked(self.options.actors or max(1, int(room)), 1.0, gpus)
        self._pool = self.stack.enter_context(pool_of(cluster, asked, progress))
        return self._pool


@dataclass(frozen=True)
class OnRay:
    """A job of a cluster's processes."""

    site: RaySite
    job: Job

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        """As `Engine` has it. Without a task nothing is joined."""
        return self.site.pool_for(tasks, progress).run(tasks, self.job, turn=True) if tasks else []

    def each(self, tasks: Sequence[Task], progress: Progress) -> Told:
        """As `Engine` has it."""
        if tasks:
            yield from self.site.pool_for(tasks, progress).each(tasks, self.job, turn=True)


@contextmanager
def site_of(options: EngineOptions, out: str | None) -> Iterator[Site]:
    """Where the jobs of a command are done; left when the block ends. out: the folder that is written to there; None:
    what is found is written by this process alone.
    """
    if options.engine is not EngineKind.ray:
        yield ThisProcess()
        return
    with ExitStack() as stack:
        yield RaySite(options, out, stack)


def require_engine(options: EngineOptions) -> None:
    """Raises NcauditError where the engine is plainly not there: asked before any work."""
    if options.engine is EngineKind.ray:
        from ncaudit.engines.on_ray.cluster import require  # Ray is an extra

        require(options.ray_address)

"""A site whose work is done elsewhere, as far as anybody can tell: what goes there and back is copied, out of order."""

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ncaudit.engines.jobs import Here, Job, Task
from ncaudit.engines.local import Outcome
from ncaudit.progress import Progress


@dataclass
class Elsewhere:
    """jobs: how many tasks each had."""

    elsewhere: bool = True
    jobs: list[int] = field(default_factory=list)

    def engine(self, job: Job) -> "There":
        return There(self, job)


@dataclass
class There:
    site: Elsewhere
    job: Job

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        became = {id(task): outcome for task, outcome in self.each(tasks, progress)}
        return [(task, became[id(task)]) for task in tasks]

    def each(self, tasks: Sequence[Task], progress: Progress) -> Iterator[tuple[Task, Outcome]]:
        """The last task first."""
        self.site.jobs.append(len(tasks))
        engine = Here(pickle.loads(pickle.dumps(self.job)))
        for task in reversed(tasks):
            copy: Any = pickle.loads(pickle.dumps(task))
            ((_, outcome),) = engine.run([copy], progress)
            yield task, pickle.loads(pickle.dumps(outcome))

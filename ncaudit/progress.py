"""What a verb tells while it works. The CLI draws it; a notebook may pass its own; by default nobody listens.

A job has stages, one after the other; the stages of a part of a job are called `part: stage`. Knows names, counts and
shares; nothing of how they are shown.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

Step = Callable[[], None]  # called when one of several steps is done


class Progress(Protocol):
    """Receives stages, rows done and things worth saying once. Never prints by itself."""

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        """The work begins, or more is known of it: its stages in order, and each one's share of the time, roughly.

        A share of 0: what it takes says nothing of the others, as loading a model. Shares need not sum to anything.
        """

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        """A new stage begins: `total` units of work in all, None for one that has no parts."""

    def begins(self) -> None:
        """Until now the stage has waited, as for processes of a cluster: that tells nothing of its speed."""

    def advance(self, done: int, failed: int = 0) -> None:
        """`done` more units are finished, `failed` of them without a result."""

    def kept(self, done: int, failed: int = 0) -> None:
        """`done` more units were finished by an earlier run: they tell nothing of this one's speed."""

    def status(self, text: str) -> None:
        """How far the work has come, in its own terms: shown beside the count until the next status or stage."""

    def note(self, text: str) -> None:
        """Something surprising that makes no answer wrong. `text` may hold a user's words: data, not markup."""


class Silent:
    """Listens and does nothing: what a listener of your own may begin from."""

    def job(self, name: str, stages: Mapping[str, float]) -> None: ...

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None: ...

    def begins(self) -> None: ...

    def advance(self, done: int, failed: int = 0) -> None: ...

    def kept(self, done: int, failed: int = 0) -> None: ...

    def status(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


SILENT = Silent()


def unheard() -> None:
    """A step that nobody counts."""


class Parts:
    """Several verbs that run one after the other as one job: each one's stages are told with the part they are of."""

    def __init__(self, listener: Progress, job: str, parts: Mapping[str, float]) -> None:
        """parts: in order, with each one's share of the time."""
        self.listener, self._job, self._parts = listener, job, dict(parts)
        self._plans: dict[str, Mapping[str, float]] = {}
        listener.job(job, self._parts)

    def part(self, name: str) -> Progress:
        """What this part is to tell its progress to."""
        return _Part(self, name)

    def planned(self, part: str, stages: Mapping[str, float]) -> None:
        """What a part consists of is known now."""
        self._plans[part] = stages
        plan: dict[str, float] = {}
        for name, share in self._parts.items():
            inner = self._plans.get(name, {name: 1.0})
            whole = sum(inner.values()) or 1.0
            plan |= {told(name, stage): share * own / whole for stage, own in inner.items()}
        self.listener.job(self._job, plan)


class _Part:
    """A listener of one of several verbs."""

    def __init__(self, parts: Parts, name: str) -> None:
        self._parts, self._name, self._listener = parts, name, parts.listener

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        self._parts.planned(self._name, stages)

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        self._listener.stage(told(self._name, name), total, unit)

    def begins(self) -> None:
        self._listener.begins()

    def advance(self, done: int, failed: int = 0) -> None:
        self._listener.advance(done, failed)

    def kept(self, done: int, failed: int = 0) -> None:
        self._listener.kept(done, failed)

    def status(self, text: str) -> None:
        self._listener.status(text)

    def note(self, text: str) -> None:
        self._listener.note(text)


def told(part: str, stage: str) -> str:
    """A stage with the part that it is of."""
    return part if stage == part else f"{part}: {stage}"

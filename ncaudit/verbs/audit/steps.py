"""How far an audit has come: which step of how many, before what the step itself tells.

Knows progress; nothing of what the steps do.
"""

from collections.abc import Sequence

from ncaudit.progress import Progress


class Steps(Progress):
    """Progress of several verbs that run one after the other: each stage is told with the step that it belongs to."""

    def __init__(self, listener: Progress, names: Sequence[str]) -> None:
        self._listener, self._names, self._step = listener, names, 0

    def next(self) -> Progress:
        """What the next step is to tell its progress to."""
        self._step += 1
        return self

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        """As `Progress` has it."""
        step = self._names[self._step - 1]
        told = f"step {self._step} of {len(self._names)}, {step}"
        self._listener.stage(told if name == step else f"{told}: {name}", total, unit)

    def advance(self, done: int, failed: int = 0) -> None:
        """As `Progress` has it."""
        self._listener.advance(done, failed)

    def status(self, text: str) -> None:
        """As `Progress` has it."""
        self._listener.status(text)

    def note(self, text: str) -> None:
        """As `Progress` has it."""
        self._listener.note(text)

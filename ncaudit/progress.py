"""What a verb tells while it works. The CLI draws it; a notebook may pass its own; by default nobody listens."""

from typing import Protocol


class Progress(Protocol):
    """Receives stages, rows done and things worth saying once. Never prints by itself."""

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        """A new stage begins: `total` units of work in all, None when unknown."""

    def advance(self, done: int, failed: int = 0) -> None:
        """`done` more units are finished, `failed` of them without a result."""

    def status(self, text: str) -> None:
        """How far the work has come, in its own terms: shown beside the count until the next status or stage."""

    def note(self, text: str) -> None:
        """Something surprising that makes no answer wrong. `text` may hold a user's words: data, not markup."""


class Silent:
    """Listens and does nothing."""

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None: ...

    def advance(self, done: int, failed: int = 0) -> None: ...

    def status(self, text: str) -> None: ...

    def note(self, text: str) -> None: ...


SILENT = Silent()

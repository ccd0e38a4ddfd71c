"""What any verb would do with these options, without doing it. Knows which module plans which options."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any

from ncaudit.errors import UsageError
from ncaudit.planned import Plan
from ncaudit.progress import SILENT, Progress

PLANNERS = {
    "AuditOptions": "audit.plan.plan_audit",
    "BenchOptions": "bench.plan_bench",
    "CorruptOptions": "corrupt.plan.plan_corrupt",
    "DemoOptions": "demo.plan_demo",
    "EmbedOptions": "embed.plan.plan_embed",
    "FilterOptions": "filter.plan.plan_filter",
    "LabelsOptions": "labels.plan.plan_labels",
    "ReportOptions": "report.plan.plan_report",
    "SampleOptions": "sample.plan_sample",
    "ScoreOptions": "score.plan.plan_score",
    "ShowOptions": "show.plan.plan_show",
    "TrainOptions": "train.plan.plan_train",
}


def plan(options: Any, progress: Progress = SILENT) -> Plan:
    """What the verb of these options would read, do and write; nothing is written, made or removed.

    Raises NcauditError where that verb would refuse to begin, with the same words; UsageError for options of a verb
    that writes nothing, and for rows on standard input.
    """
    place = PLANNERS.get(type(options).__name__)
    if place is None:
        what = f"{type(options).__name__} has no plan"
        raise UsageError(what, fix=f"give the options of a verb that writes: {', '.join(PLANNERS)}")
    module, _, name = place.rpartition(".")
    heard = _Heard(progress)
    found: Plan = getattr(import_module(f"ncaudit.verbs.{module}"), name)(options, heard)
    return replace(found, notes=(*found.notes, *heard.notes))


class _Heard(Progress):
    """Takes the notes for the plan; all else goes on to whoever listens."""

    def __init__(self, listener: Progress) -> None:
        self._listener = listener
        self.notes: list[str] = []

    def job(self, name: str, stages: Mapping[str, float]) -> None:
        """As `Progress` has it."""
        self._listener.job(name, stages)

    def stage(self, name: str, total: int | None, unit: str = "rows") -> None:
        """As `Progress` has it."""
        self._listener.stage(name, total, unit)

    def advance(self, done: int, failed: int = 0) -> None:
        """As `Progress` has it."""
        self._listener.advance(done, failed)

    def kept(self, done: int, failed: int = 0) -> None:
        """As `Progress` has it."""
        self._listener.kept(done, failed)

    def status(self, text: str) -> None:
        """As `Progress` has it."""
        self._listener.status(text)

    def note(self, text: str) -> None:
        """As `Progress` has it."""
        self.notes.append(text)

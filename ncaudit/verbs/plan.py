"""What any verb would do with these options, without doing it. Knows which module plans which options."""

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


class _Heard:
    """Takes the notes for the plan; all else that is told goes on to whoever listens."""

    def __init__(self, listener: Progress) -> None:
        self._listener = listener
        self.notes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def note(self, text: str) -> None:
        """As `Progress` has it."""
        self.notes.append(text)

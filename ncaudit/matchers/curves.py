"""Training as curves for people: TensorBoard's event files, when they are asked for.

Knows numbers and steps; nothing of how they come about. metrics.jsonl is the record; these files may be deleted.
"""

import os
from collections.abc import Mapping
from typing import Any, Protocol

from ncaudit.errors import NcauditError

FOLDER = "tensorboard"


class Curves(Protocol):
    """Receives the numbers of a run as they come."""

    def step(self, number: int, loss: float, learning_rate: float) -> None:
        """Step `number`, from 1, is done."""

    def epoch(self, line: Mapping[str, Any]) -> None:
        """An epoch is done; `line` is its line of metrics.jsonl."""


class NoCurves:
    """Nobody asked."""

    def step(self, number: int, loss: float, learning_rate: float) -> None: ...

    def epoch(self, line: Mapping[str, Any]) -> None: ...


NO_CURVES = NoCurves()


class TensorBoard:
    """Curves in a folder that `tensorboard --logdir` shows. A rerun takes back what a killed run wrote too far."""

    def __init__(self, out: str) -> None:
        """out: the run's folder. Raises NcauditError where the tensorboard package is missing."""
        try:
            from torch.utils.tensorboard import SummaryWriter  # optional, and slow to import
        except ImportError as error:
            raise NcauditError(
                "--tensorboard needs the tensorboard package", fix="pip install 'ncaudit[tensorboard]'"
            ) from error
        self._open, self._folder = SummaryWriter, os.path.join(out, FOLDER)
        self._writer: Any = None

    def step(self, number: int, loss: float, learning_rate: float) -> None:
        """Loss and learning rate of every step."""
        self._add(number, {"train/loss": loss, "train/learning_rate": learning_rate})

    def epoch(self, line: Mapping[str, Any]) -> None:
        """The scale, and every number of the validation; on disk at once."""
        validation = {f"val/{name}": value for name, value in (line["val"] or {}).items()}
        self._add(line.get("step", 0), {"train/scale": line["scale"], **validation})
        self._writer.flush()

    def _add(self, number: int, values: Mapping[str, float]) -> None:
        if self._writer is None:
            self._writer = self._open(self._folder, purge_step=number)
        for name, value in values.items():
            self._writer.add_scalar(name, value, number)

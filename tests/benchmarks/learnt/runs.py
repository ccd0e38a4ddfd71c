"""One training by `ncaudit train`, with both of its matchers: of the epoch that validates best, and of the last one.

Knows the verb and its folder; nothing of worlds or tables.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from torch import Tensor

import ncaudit
from ncaudit.matchers.heads.projection import save_head_weights
from ncaudit.matchers.towers.folder import save_weights
from ncaudit.matchers.training_folder import TrainingFolder
from ncaudit.options import HEADS, TrainOptions
from ncaudit.verbs.train.train import TrainResult


@dataclass(frozen=True)
class Trained:
    """Folders of both matchers; one and the same where the last epoch is the best."""

    result: TrainResult
    chosen: str
    last: str


def trained(out: Path, **options: Any) -> Trained:
    """Train anew into `out`, which is emptied before."""
    shutil.rmtree(out, ignore_errors=True)
    with _last_weights() as last:
        result = ncaudit.train(TrainOptions(out=str(out), **options))
    if result.kept_epoch == result.epochs:
        return Trained(result, str(out), str(out))
    beside = out.with_name(f"{out.name}-last")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(out, beside)
    (save_head_weights if options.get("tune") == HEADS else save_weights)(last, str(beside))
    return Trained(result, str(out), str(beside))


@contextmanager
def _last_weights() -> Iterator[Mapping[str, Tensor]]:
    """The weights as of the last epoch, once it is over: `train` keeps those of the best, and trains only once."""
    weights: dict[str, Tensor] = {}
    save = TrainingFolder.save_epoch

    def keeping(folder: TrainingFolder, state: Any, *others: Any) -> None:
        weights.clear()
        weights.update({name: tensor.detach().clone() for name, tensor in state["model"].items()})
        save(folder, state, *others)

    with mock.patch.object(TrainingFolder, "save_epoch", keeping):
        yield weights

"""The gradient of a batch is the same at once, in chunks, over two real processes, and in chunks over both."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ncaudit import objectives
from ncaudit.core.gathering import average_gradients
from ncaudit.core.losses.class_losses import ClassTargets
from ncaudit.matchers.steps.backward import backward
from ncaudit.matchers.steps.batch import Batch
from ncaudit.objectives.additions import Additions, with_additions
from tests.worlds import processes

PAIRS = 12
OBJECTIVES = ("infonce", "weighted-infonce", "nirnl", "weighted-infonce, structured", "nirnl, structured")

RANK = """
import sys
import torch
from torch import distributed
sys.path.insert(0, {folder!r})
from test_backward import OBJECTIVES, PAIRS, learnt, pairs

distributed.init_process_group("gloo")
rank, half = distributed.get_rank(), PAIRS // 2
own = pairs().take(torch.arange(half) + rank * half)
found = {{(name, chunk): learnt(own, name, chunk) for name in OBJECTIVES for chunk in (None, 4)}}
torch.save(found, {out!r} + f"/{{rank}}.pt")
distributed.destroy_process_group()
"""


class Towers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = nn.Linear(6, 4), nn.Linear(5, 4)
        self.logit_scale = nn.Parameter(torch.tensor(1.5))

    def encode(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        image, text = self.image(batch.image), self.text(batch.text)
        return nn.functional.normalize(image, dim=-1), nn.functional.normalize(text, dim=-1)


def pairs() -> Batch:
    """Unequal labels, and a photo and a caption that occur in both halves: no rank knows its negatives alone."""
    generator = torch.Generator().manual_seed(1)
    photo, caption = torch.arange(PAIRS), torch.arange(PAIRS)
    photo[PAIRS - 1], caption[PAIRS - 2] = 0, 1
    image, text = torch.randn(PAIRS, 6, generator=generator), torch.randn(PAIRS, 5, generator=generator)
    label, centres = torch.rand(PAIRS, generator=generator), torch.randn(3, 4, generator=generator)
    row = torch.arange(PAIRS)
    carried = torch.eye(3, dtype=torch.bool)[row % 3]
    targets = ClassTargets(carried, (row % 4 - 1).to(torch.int8), row // 4, torch.linspace(0, 1, PAIRS), centres)
    return Batch(image, text, label, photo, caption, targets=targets)


def learnt(batch: Batch, objective: str, chunk_pairs: int | None) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Loss and averaged gradients."""
    towers = Towers()
    name, _, structured = objective.partition(",")
    asked = Additions(structure_weight=0.5 if structured else None)
    found = with_additions(objectives.get_any(name), asked)
    batch_loss = found.loss if isinstance(found, objectives.ClassObjective) else found.batch_loss
    loss = backward(batch, towers.encode, batch_loss, towers.logit_scale, chunk_pairs=chunk_pairs)
    average_gradients(towers.parameters())
    gradients = [parameter.grad for parameter in towers.parameters()]
    assert (gradients[0] is None) == (name == "nirnl")  # the temperature, which that loss does not ask
    return loss, [gradient for gradient in gradients if gradient is not None]


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("chunk_pairs", [1, 5, PAIRS, PAIRS + 1])
def test_chunks_change_nothing(objective, chunk_pairs):
    found, expected = (learnt(pairs(), objective, chunk) for chunk in (chunk_pairs, None))
    assert_close(found, expected, atol=1e-5, rtol=0)
    assert not found[0].requires_grad


@pytest.mark.slow
def test_two_ranks_change_nothing_with_and_without_chunks(tmp_path):
    program = RANK.format(folder=str(Path(__file__).parent), out=str(tmp_path))
    for done in processes.ranks([sys.executable, "-c", program]):
        assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        for (name, chunk), found in torch.load(tmp_path / f"{rank}.pt", weights_only=True).items():
            assert_close(found, learnt(pairs(), name, None), atol=1e-5, rtol=0, msg=f"rank {rank}, {name}, {chunk}")

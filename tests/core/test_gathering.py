"""Two real ranks together compute what one process computes on the whole batch."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ncaudit.core.gathering import average_gradients, gather_rows
from ncaudit.core.losses.pair_losses import batch_negatives, infonce_loss
from tests.worlds import processes

PAIRS = 12

RANK = """
import sys
import torch
from torch import distributed
sys.path.insert(0, {folder!r})
from test_gathering import PAIRS, Matcher, loss_and_gradients, pairs
from ncaudit.core.gathering import average_gradients, gather_rows

distributed.init_process_group("gloo")
rank, half = distributed.get_rank(), PAIRS // 2
loss, gradients = loss_and_gradients(Matcher(), *(part[rank * half : (rank + 1) * half] for part in pairs()))
order = gather_rows(torch.arange(half) + rank * half)
torch.save((loss, gradients, order), {folder_out!r} + f"/{{rank}}.pt")
distributed.destroy_process_group()
"""


class Matcher(nn.Module):
    """Two linear towers and a temperature: what acts before the gathering, and what acts after it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image, self.text = nn.Linear(6, 4), nn.Linear(5, 4)
        self.unused = nn.Parameter(torch.ones(2))
        self.logit_scale = nn.Parameter(torch.tensor(1.5))


def pairs() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(PAIRS, 6, generator=generator), torch.randn(PAIRS, 5, generator=generator)


def loss_and_gradients(matcher: Matcher, image: torch.Tensor, text: torch.Tensor) -> tuple[torch.Tensor, list]:
    rows = [nn.functional.normalize(tower, dim=-1) for tower in (matcher.image(image), matcher.text(text))]
    image, text = (gather_rows(side) for side in rows)
    negatives = batch_negatives(image @ text.T)
    loss = infonce_loss(*negatives[:3], scale=matcher.logit_scale.exp(), allowed=negatives.allowed).mean()
    loss.backward()
    average_gradients(matcher.parameters())
    return loss.detach(), [parameter.grad for parameter in matcher.parameters()]


@pytest.mark.slow
def test_two_ranks_give_the_loss_and_the_gradients_of_one_process_on_the_whole_batch(tmp_path):
    program = RANK.format(folder=str(Path(__file__).parent), folder_out=str(tmp_path))
    for done in processes.ranks([sys.executable, "-c", program]):
        assert done.returncode == 0, done.stderr
    loss, gradients = loss_and_gradients(Matcher(), *pairs())
    for rank in (0, 1):
        rank_loss, rank_gradients, order = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert_close(rank_loss, loss, atol=1e-5, rtol=0)
        assert [gradient is None for gradient in rank_gradients] == [gradient is None for gradient in gradients]
        for ours, whole in zip(rank_gradients, gradients, strict=True):
            if whole is not None:
                assert_close(ours, whole, atol=1e-5, rtol=0)
        assert order.tolist() == list(range(PAIRS))


def test_without_ranks_rows_and_gradients_stay_what_they_are():
    rows = torch.ones(3, 2, requires_grad=True)
    assert gather_rows(rows) is rows
    weight = nn.Parameter(torch.ones(2))
    (weight * 3).sum().backward()
    average_gradients([weight])
    assert weight.grad.tolist() == [3, 3]

"""How a pair stands against a fixed bank of rivals, and the two scores that read it: negCLIPLoss and NCR's self-label.

Knows unit rows and a bank; nothing of how the bank was chosen or of what a score is used for.
Notation: s_ij = cosine of image i and caption j; p = softmax of s_ii among the rivals' captions, q among their images.
Everything is computed from log odds: 1 - p of a good pair is far below float32's last digit of 1, but not of log odds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from ncaudit.core.neighbours.bank import Bank, row_blocks, strangers
from ncaudit.core.parallel import in_parallel

SCALES = (5.0, 10.0, 14.3, 20.0, 30.0, 50.0, 70.0, 100.0)  # 1 / temperature, from that of loose models to CLIP's own
SCALE_PAIRS = 1_024  # that choose the scale


def log_odds(
    image: Tensor, text: Tensor, groups: Sequence[Tensor], bank: Bank, *, scale: float
) -> tuple[Tensor, Tensor]:
    """Log odds of the pair's own caption against the bank's captions, and of its own image against the bank's images.

    image, text: (n, d) unit rows, row i of both is pair i. groups: photo and caption ids, (n,) int64 each: a bank pair
    that shares one is no rival, so neither is the pair itself. scale: > 0, 1 / temperature.
    Returns two (n,), log p_ii / (1 - p_ii) and log q_ii / (1 - q_ii); higher = likelier to correspond; +inf for a pair
    without rivals. Memory beside the inputs is bounded, whatever n and the bank.

    >>> bank = Bank(torch.eye(3), torch.eye(3), torch.arange(3), torch.arange(3))
    >>> log_odds(bank.image, bank.text, bank.groups, bank, scale=1.0)[0]  # 1 - log(e^0 + e^0)
    tensor([0.3069, 0.3069, 0.3069])
    """
    blocks = row_blocks(len(image), len(bank))
    parts = in_parallel(
        lambda rows: _block_odds(image[rows], text[rows], [ids[rows] for ids in groups], bank, scale), blocks
    )
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def neg_clip_loss(image_odds: Tensor, text_odds: Tensor, *, scale: float) -> Tensor:
    """s_ii - (T/2) log sum_j e^(s_ij/T) - (T/2) log sum_j e^(s_ji/T), the pair itself among the j, T = 1 / scale.

    image_odds, text_odds: (n,), as `log_odds` returns them. Returns (n,) <= 0, in units of cosine; higher = likelier to
    correspond. negCLIPLoss (Wang et al., NeurIPS 2024): the InfoNCE loss of a pair, times -T.

    >>> neg_clip_loss(torch.tensor([0.0]), torch.tensor([0.0]), scale=10.0)  # p = q = 1/2: -log 2 / 10
    tensor([-0.0693])
    """
    return -(softplus(-image_odds) + softplus(-text_odds)) / (2 * scale)


def self_label_loss(image_odds: Tensor, text_odds: Tensor) -> Tensor:
    """-log((p_ii + q_ii) / 2).

    image_odds, text_odds: (n,), as `log_odds` returns them. Returns (n,) >= 0; lower = likelier to correspond. One
    direction that fits is enough for a loss under log 2: a mean of probabilities forgives where InfoNCE's mean of logs
    does not. NCR's and CREAM's self-labelled probability (Huang et al., NeurIPS 2021).

    >>> self_label_loss(torch.tensor([0.0]), torch.tensor([torch.inf]))  # p = 1/2, q = 1: -log 3/4
    tensor([0.2877])
    """
    doubt = ((-image_odds).sigmoid() + (-text_odds).sigmoid()) / 2
    far = -torch.logaddexp(logsigmoid(image_odds), logsigmoid(text_odds)) + torch.log(doubt.new_tensor(2.0))
    return torch.where(doubt < 0.5, -torch.log1p(-doubt), far)  # each is exact where the other runs out of digits


def likeliest_scale(bank: Bank, scales: Sequence[float] = SCALES) -> float:
    """The scale at which the bank's own pairs are likeliest: that of the least mean InfoNCE loss.

    The temperature belongs to the model and stands in no table. Asked of the first SCALE_PAIRS pairs of the bank.

    >>> likeliest_scale(Bank(torch.eye(3), torch.eye(3), torch.arange(3), torch.arange(3)))  # all right: the sharpest
    100.0
    """
    few = bank.head(SCALE_PAIRS)

    def mean_loss(scale: float) -> float:
        odds = log_odds(few.image, few.text, few.groups, few, scale=scale)
        return -scale * float(neg_clip_loss(*odds, scale=scale).mean())

    return min(scales, key=mean_loss)


def _block_odds(
    image: Tensor, text: Tensor, groups: Sequence[Tensor], bank: Bank, scale: float
) -> tuple[Tensor, Tensor]:
    own = scale * (image * text).sum(dim=1)
    excluded = ~strangers(groups, bank.groups)
    among_captions = (scale * image @ bank.text.T).masked_fill_(excluded, -torch.inf).logsumexp(dim=1)
    among_images = (scale * text @ bank.image.T).masked_fill_(excluded, -torch.inf).logsumexp(dim=1)
    return own - among_captions, own - among_images

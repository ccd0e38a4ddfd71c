"""How well a matcher retrieves by class, on the validation pairs. Knows unit rows and classes; nothing of files."""

import torch
from torch import Tensor

from ncaudit.core.metrics.mean_average_precision import NO_CLASS, mean_average_precision

FIRST = 1  # the measure also tells the MAP of so many first items, which nobody asks for here


def class_maps(image: Tensor, text: Tensor, image_of_text: Tensor, carried: Tensor) -> dict[str, float]:
    """Mean average precision over the whole ranking, both ways, and their mean, `map`: in [0, 1].

    image: (m, d), text: (n, d) float32 unit rows. image_of_text: (n,) int64. carried: (n, C) bool, the classes of each
    caption's pair; an image has those of all its pairs. What has none is neither asked about nor ranked; nan where
    nothing has any.
    """
    of_image = torch.zeros(len(image), carried.shape[1], dtype=torch.int32, device=carried.device)
    of_image.index_add_(0, image_of_text, carried.int())
    shown, told = of_image.any(dim=1), carried.any(dim=1)
    rows, numbers = (image[shown], text[told]), (class_numbers(of_image[shown] > 0), class_numbers(carried[told]))
    i2t = mean_average_precision(*rows, *numbers, k=FIRST).map_all
    t2i = mean_average_precision(*reversed(rows), *reversed(numbers), k=FIRST).map_all
    return {"i2t_map": i2t, "t2i_map": t2i, "map": (i2t + t2i) / 2}


def class_numbers(carried: Tensor) -> Tensor:
    """(n, C) bool as the (n, most) int64 numbers of each row's classes, filled up with -1.

    >>> class_numbers(torch.tensor([[True, False, True], [False, True, False]])).tolist()
    [[0, 2], [1, -1]]
    """
    most = int(carried.sum(dim=1).max()) if len(carried) else 0
    numbers = torch.arange(carried.shape[1], device=carried.device).expand_as(carried)
    last = carried.shape[1]  # after every class
    ordered = numbers.where(carried, last).sort(dim=1).values[:, : max(1, most)]
    return ordered.masked_fill(ordered == last, NO_CLASS)

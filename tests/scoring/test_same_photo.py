"""Near-equal photos under different ids become one photo."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.scoring.pairs import Pairs
from ncaudit.scoring.same_photo import SamePhotos, find

CPU = torch.device("cpu")


def photos(n: int = 60, seed: int = 0) -> Tensor:
    return normalize(torch.randn(n, 16, generator=torch.Generator().manual_seed(seed)), dim=1)


def nearly(image: Tensor, seed: int = 9) -> Tensor:
    """As after encoding again: a cosine of about .9999."""
    return normalize(image + 0.003 * torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def pairs(image: Tensor, ids: list[int] | None = None, **more: object) -> Pairs:
    n = len(image)
    photo = torch.arange(100, 100 + n) if ids is None else torch.tensor(ids)
    return Pairs(image, image, photo, torch.arange(n), [""] * n, **more)  # type: ignore[arg-type]


def with_copy() -> Pairs:
    """Photo 103 is there again, encoded otherwise, as photo 110."""
    image = photos()
    image[10] = nearly(image[3])
    return pairs(image)


def test_a_photo_that_was_encoded_again_is_the_photo() -> None:
    asked = with_copy()
    expected = [100 + i for i in range(60)]
    expected[10] = 103
    assert find(asked).of(asked).image_id.tolist() == expected


def test_without_near_equal_photos_nothing_changes() -> None:
    asked = pairs(photos())
    assert find(asked).of(asked) is asked


def test_near_equal_photos_form_chains() -> None:
    image = photos()
    image[10], image[20], image[30] = nearly(image[3], 1), nearly(image[3], 2), nearly(image[3], 3)
    asked = pairs(image)
    assert find(asked).of(asked).image_id[[3, 10, 20, 30]].tolist() == [103] * 4


def test_a_new_pair_of_such_a_photo_takes_its_identity() -> None:
    asked = with_copy()
    new = pairs(torch.cat([nearly(asked.image[3:4], 5), photos(1, seed=7)]), [5000, 5001])
    assert find(asked).of(new).image_id.tolist() == [103, 5001]


def test_every_caption_of_the_copy_goes_along() -> None:
    asked = with_copy()
    twice = asked.take(torch.cat([torch.arange(60), torch.tensor([10, 10, 3])]))
    assert find(twice).of(twice).image_id[[10, 60, 61, 62]].tolist() == [103] * 4


def test_the_pairs_beside_are_treated_alike() -> None:
    asked = with_copy()
    beside = find(asked).of(replace(asked.head(2), beside=asked)).beside
    assert beside is not None
    assert beside.image_id[[3, 10, 11]].tolist() == [103, 103, 111]


@pytest.mark.parametrize("dims", [16, 512])
@pytest.mark.parametrize("seed", range(5))
def test_photos_that_are_all_equal_are_one_photo(dims: int, seed: int) -> None:
    # the cosine of a unit row with itself is 1 only up to rounding, and the median distance is 0
    image = normalize(torch.randn(1, dims, generator=torch.Generator().manual_seed(seed)), dim=1)
    asked = pairs(image.expand(40, -1).contiguous())
    assert find(asked).of(asked).image_id.tolist() == [100] * 40


def test_one_pair_alone_is_itself() -> None:
    asked = pairs(photos(1))
    assert find(asked).of(asked).image_id.tolist() == [100]


def test_saved_identities_are_the_same() -> None:
    asked = with_copy()
    found = find(asked)
    again = SamePhotos.saved(found.tensors(), found.limit, CPU)
    assert again.of(asked).image_id.tolist() == found.of(asked).image_id.tolist()

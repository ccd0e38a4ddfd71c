"""MAP of validation pairs by class, worked by hand."""

import pytest
import torch

from ncaudit.verbs.train.class_validation import class_maps


def test_an_image_has_the_classes_of_all_its_captions_and_what_has_none_is_left_out():
    # image 0 with captions 0 (class 0) and 1 (class 1), image 1 with caption 2 (class 1), image 2 with 3 (none)
    image = torch.eye(3)
    text = torch.nn.functional.normalize(torch.tensor([[1, 0.5, 0], [0.1, 1, 0], [0.5, 1, 0], [0, 0, 1]]), dim=1)
    carried = torch.tensor([[1, 0], [0, 1], [0, 1], [0, 0]], dtype=torch.bool)
    found = class_maps(image, text, torch.tensor([0, 0, 1, 2]), carried)
    # image 0 finds all three; image 1 (class 1) ranks captions 1, 2, 0: both relevant ones first
    assert found["i2t_map"] == pytest.approx(1)
    # caption 0 (class 0): image 0 first of two; captions 1 and 2 (class 1): both images are relevant
    assert found["t2i_map"] == pytest.approx(1)
    carried = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 0]], dtype=torch.bool)
    found = class_maps(image, text, torch.tensor([0, 0, 1, 2]), carried)
    # image 0 (class 0) ranks captions 0, 2, 1: (1 + 2/3) / 2; image 1 (class 1) ranks 1, 2, 0: 1/2
    assert found["i2t_map"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    # caption 0 (class 0): 1; caption 1 (class 0) ranks image 1 first: 1/2; caption 2 (class 1): 1
    assert found["t2i_map"] == pytest.approx(2.5 / 3)
    assert found["map"] == pytest.approx((found["i2t_map"] + found["t2i_map"]) / 2)

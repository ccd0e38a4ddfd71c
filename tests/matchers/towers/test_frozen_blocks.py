"""`last:N`: which weights learn, in the towers that open_clip builds."""

import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from torch import nn

from ncaudit.encoders.open_clip import load_encoder
from ncaudit.errors import NcauditError
from ncaudit.matchers.towers.frozen_blocks import learn_last_blocks
from ncaudit.options import ModelOptions, Precision
from tests.worlds.sample import TINY

TEXT = {"context_length": 16, "vocab_size": 100, "width": 32, "heads": 2, "layers": 3}
VIT = {"image_size": 32, "layers": 4, "width": 64, "patch_size": 16, "head_width": 32}
AFTER_TEXT = {"ln_final.weight", "ln_final.bias", "text_projection"}


def timm(name: str, **more: object) -> dict:
    return {"image_size": 32, "timm_model_name": name, "timm_pool": "", "timm_proj": "linear", **more}


def learning(model: nn.Module, count: int) -> set[str]:
    learn_last_blocks(model, count)
    return {name for name, value in model.named_parameters() if value.requires_grad}


def within(model: nn.Module, *prefixes: str) -> set[str]:
    names = {name for name, _ in model.named_parameters()}
    assert all(any(name.startswith(prefix) for name in names) for prefix in prefixes), prefixes
    return {name for name in names if name.startswith(prefixes)}


def test_a_clip_with_a_resnet_learns_in_stages_of_it_and_in_blocks_of_its_text_tower():
    model = load_encoder(ModelOptions(model=TINY, precision=Precision.float32, device="cpu")).model
    ends = within(model, "visual.attnpool.") | AFTER_TEXT | {"logit_scale"}
    last = within(model, "visual.layer4.", "transformer.resblocks.1.")
    assert learning(model, 1) == ends | last
    assert learning(model, 2) == ends | last | within(model, "visual.layer3.", "transformer.resblocks.0.")
    all_of_text = within(model, "transformer.resblocks.")  # it has two: its embeddings stay as they are
    assert learning(model, 3) == ends | all_of_text | within(model, *(f"visual.layer{i}." for i in (2, 3, 4)))


def test_a_vit_learns_in_its_last_blocks_its_last_norm_and_its_projection():
    model = CLIP(32, VIT, TEXT)
    blocks = within(model, "visual.transformer.resblocks.2.", "visual.transformer.resblocks.3.")
    text = within(model, "transformer.resblocks.1.", "transformer.resblocks.2.")
    ends = within(model, "visual.ln_post.") | AFTER_TEXT | {"visual.proj", "logit_scale"}
    assert learning(model, 2) == blocks | text | ends


@pytest.mark.parametrize(
    ("vision", "last"),
    [
        (timm("vit_tiny_patch16_224"), ("visual.trunk.blocks.11.", "visual.trunk.norm.", "visual.head.")),
        (timm("convnext_atto"), ("visual.trunk.stages.3.", "visual.trunk.head.", "visual.head.")),
        (timm("resnet10t", timm_pool="avg"), ("visual.trunk.layer4.", "visual.head.")),
    ],
    ids=["vit", "convnext", "resnet"],
)
def test_a_timm_tower_beside_a_text_tower_of_its_own_learns_in_its_last_block(vision, last):
    model = CustomTextCLIP(32, vision, TEXT)
    text = within(model, "text.transformer.resblocks.2.", "text.ln_final.", "text.text_projection")
    assert learning(model, 1) == within(model, *last) | text | {"logit_scale"}


def test_what_lies_before_the_learning_blocks_has_no_graph():
    model = CLIP(32, VIT, TEXT)
    learn_last_blocks(model, 1)
    graphs = {}
    for i, block in enumerate(model.visual.transformer.resblocks):
        block.register_forward_hook(lambda _, __, out, i=i: graphs.update({i: out.requires_grad}))
    model.encode_image(torch.rand(2, 3, 32, 32)).sum().backward()
    assert graphs == {0: False, 1: False, 2: False, 3: True}


def test_more_blocks_than_any_tower_has_are_refused_with_what_there_is():
    with pytest.raises(NcauditError) as error:
        learn_last_blocks(CLIP(32, VIT, TEXT), 5)
    assert error.value.message == "last:5 asks for more blocks than any tower has (image: 4, text: 3)"
    assert "last:1 to last:4" in error.value.fix


def test_a_tower_whose_blocks_are_unknown_is_refused_by_the_name_of_its_class():
    class Strange(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers_of_its_own = nn.Linear(2, 2)

    model = CLIP(32, VIT, TEXT)
    model.visual = Strange()
    before = {name: value.requires_grad for name, value in model.named_parameters()}
    with pytest.raises(NcauditError, match="the blocks of the image tower cannot be found: Strange keeps them"):
        learn_last_blocks(model, 1)
    assert {name: value.requires_grad for name, value in model.named_parameters()} == before

"""Random but saved open_clip models, one of each kind of text tower."""

import copy
import json
import logging

import open_clip
import pytest
import torch
from safetensors.torch import save_file

PREPROCESS = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
BASE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
CHANGES = {
    "clip": {},
    "quickgelu": {"quick_gelu": True},
    "custom_eos": {"custom_text": True, "text_cfg": {"pool_type": "eos", "eos_id": 49407}},
    "resnet": {
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 64, "image_size": 64, "patch_size": None}
    },
    "siglip": {"custom_text": True, "init_logit_bias": -10, "text_cfg": {"no_causal_mask": True, "pool_type": "last"}},
    "both_ways": {"custom_text": True, "text_cfg": {"no_causal_mask": True}},
    "last": {"custom_text": True, "text_cfg": {"pool_type": "last"}},
    "coca": {
        "custom_text": True,
        "vision_cfg": {"attentional_pool": True, "output_tokens": True},
        "text_cfg": {"context_length": 76, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 76, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 1},
    },
}


def _save_model(folder, kind="clip", seed=0, preprocess=None):
    """An open_clip folder with random weights, drawn larger than at the start of training so that rows differ."""
    config = copy.deepcopy(BASE)
    for key, change in CHANGES[kind].items():
        config[key] = {**config.get(key, {}), **change} if isinstance(change, dict) else change
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"model_cfg": config, "preprocess_cfg": {**PREPROCESS, **(preprocess or {})}}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    torch.manual_seed(seed)
    logging.disable(logging.CRITICAL)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    logging.disable(logging.NOTSET)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return str(folder)


@pytest.fixture
def save_model():
    """`save_model(folder, kind="clip", seed=0)` makes such a folder."""
    return _save_model


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder of each kind of model, made when first asked for."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def get(kind):
        if kind not in made:
            made[kind] = _save_model(root / kind, kind)
        return made[kind]

    return get

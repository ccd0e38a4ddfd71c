"""An encoder gives what open_clip gives, as unit rows, or says why there is none."""

import json
import logging
import warnings

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional

from ncaudit.encoders import open_clip as ours
from ncaudit.encoders.open_clip import ModelIdentity, load_encoder, model_source
from ncaudit.errors import ModelUnavailable
from ncaudit.options import ModelOptions

TRIMMED = ("clip", "quickgelu", "custom_eos", "resnet")
PADDED = ("siglip", "both_ways", "last", "coca")

CAPTIONS = [
    "a dog", "", "x" * 5000, "two red squares above a blue circle " * 30, "<end_of_text> and a hidden tail",
    "ảnh cậu bé", "A & B &amp; C",
]  # fmt: skip


def load(folder, **more):
    return load_encoder(ModelOptions(**{"model": folder, "device": "cpu", "precision": "float32", **more}))


@pytest.fixture(scope="session")
def encoders(models):
    """The float32 encoder of each kind of model, loaded once; to be left as it is."""
    loaded = {}

    def get(kind):
        if kind not in loaded:
            loaded[kind] = load(models(kind))
        return loaded[kind]

    return get


def stock(folder):
    logging.disable(logging.CRITICAL)
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    logging.disable(logging.NOTSET)
    return model, tokenizer


@pytest.mark.parametrize("kind", TRIMMED + PADDED)
def test_captions_equal_the_stock_padded_encode_text(models, encoders, kind):
    encoder = encoders(kind)
    model, tokenizer = stock(models(kind))
    with torch.inference_mode():
        expected = functional.normalize(model.encode_text(tokenizer(CAPTIONS)), dim=-1)
    cosine = (encoder.encode_captions(CAPTIONS) * expected).sum(dim=-1)
    assert cosine.min() > 0.99999
    assert encoder.trims == (kind in TRIMMED)


@pytest.mark.parametrize("kind", TRIMMED)
def test_trimming_really_trims(encoders, kind):
    encoder = encoders(kind)
    seen = []
    tower = getattr(encoder.model, "text", encoder.model)
    hook = tower.transformer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    encoder.encode_captions(["a dog", "a dog and a cat"])
    hook.remove()
    assert seen == [7]  # start, five words, end
    assert encoder.lengths(encoder.tokenize(["a dog", "a dog and a cat"])).tolist() == [4, 7]


@pytest.mark.parametrize("kind", PADDED)
def test_the_other_towers_see_their_whole_context(encoders, kind):
    encoder = encoders(kind)
    tokens = encoder.tokenize(["a dog"])
    assert encoder.lengths(tokens).tolist() == [tokens.shape[1]]


def test_the_check_at_load_catches_a_tower_that_only_looks_trimmable(models, monkeypatch):
    wrong = ours.encode_trimmed
    monkeypatch.setattr(ours, "encode_trimmed", lambda tower, tokens: wrong(tower, tokens.flip(0)))
    encoder = load(models("clip"))
    assert not encoder.trims


@pytest.mark.parametrize("kind", ["clip", "resnet", "coca"])
def test_images_equal_the_stock_encode_image(models, encoders, kind):
    encoder = encoders(kind)
    model, _ = stock(models(kind))
    pixels = np.random.default_rng(0).integers(0, 256, (5, *encoder.preprocess.size, 3), np.uint8)
    floats = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (encoder.preprocess.mean, encoder.preprocess.std))
    with torch.inference_mode():
        expected = functional.normalize(model.encode_image((floats - mean) / std), dim=-1)
    torch.testing.assert_close(encoder.encode_images(pixels), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["clip", "resnet", "siglip"])
def test_bfloat16_agrees_with_float32(models, encoders, kind):
    exact, half = encoders(kind), load(models(kind), precision="bfloat16")
    pixels = np.random.default_rng(1).integers(0, 256, (5, *exact.preprocess.size, 3), np.uint8)
    assert half.identity.precision == "bfloat16"
    assert half.identity.weight_hash == exact.identity.weight_hash  # of the weights as they were loaded
    assert (exact.encode_images(pixels) * half.encode_images(pixels)).sum(dim=-1).min() > 0.999
    assert (exact.encode_captions(CAPTIONS) * half.encode_captions(CAPTIONS)).sum(dim=-1).min() > 0.999


def test_a_row_that_is_zero_or_not_finite_is_nan_and_the_others_are_fine(encoders, monkeypatch):
    encoder = encoders("clip")
    rows = torch.tensor([[3.0, 4.0], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]])
    monkeypatch.setattr(encoder.model, "encode_image", lambda _: rows)
    encoded = encoder.encode_images(np.zeros((4, 32, 32, 3), np.uint8))
    torch.testing.assert_close(encoded[0], torch.tensor([0.6, 0.8]))
    assert encoded[1:].isnan().all()


def test_an_endless_caption_takes_no_endless_time(encoders):
    encoder = encoders("clip")
    tokens = encoder.tokenize(["a" * 1_000_000, " " * 1_000_000 + "dog", "word " * 200_000, "&amp;" * 200_000])
    assert tokens.shape == (4, 77)
    assert torch.equal(tokens[1], encoder.tokenize(["dog"])[0])


def test_the_tokenizer_does_not_remember_every_word(encoders, monkeypatch):
    monkeypatch.setattr(ours, "WORDS_REMEMBERED", 100)
    encoder = encoders("clip")
    before = encoder.tokenize(["a rare zxqv <end_of_text>"])
    for i in range(20):
        encoder.tokenize([f"w{'q' * i}x{j:b}v" for j in range(30)])
    assert len(encoder._tokenizer.cache) < 400
    assert torch.equal(encoder.tokenize(["a rare zxqv <end_of_text>"]), before)


def test_the_identity_tells_models_apart_and_holds_no_path(encoders, save_model, tmp_path):
    one = encoders("clip").identity
    other = load(save_model(tmp_path / "clip", "clip", seed=1)).identity
    assert one.name == other.name == "local-dir:clip"
    assert one.weight_hash != other.weight_hash
    assert encoders("quickgelu").identity.activation == "quickgelu"
    assert (one.activation, one.image_dims, one.text_dims) == ("gelu", 32, 32)
    assert ModelIdentity.from_dict(json.loads(json.dumps(one.as_dict()))) == one
    assert str(tmp_path) not in json.dumps(other.as_dict())


def test_a_folder_can_be_named_with_and_without_local_dir(models, encoders):
    assert encoders("clip").identity == load(f"local-dir:{models('clip')}").identity


def test_a_weights_file_goes_with_an_open_clip_name(tmp_path, monkeypatch, models, encoders):
    config = json.loads((tmp_path / models("clip") / "open_clip_config.json").read_text())["model_cfg"]
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Tiny", config)
    weights = f"{models('clip')}/open_clip_model.safetensors"
    identity = load("Tiny", pretrained=weights).identity
    assert identity.name == "Tiny/open_clip_model.safetensors"
    assert identity.weight_hash == encoders("clip").identity.weight_hash


def test_a_folder_without_weights_is_refused_not_filled_at_random(tmp_path, models):
    (tmp_path / "empty").mkdir()
    config = open(f"{models('clip')}/open_clip_config.json").read()
    (tmp_path / "empty" / "open_clip_config.json").write_text(config)
    with pytest.raises(ModelUnavailable, match="holds no weights"):
        load(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("model", "pretrained", "message", "fix"),
    [
        ("ViT-B-33", "openai", "no model is called ViT-B-33", "local-dir:"),
        ("ViT-B-32", "laion9b", "has no weights called 'laion9b' \\(known: openai", "--pretrained"),
        ("local-dir:/nowhere", "", "/nowhere is no model folder", "folder"),
        ("ViT-B-32-quickgelu", "laion2b_s34b_b79k", "has no weights called", "--pretrained"),
    ],
)
def test_what_cannot_be_had_is_said_with_a_way_out(model, pretrained, message, fix):
    with pytest.raises(ModelUnavailable, match=message) as caught:
        load(model, pretrained=pretrained)
    assert fix in caught.value.fix


def test_without_a_network_the_error_names_the_local_way(monkeypatch):
    monkeypatch.setattr(
        open_clip.factory, "download_pretrained", lambda *a, **k: (_ for _ in ()).throw(OSError("offline"))
    )
    with pytest.raises(ModelUnavailable, match=r"ViT-B-32/openai cannot be downloaded: .*offline") as caught:
        load("ViT-B-32", pretrained="openai")
    assert "local-dir:" in caught.value.fix


def test_damaged_weights_are_two_lines_not_a_traceback(save_model, tmp_path):
    folder = save_model(tmp_path / "damaged")
    with open(f"{folder}/open_clip_model.safetensors", "r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelUnavailable, match="safetensors cannot be loaded: it was cut"):
        load(folder)


def test_weights_behind_a_quickgelu_tag_get_quickgelu():
    assert ours._needs_quick_gelu(model_source(ModelOptions(model="ViT-B-32", pretrained="openai")))
    assert not ours._needs_quick_gelu(model_source(ModelOptions(model="ViT-B-32", pretrained="laion2b_s34b_b79k")))


def test_gelu_weights_in_a_quickgelu_model_are_refused(monkeypatch):
    monkeypatch.setattr(ours, "get_pretrained_cfg", lambda *_: {"url": "x"})
    with pytest.raises(ModelUnavailable, match="QuickGELU") as caught:
        load("ViT-B-32-quickgelu", pretrained="laion2b_s34b_b79k")
    assert caught.value.fix == "give --model ViT-B-32"


def test_a_model_that_needs_transformers_says_what_to_install(monkeypatch):
    monkeypatch.setattr(ours.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelUnavailable, match="needs transformers") as caught:
        load("xlm-roberta-base-ViT-B-32", pretrained="laion5b_s13b_b90k")
    assert caught.value.fix == "pip install 'ncaudit[hf]'"


def test_loading_says_nothing_and_leaves_logging_as_it_was(models, capfd):
    handlers, level = list(logging.getLogger().handlers), logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(models("clip"))
    assert capfd.readouterr() == ("", "")
    assert (list(logging.getLogger().handlers), logging.root.manager.disable) == (handlers, level)


def test_the_sample_model_brings_its_own_vocabulary(pytestconfig):
    folder = pytestconfig.rootpath / "sample_data" / "tiny-clip"
    if not folder.is_dir():
        pytest.skip("no sample model in this checkout")
    encoder = load(str(folder))
    tokens = encoder.tokenize(["a red circle above a blue square", "x"])
    assert tokens.max() < encoder.model.vocab_size < 49408
    assert encoder.trims
    assert model_source(ModelOptions(model=str(folder))).fingerprint() is not None


def test_the_fingerprint_of_a_folder_follows_its_files(save_model, tmp_path):
    folder = save_model(tmp_path / "m")
    before = model_source(ModelOptions(model=folder)).fingerprint()
    assert model_source(ModelOptions(model=folder)).fingerprint() == before
    save_model(tmp_path / "m", seed=1)
    assert model_source(ModelOptions(model=folder)).fingerprint() != before
    assert model_source(ModelOptions(model="ViT-B-32", pretrained="openai")).fingerprint() is None

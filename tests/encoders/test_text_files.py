"""A model folder is whole or says what it lacks: whatever its text tower, nothing is asked of the hub."""

import json
import os
import shutil
from contextlib import suppress

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from ncaudit.encoders.open_clip import load_encoder, model_source
from ncaudit.errors import ModelUnavailable
from ncaudit.matchers.towers.folder import save_description, save_weights
from ncaudit.options import ModelOptions
from tests.worlds.families import TOWERS, save_tokenizer, tiny_settings
from tests.worlds.hub import Hub, asking, serving

KINDS = tuple(TOWERS)
CAPTIONS = ["a dog", "two red squares above a blue circle", "x"]
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """One that has nothing, and remembers whether it was asked."""
    with serving(Hub()) as hub:
        asking(hub, monkeypatch, tmp_path / "cache")
        yield hub
    assert hub.asked == []


def load(folder):
    return load_encoder(ModelOptions(model=f"local-dir:{folder}", device="cpu", precision="float32"))


def refused(folder):
    with pytest.raises(ModelUnavailable) as caught:
        load(folder)
    assert "\n" not in caught.value.message + caught.value.fix
    return f"{caught.value.message} | {caught.value.fix}"


def described(folder, kind="xlm-roberta", **files):
    """A folder of that kind whose weights are none yet, with these files beside them; None leaves one out."""
    folder.mkdir()
    whole = {"open_clip_config.json": json.dumps(tiny_settings(kind)), "config.json": json.dumps(TOWERS[kind]),
             "tokenizer.json": "{}", WEIGHTS: ""}  # fmt: skip
    for name, text in {**whole, **files}.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folder of each kind with random weights, and the model that it was saved from."""
    pytest.importorskip("transformers")
    from tests.worlds.families import save_tiny

    root, made = tmp_path_factory.mktemp("models"), {}

    def get(kind):
        if kind not in made:
            made[kind] = (root / kind, save_tiny(root / kind, kind))
        return made[kind]

    return get


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_tower_of_transformers_is_built_from_the_folder_alone(saved, kind):
    folder, model = saved(kind)
    encoder = load(folder)
    with torch.inference_mode():
        expected = functional.normalize(model.encode_text(encoder.tokenize(CAPTIONS)), dim=-1)
    torch.testing.assert_close(encoder.encode_captions(CAPTIONS), expected, atol=1e-6, rtol=0)


def test_its_configuration_may_lie_where_the_model_names_it_or_within_that_of_both_towers(saved, tmp_path):
    folder, _ = saved("xlm-roberta")
    rows = load(folder).encode_captions(CAPTIONS)
    below = shutil.copytree(folder, tmp_path / "below")
    (below / "xlm-roberta-base").mkdir()
    shutil.move(below / "config.json", below / "xlm-roberta-base/config.json")
    both = shutil.copytree(folder, tmp_path / "both")
    (both / "config.json").write_text(json.dumps({"model_type": "clip", "text_config": TOWERS["xlm-roberta"]}))
    for other in (below, both):
        assert torch.equal(load(other).encode_captions(CAPTIONS), rows)


def test_its_configuration_may_lie_in_the_cache_of_the_hub(saved, tmp_path):
    folder = shutil.copytree(saved("xlm-roberta")[0], tmp_path / "model")
    snapshot = tmp_path / "cache/models--xlm-roberta-base/snapshots/abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "cache/models--xlm-roberta-base/refs").mkdir()
    (tmp_path / "cache/models--xlm-roberta-base/refs/main").write_text("abc")
    shutil.move(folder / "config.json", snapshot / "config.json")
    assert load(folder).encode_captions(CAPTIONS).isfinite().all()


def test_tokens_and_configuration_decide_on_the_fingerprint(saved, tmp_path):
    folder = shutil.copytree(saved("roberta")[0], tmp_path / "model")
    seen = {model_source(ModelOptions(model=str(folder))).fingerprint()}
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (folder / name).write_text((folder / name).read_text() + " ")
        seen.add(model_source(ModelOptions(model=str(folder))).fingerprint())
    assert len(seen) == 4


def test_what_training_leaves_is_loaded_from_its_folder_alone(saved, tmp_path):
    folder, _ = saved("mt5")
    encoder, out = load(folder), str(tmp_path / "tuned")
    save_description(encoder.model, model_source(ModelOptions(model=str(folder))), out)
    save_weights(encoder.model.state_dict(), out)
    assert torch.equal(load(out).encode_captions(CAPTIONS), encoder.encode_captions(CAPTIONS))


def test_code_that_came_with_a_model_is_not_run(saved, tmp_path):
    folder = shutil.copytree(saved("roberta")[0], tmp_path / "model")
    settings = tiny_settings("roberta")
    settings["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"trust_remote_code": True}
    (folder / "open_clip_config.json").write_text(json.dumps(settings))
    told = json.loads((folder / "tokenizer_config.json").read_text())
    told |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    with suppress(ModelUnavailable):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_missing_tokenizer_files_are_named_with_a_way_to_get_them(tmp_path):
    said = refused(described(tmp_path / "m", **{"tokenizer.json": None}))
    assert "m has no tokenizer files: it has none of tokenizer.json, vocab.txt" in said
    assert "AutoTokenizer.from_pretrained('xlm-roberta-base').save_pretrained(" in said


def test_a_missing_configuration_of_the_text_tower_is_named_with_a_way_to_get_it(tmp_path):
    for i, wrong in enumerate([None, "{}", json.dumps({"model_type": "clip"}), "[]"]):
        said = refused(described(tmp_path / f"m{i}", **{"config.json": wrong}))
        assert f"m{i} has no config.json of its text tower, xlm-roberta-base in transformers" in said
        assert "AutoConfig.from_pretrained('xlm-roberta-base').save_pretrained(" in said


@pytest.mark.parametrize("file", ["config.json", "open_clip_config.json"])
def test_a_configuration_that_is_cut_names_its_file(tmp_path, file):
    said = refused(described(tmp_path / "m", **{file: '{"model_cfg": {'}))
    assert file in said
    assert "is no JSON" in said


@pytest.mark.parametrize("settings", [{}, [], {"model_cfg": []}, {"model_cfg": {"text_cfg": {}}}])
def test_a_configuration_of_something_else_is_told(tmp_path, settings):
    said = refused(described(tmp_path / "m", **{"open_clip_config.json": json.dumps(settings)}))
    assert "open_clip_config.json cannot be loaded: it " in said


def without(folder, tmp_path, *, visual):
    """A copy whose weights lack the last tensor of one of the towers, and that tensor's name."""
    copy = shutil.copytree(folder, tmp_path / "partial")
    state = load_file(copy / WEIGHTS)
    name = max(name for name in state if name.startswith("visual") == visual and not name.startswith("logit"))
    save_file({key: tensor for key, tensor in state.items() if key != name}, copy / WEIGHTS)
    return copy, name


@pytest.mark.parametrize("visual", [True, False])
@pytest.mark.parametrize("kind", ["clip", "custom_eos", "resnet", "siglip", "coca"])
def test_weights_that_lack_a_tensor_are_refused_by_its_name(models, tmp_path, kind, visual):
    folder, name = without(models(kind), tmp_path, visual=visual)
    assert name in refused(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_so_are_those_of_text_towers_of_transformers(saved, tmp_path, kind):
    folder, name = without(saved(kind)[0], tmp_path, visual=False)
    assert name in refused(folder)


def test_weights_without_any_tensor_are_told(models, tmp_path):
    folder = shutil.copytree(models("clip"), tmp_path / "none")
    save_file({}, folder / WEIGHTS)
    assert "the weights hold no tensors" in refused(folder)
    os.remove(folder / WEIGHTS)
    assert "holds no weights" in refused(folder)


def test_the_small_tokenizer_ends_with_the_token_that_is_asked_for(tmp_path):
    transformers = pytest.importorskip("transformers")
    save_tokenizer(tmp_path, pad=1, eos=2)
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path)(["a dog"], padding="max_length", max_length=6)
    assert tokens["input_ids"][0][-4:] == [2, 1, 1, 1]

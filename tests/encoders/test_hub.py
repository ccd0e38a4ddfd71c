"""A model of the hub is fetched whole, kept in its cache and used without a network; or two lines say why not."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from torch.nn import functional

from ncaudit.encoders.open_clip import load_encoder, model_source
from ncaudit.errors import ModelUnavailable
from ncaudit.matchers.towers.folder import save_description, save_weights
from ncaudit.options import ModelOptions
from tests.worlds.families import save_tiny
from tests.worlds.hub import Hub, asking, serving
from tests.worlds.sample import TINY

NAME, CAPTIONS = "us/tiny", ["a red circle above a blue square", "x"]
WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    shutil.copytree(TINY, folder)
    with serving(Hub(models={NAME: folder})) as hub:
        asking(hub, monkeypatch, tmp_path / "cache")
        yield hub


@pytest.fixture
def impatient(monkeypatch):
    """The hub's client tries five times, and waits in between."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


def load(name=NAME):
    return load_encoder(ModelOptions(model=f"hf-hub:{name}", device="cpu", precision="float32"))


def refused(name=NAME):
    with pytest.raises(ModelUnavailable) as caught:
        load(name)
    assert "\n" not in caught.value.message + caught.value.fix
    return f"{caught.value.message} | {caught.value.fix}"


def kept(tmp_path):
    """Names of the weights files in the cache, whole or not."""
    return [path.name for path in (tmp_path / "cache").rglob("*") if path.name == WEIGHTS or "incomplete" in path.name]


def test_it_is_the_model_that_the_repository_holds_its_own_vocabulary_too(hub):
    fetched, local = load(), load_encoder(ModelOptions(model=TINY, device="cpu", precision="float32"))
    assert fetched.identity.name == "hf-hub:us/tiny"
    assert fetched.identity.weight_hash == local.identity.weight_hash
    assert torch.equal(fetched.encode_captions(CAPTIONS), local.encode_captions(CAPTIONS))


def test_what_is_in_the_cache_is_not_sent_again(hub):
    load()
    before = len(hub.asked)
    load()
    assert not [asked for asked in hub.asked[before:] if "/resolve/" in asked and asked.startswith("GET")]


@pytest.mark.parametrize("switched_off", [True, False])
def test_without_a_network_the_cache_is_enough(hub, monkeypatch, switched_off):
    rows = load().encode_captions(CAPTIONS)
    before = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", switched_off)
    if not switched_off:
        asking(Hub(address="http://127.0.0.1:9"), monkeypatch, Path(constants.HF_HUB_CACHE))
    assert torch.equal(load().encode_captions(CAPTIONS), rows)
    assert len(hub.asked) == before


def test_without_a_network_and_with_nothing_in_the_cache_it_says_which_of_them(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    said = refused()
    assert said.startswith(
        "hf-hub:us/tiny cannot be downloaded: HF_HUB_OFFLINE is set, and the cache has not all of it"
    )
    assert "local-dir:" in said
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    asking(Hub(address="http://127.0.0.1:9"), monkeypatch, Path(constants.HF_HUB_CACHE))
    assert "the hub does not answer, and the cache" in refused()


def test_weights_that_are_cut_are_not_kept_and_the_next_try_is_whole(hub, tmp_path, impatient):
    hub.cut = {WEIGHTS}
    said = refused()
    assert "hf-hub:us/tiny cannot be downloaded: " in said
    assert "run it again" in said
    assert WEIGHTS not in kept(tmp_path)
    hub.cut = set()
    assert load().encode_captions(CAPTIONS).isfinite().all()
    assert kept(tmp_path) == [WEIGHTS]


@pytest.mark.parametrize("name", ["open_clip_config.json", "bpe_merges.txt.gz"])
def test_no_file_is_used_that_came_half(hub, impatient, name):
    hub.cut = {name}
    assert "cannot be downloaded" in refused()
    hub.cut = set()
    assert load().encode_captions(CAPTIONS).isfinite().all()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, "RepoNotFound"), ("no such repository, or none that you may see", "hf auth login")),
        ((404, "RepoNotFound"), ("no such repository, or none that you may see", "check the name")),
        ((403, "GatedRepo"), ("it is gated, and you have no access", "ask for access")),
    ],
)
def test_a_repository_that_may_not_be_read_says_what_to_do(hub, answer, words):
    hub.refused[NAME] = answer
    said = refused()
    assert all(word in said for word in words)


def test_a_name_that_is_none_is_told(hub):
    assert "give hf-hub:OWNER/NAME" in refused("a/b/c")
    assert "no such repository" in refused("us/other")


def test_a_repository_of_another_kind_is_told_before_weights_are_asked_for(hub):
    os.remove(hub.models[NAME] / "open_clip_config.json")
    assert "is no model of open_clip: it has no open_clip_config.json" in refused()
    assert not [asked for asked in hub.asked if WEIGHTS in asked]


def test_a_repository_without_weights_names_those_that_are_looked_for(hub):
    os.remove(hub.models[NAME] / WEIGHTS)
    said = refused()
    assert "hf-hub:us/tiny holds no weights" in said
    assert "open_clip_pytorch_model.bin" in said


def test_weights_of_the_older_name_are_found(hub):
    (hub.models[NAME] / WEIGHTS).rename(hub.models[NAME] / "open_clip_pytorch_model.safetensors")
    assert load().identity.image_dims == 96


def test_weights_of_another_architecture_name_what_is_missing(hub):
    config = hub.models[NAME] / "open_clip_config.json"
    settings = json.loads(config.read_text())
    settings["model_cfg"]["text_cfg"]["layers"] = 3
    config.write_text(json.dumps(settings))
    said = refused()
    assert said.startswith("hf-hub:us/tiny cannot be loaded: ")
    assert "Missing key(s)" in said
    assert "transformer.resblocks.2" in said


def test_nothing_is_asked_before_the_model_is_needed(hub):
    assert model_source(ModelOptions(model=f"hf-hub:{NAME}")).fingerprint() is None
    assert hub.asked == []


def test_a_text_tower_of_transformers_and_its_tokenizer_come_from_the_repository_that_they_are_named_by(hub, tmp_path):
    pytest.importorskip("transformers")
    folder = tmp_path / "xlm"
    model = save_tiny(folder, "xlm-roberta", named="us/tower")
    tower = tmp_path / "tower"
    tower.mkdir()
    for file in (folder / "config.json", *folder.glob("token*")):
        shutil.move(file, tower)
    hub.models |= {"us/xlm": folder, "us/tower": tower}
    encoder = load("us/xlm")
    with torch.inference_mode():
        expected = functional.normalize(model.encode_text(encoder.tokenize(CAPTIONS)), dim=-1)
    torch.testing.assert_close(encoder.encode_captions(CAPTIONS), expected, atol=1e-6, rtol=0)
    (tower / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}))
    shutil.rmtree(tmp_path / "cache")
    assert "describes no text tower that open_clip knows" in refused("us/xlm")


def test_what_is_trained_from_it_takes_its_vocabulary_along(hub, tmp_path):
    encoder, out = load(), tmp_path / "tuned"
    save_description(encoder.model, model_source(ModelOptions(model=f"hf-hub:{NAME}")), str(out))
    save_weights(encoder.model.state_dict(), str(out))
    tuned = load_encoder(ModelOptions(model=str(out), device="cpu", precision="float32"))
    assert torch.equal(tuned.encode_captions(CAPTIONS), encoder.encode_captions(CAPTIONS))

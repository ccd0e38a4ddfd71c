"""A stranger's model folder takes neither memory nor time without end, and runs no program: it is two lines."""

import gzip
import json
import os
import pickle
import shutil
import time
import zipfile

import pytest
import torch
from safetensors.torch import load_file

from ncaudit.encoders.open_clip import load_encoder, model_config, model_source
from ncaudit.errors import ModelUnavailable
from ncaudit.matchers.towers.folder import save_description
from ncaudit.options import ModelOptions
from tests.worlds.sample import TINY

SOURCE = TINY.removeprefix("local-dir:")
CONFIG, WEIGHTS, MERGES = "open_clip_config.json", "open_clip_model.safetensors", "bpe_merges.txt.gz"


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(SOURCE, tmp_path / "m")


def refusal(folder):
    begun = time.process_time()
    with pytest.raises(ModelUnavailable) as caught:
        load_encoder(ModelOptions(model=str(folder), device="cpu", precision="float32"))
    assert time.process_time() - begun < 10
    assert caught.value.fix
    return caught.value.message


def changed(folder, place, value):
    settings = json.loads((folder / CONFIG).read_text())
    inner = settings
    *path, last = place.split(".")
    for name in path:
        inner = inner[name]
    inner[last] = value
    (folder / CONFIG).write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "it is no object"),
        ("{", "it is no JSON"),
        ("\0ÿ", "it is no JSON"),
        ("[" * 200_000, "it is nested too deeply"),
        ('{"model_cfg": {"embed_dim": ' + "9" * 5_000 + "}}", "it is no JSON"),
        (" " * 2_000_000, "it is longer than"),
        ('{"model_cfg": null}', "it has no model_cfg"),
        ('{"model_cfg": {}}', "it has no preprocess_cfg"),
        ('{"model_cfg": {}, "preprocess_cfg": {}}', "cannot be loaded"),
    ],
)
def test_a_damaged_configuration_is_told(folder, text, why):
    (folder / CONFIG).write_text(text, encoding="latin-1")
    assert why in refusal(folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model_cfg.text_cfg.layers", 10**9),
        ("model_cfg.text_cfg.layers", -1),
        ("model_cfg.embed_dim", 0),
        ("model_cfg.embed_dim", 10**400),
        ("model_cfg.text_cfg.context_length", 10**8),
        ("model_cfg.text_cfg.vocab_size", 10**9),
        ("model_cfg.vision_cfg.image_size", 10**6),
        ("preprocess_cfg.size", 10**6),
        ("preprocess_cfg.mean", [float("nan")] * 3),
    ],
)
def test_a_number_that_no_model_has_is_told_before_anything_is_built(folder, place, value):
    changed(folder, place, value)
    assert f"{CONFIG} cannot be loaded: {place} is " in refusal(folder)


@pytest.mark.parametrize(
    ("place", "value"), [("text_cfg.width", 30_000), ("text_cfg.layers", 900), ("vision_cfg.layers", [900] * 4)]
)
def test_a_model_larger_than_its_weights_is_not_built(folder, place, value):
    # a width of 30,000: 2 layers x 12 x 30,000 squared, 21.6 thousand million weights, beside a file of 3 MB
    changed(folder, f"model_cfg.{place}", value)
    assert "and the files beside it hold 3,398,826 bytes" in refusal(folder)


def test_an_image_in_more_patches_than_can_be_compared_is_refused(folder):
    changed(folder, "model_cfg.vision_cfg", {"image_size": 4096, "layers": 2, "width": 64, "patch_size": 1})
    assert "16,777,216 patches" in refusal(folder)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model_cfg.embed_dim", "x"), ("model_cfg.text_cfg.heads", 7), ("model_cfg.text_cfg.width", 96.5),
        ("model_cfg.vision_cfg", []), ("model_cfg.unheard_of", 1), ("preprocess_cfg.mean", "x"),
        ("preprocess_cfg.mean", [0.5] * 5), ("preprocess_cfg.mode", "CMYK"), ("preprocess_cfg.resize_mode", "x"),
    ],
)  # fmt: skip
def test_settings_that_make_no_model_are_told(folder, place, value):
    changed(folder, place, value)
    assert "cannot be loaded" in refusal(folder)


class Program:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", bytes(20_000_000))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save({"a": Program()}, path),
        lambda path: path.write_bytes(pickle.dumps(Program())),
        lambda path: path.write_bytes(b"junk" * 100),
        lambda path: path.write_bytes(b""),
        zipped,
    ],
)
def test_pickled_weights_run_nothing_and_nobody_is_told_how_to_load_them_anyway(folder, write, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (folder / WEIGHTS).unlink()
    write(folder / "open_clip_pytorch_model.bin")
    told = refusal(folder)
    assert not (tmp_path / "was-run").exists()
    assert "weights_only" not in told
    assert "trust" not in told


def test_pickled_weights_that_are_weights_load(folder):
    torch.save(load_file(folder / WEIGHTS), folder / "open_clip_pytorch_model.bin")
    (folder / WEIGHTS).unlink()
    assert load_encoder(ModelOptions(model=str(folder), device="cpu")).identity.image_dims == 96


@pytest.mark.parametrize(
    "damaged",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: (200_000).to_bytes(8, "little") + b"[" * 200_000,
        lambda data: data[:60] + b"\xff\xff" + data[62:],
        lambda data: data.replace(b"[96,96]", b"[48,96]", 1),
    ],
)
def test_damaged_weights_are_told(folder, damaged):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(damaged(whole))
    assert "cannot be loaded" in refusal(folder)


def test_what_only_looks_like_weights_is_none_and_never_waited_for(folder):
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)
    (folder / "a.bin").mkdir()
    assert "holds no weights" in refusal(folder)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"junk", "Not a gzipped file"),
        (gzip.compress(bytes(100_000_000), mtime=0), "it unpacks to more than 64 MiB"),
        (gzip.compress(b"a b\n" * 500, mtime=0)[:30], "Compressed file ended"),
        (gzip.compress(b"\xff\xfe\n" * 50, mtime=0), "cannot be loaded"),
    ],
)
def test_merges_are_bounded_when_unpacked(folder, data, why):
    (folder / MERGES).write_bytes(data)
    assert why in refusal(folder)


def test_a_weights_file_behind_a_name_is_looked_at_too(tmp_path):
    zipped(tmp_path / "w.pt")
    with pytest.raises(ModelUnavailable, match="unpacks to 20,000,000 bytes"):
        load_encoder(ModelOptions(model="ViT-B-32", pretrained=str(tmp_path / "w.pt"), device="cpu"))


def cut(config):
    config.write_bytes(config.read_bytes()[:100])


def replaced(config):
    config.write_bytes(b"[]")


def removed(config):
    config.unlink()


@pytest.mark.parametrize("change", [cut, replaced, removed])
def test_a_configuration_that_changes_after_it_was_looked_at_is_told(folder, change, tmp_path):
    options = ModelOptions(model=str(folder), device="cpu", precision="float32")
    source, encoder = model_source(options), load_encoder(options)
    change(folder / "open_clip_config.json")
    for used in (
        lambda: model_config(source),
        lambda: save_description(encoder.model, source, str(tmp_path / "out")),
    ):
        with pytest.raises(ModelUnavailable, match=r"open_clip_config.json cannot be loaded"):
            used()


def test_weights_that_are_gone_after_they_were_looked_at_are_told(folder):
    source = model_source(ModelOptions(model=str(folder)))
    (folder / "open_clip_model.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"open_clip_model.safetensors is not there any more"):
        source.fingerprint()

"""One training step: what it changes, what it must never change, and when it refuses."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import BatchNorm2d
from torch.testing import assert_close

from ncaudit import objectives
from ncaudit.encoders.open_clip import Encoder, load_encoder
from ncaudit.matchers.steps.batch import Batch
from ncaudit.matchers.steps.optimisation import MAX_LOGIT_SCALE, Recipe, parameter_groups
from ncaudit.matchers.steps.tuner import Tuner
from ncaudit.matchers.towers.fine_tuning import fine_tuner
from ncaudit.options import ModelOptions, Precision
from tests.worlds.sample import TINY

RECIPE = {"learning_rate": 1e-3, "weight_decay": 0.0, "warmup_share": 0.0, "clip_norm": 1.0, "total_steps": 10}


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # a batch of 8 gains nothing from more, and tests share the machine
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder() -> Encoder:
    return load_encoder(ModelOptions(model=TINY, precision=Precision.float32, device="cpu"))


def batch(encoder: Encoder, n: int = 8, *, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    colours = ["red", "blue", "green", "yellow", "purple", "orange", "white", "black"]
    return Batch(
        image=torch.randint(0, 256, (n, 64, 64, 3), dtype=torch.uint8, generator=generator),
        text=encoder.tokenize([f"a {colour} square" for colour in colours[:n]]),
        label=torch.ones(n),
        photo=torch.arange(n),
        caption=torch.arange(n),
    )


def tuner(encoder: Encoder, *, loss=None, train_batchnorm: bool = False, **recipe: float) -> Tuner:
    loss = loss or objectives.get("weighted-infonce").batch_loss
    return fine_tuner(encoder, loss, Recipe(**{**RECIPE, **recipe}), torch.float32, train_batchnorm=train_batchnorm)


def statistics(encoder: Encoder) -> list[torch.Tensor]:
    layers = [module for module in encoder.model.modules() if isinstance(module, BatchNorm2d)]
    return [value.clone() for layer in layers for value in (layer.running_mean, layer.running_var)]


def test_the_loss_falls_when_a_batch_is_repeated(encoder):
    pairs, fine = batch(encoder), tuner(encoder, total_steps=100)
    losses = [fine.step(pairs, number).loss for number in range(8)]
    assert losses[-1] < losses[0] - 0.1


def test_batchnorm_statistics_do_not_move(encoder):
    before = statistics(encoder)
    tuner(encoder).step(batch(encoder), 0)
    assert len(before) > 10
    assert all(torch.equal(old, new) for old, new in zip(before, statistics(encoder), strict=True))


def test_batchnorm_statistics_move_when_asked_for(encoder):
    before = statistics(encoder)
    tuner(encoder, train_batchnorm=True).step(batch(encoder), 0)
    assert not any(torch.equal(old, new) for old, new in zip(before, statistics(encoder), strict=True))


def test_every_weight_but_the_statistics_is_trained(encoder):
    before = {name: value.clone() for name, value in encoder.model.named_parameters()}
    fine = tuner(encoder)
    for number in range(2):  # the last norm of every residual block starts at 0: what is before it moves a step later
        fine.step(batch(encoder), number)
    still = {name for name, value in encoder.model.named_parameters() if torch.equal(before[name], value)}
    assert not {name for name in still if "k_proj.bias" not in name}  # softmax ignores what all keys have in common


def test_norms_biases_and_the_temperature_are_not_decayed(encoder):
    decayed, kept = parameter_groups(encoder.model.requires_grad_(True), 0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    names = {id(value): name for name, value in encoder.model.named_parameters()}
    assert {"logit_scale", "ln_final.weight", "visual.conv1.weight"} <= set(names.values())
    free = {names[id(value)] for value in kept["params"]}
    assert {"logit_scale", "ln_final.weight", "ln_final.bias", "visual.bn1.weight"} <= free
    assert all(value.ndim > 1 for value in decayed["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


@pytest.mark.parametrize(("start", "bound"), [(9.0, MAX_LOGIT_SCALE), (-3.0, 0.0)])
def test_the_logit_scale_stays_between_1_and_100(encoder, start, bound):
    with torch.no_grad():
        encoder.model.logit_scale.fill_(start)
    fine = tuner(encoder, learning_rate=1e-9)
    fine.step(batch(encoder), 0)
    assert float(encoder.model.logit_scale.detach()) == pytest.approx(bound)
    assert 1 <= fine.scale <= 100 + 1e-4


def test_a_loss_that_is_no_number_changes_nothing(encoder):
    fine = tuner(encoder, loss=lambda similarity, *_, **__: similarity.sum() * math.nan)
    before = {name: value.clone() for name, value in encoder.model.state_dict().items()}
    assert not fine.step(batch(encoder), 0).finite
    assert all(torch.equal(before[name], value) for name, value in encoder.model.state_dict().items())


def test_a_gradient_that_is_no_number_is_refused_even_if_the_loss_is_one(encoder):
    def loss(similarity, *_, **__):
        return (similarity.diagonal() - similarity.diagonal()).sqrt().sum()  # 0, with an infinite slope

    step = tuner(encoder, loss=loss).step(batch(encoder), 0)
    assert (step.loss, step.finite) == (0.0, False)


def test_a_step_does_not_push_apart_what_shares_a_photo(encoder):
    pairs = replace(batch(encoder), photo=torch.zeros(8, dtype=torch.int64))
    assert tuner(encoder).step(pairs, 0).loss == 0  # no negatives at all


def test_training_goes_on_bit_for_bit_from_a_saved_state(encoder, tmp_path):
    fine = tuner(encoder)
    fine.step(batch(encoder), 0)
    torch.save(fine.state_dict(), tmp_path / "state.pt")
    fine.step(batch(encoder, seed=1), 1)
    expected = {name: value.clone() for name, value in encoder.model.state_dict().items()}

    other = load_encoder(ModelOptions(model=TINY, precision=Precision.float32, device="cpu"))
    again = tuner(other)
    again.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    again.step(batch(encoder, seed=1), 1)
    assert all(torch.equal(expected[name], value) for name, value in other.model.state_dict().items())


def test_training_encodes_captions_as_the_encoder_does(encoder):
    pairs, fine = batch(encoder), tuner(encoder)
    assert_close(fine.encode_captions(pairs.text), encoder.encode_tokens(pairs.text))
    assert_close(fine.encode_images(pairs.image), encoder.encode_images(pairs.image))


def test_a_batch_in_chunks_is_the_same_step(encoder):
    whole, other = tuner(encoder), load_encoder(ModelOptions(model=TINY, precision=Precision.float32, device="cpu"))
    recipe = Recipe(**RECIPE)
    chunked = fine_tuner(other, objectives.get("infonce").batch_loss, recipe, torch.float32, chunk_pairs=3)
    pairs = batch(encoder)  # all labels are 1: both objectives are the same
    assert chunked.step(pairs, 0).loss == pytest.approx(whole.step(pairs, 0).loss, abs=1e-5)
    gradients = [dict(model.named_parameters()) for model in (encoder.model, other.model)]
    for name, parameter in gradients[0].items():
        assert_close(gradients[1][name].grad, parameter.grad, atol=1e-5, rtol=0, msg=name)


def test_the_last_blocks_alone_are_changed(encoder):
    before = {name: value.clone() for name, value in encoder.model.named_parameters()}
    loss = objectives.get("infonce").batch_loss
    fine = fine_tuner(encoder, loss, Recipe(**{**RECIPE, "weight_decay": 0.1}), torch.float32, last_blocks=1)
    for number in range(2):
        fine.step(batch(encoder), number)
    moved = {name for name, value in encoder.model.named_parameters() if not torch.equal(before[name], value)}
    parts = ("visual.layer4.", "visual.attnpool.", "transformer.resblocks.1.", "ln_final.", "text_proj", "logit_scale")
    assert all(name.startswith(parts) for name in moved), moved
    assert all(any(name.startswith(part) for name in moved) for part in parts)


def test_statistics_of_frozen_blocks_do_not_move_even_when_batchnorm_is_trained(encoder):
    names = [name for name, value in encoder.model.named_buffers() if name.endswith("running_mean")]
    before = {name: encoder.model.get_buffer(name).clone() for name in names}
    loss, recipe = objectives.get("infonce").batch_loss, Recipe(**RECIPE)
    fine_tuner(encoder, loss, recipe, torch.float32, train_batchnorm=True, last_blocks=1).step(batch(encoder), 0)
    moved = {name for name in names if not torch.equal(before[name], encoder.model.get_buffer(name))}
    assert moved == {name for name in names if name.startswith("visual.layer4.")}

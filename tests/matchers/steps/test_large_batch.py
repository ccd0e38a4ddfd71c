"""A batch in chunks gives the loss and the gradients of the batch at once."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ncaudit.core.losses.pair_losses import batch_negatives, infonce_loss
from ncaudit.encoders.open_clip import load_encoder
from ncaudit.matchers.steps.large_batch import RandomState, backward_in_chunks
from ncaudit.options import ModelOptions, Precision
from tests.worlds.sample import TINY

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def contrast(image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor | float = 20.0) -> torch.Tensor:
    image, text = nn.functional.normalize(image, dim=-1), nn.functional.normalize(text, dim=-1)
    negatives = batch_negatives(image @ text.T)
    return infonce_loss(*negatives[:3], scale=scale, allowed=negatives.allowed).mean()


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("chunk_pairs", [1, 3, 8])
def test_a_clip_in_chunks_has_the_gradients_of_one_batch(chunk_pairs):
    encoder = load_encoder(ModelOptions(model=TINY, precision=Precision.float32, device="cpu"))
    model = encoder.model.requires_grad_(True).eval()
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (8, 64, 64, 3), dtype=torch.uint8, generator=generator)
    tokens = encoder.tokenize([f"{n} red squares above a blue circle" for n in range(8)])

    def encode(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        return model.encode_image(encoder.normalise(pixels[rows])), model.encode_text(tokens[rows])

    def loss(image: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        return contrast(image, text, model.logit_scale.exp())

    whole = loss(*encode(slice(0, 8)))
    whole.backward()
    expected = gradients(model)
    chunks = [slice(at, at + chunk_pairs) for at in range(0, 8, chunk_pairs)]
    assert_close(backward_in_chunks(chunks, encode, loss, CPU), whole.detach(), atol=1e-5, rtol=0)
    found = gradients(model)
    assert found.keys() == expected.keys() >= {"logit_scale", "visual.conv1.weight", "token_embedding.weight"}
    for name, gradient in expected.items():
        assert_close(found[name], gradient, atol=1e-5, rtol=0, msg=name)


class Dropping(nn.Module):
    """Two towers that see other masks whenever the random numbers go on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image = nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.5), nn.Linear(32, 4))
        self.text = nn.Sequential(nn.Linear(5, 32), nn.Dropout(0.5), nn.Linear(32, 4))


def test_both_passes_see_the_same_dropout():
    model = Dropping()
    image, text = torch.randn(6, 6), torch.randn(6, 5)
    chunks = [slice(0, 2), slice(2, 4), slice(4, 6)]

    def encode(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        return model.image(image[rows]), model.text(text[rows])

    torch.manual_seed(3)
    parts = [encode(rows) for rows in chunks]  # with the graph of all chunks at once, each mask drawn once
    whole = contrast(torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]))
    whole.backward()
    expected, after = gradients(model), torch.rand(1)
    torch.manual_seed(3)
    value = backward_in_chunks(chunks, encode, contrast, CPU)
    assert torch.equal(torch.rand(1), after)  # the random numbers go on as if each had been drawn once
    assert torch.equal(value, whole.detach())
    for name, gradient in gradients(model).items():
        assert_close(gradient, expected[name], atol=1e-6, rtol=0)


def test_only_one_chunk_at_a_time_has_a_graph():
    model, with_graph = nn.Linear(3, 2), []

    def encode(rows: slice) -> tuple[torch.Tensor, torch.Tensor]:
        with_graph.append((rows.start, torch.is_grad_enabled()))
        return model(torch.ones(1, 3)), model(torch.zeros(1, 3))

    backward_in_chunks([slice(0, 1), slice(1, 2)], encode, lambda image, text: (image + text).sum(), CPU)
    assert with_graph == [(0, False), (1, False), (0, True), (1, True)]


def test_a_loss_that_looks_at_one_side_only_leaves_the_other_without_gradient():
    model = Dropping().eval()
    value = backward_in_chunks(
        [0, 1], lambda _: (model.image(torch.ones(1, 6)), model.text(torch.ones(1, 5))), lambda i, t: i.sum(), CPU
    )
    assert value.requires_grad is False
    assert model.image[0].weight.grad.abs().sum() > 0
    assert model.text[0].weight.grad.abs().sum() == 0


def test_a_random_state_is_left_as_it_was_found():
    torch.manual_seed(1)
    state = RandomState.now(CPU)
    first = torch.rand(2)
    with state.again():
        again = torch.rand(2)
    following = torch.rand(2)
    torch.manual_seed(1)
    torch.rand(2)
    assert torch.equal(first, again)
    assert torch.equal(following, torch.rand(2))

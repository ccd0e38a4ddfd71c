"""Heads: what they compute, where they start, and that a folder gives them back."""

import json

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.core.cca import fit_features, fit_maps, project
from ncaudit.core.neighbours.bank import Bank
from ncaudit.errors import NcauditError
from ncaudit.matchers.heads.projection import (
    HEAD_DESCRIPTION,
    HEAD_WEIGHTS,
    Heads,
    Side,
    load_heads,
)
from ncaudit.matchers.heads.starts import RIDGE, begin_at_likeliest_scale, cca_start, identity_start
from tests.worlds.heads import save_heads

CPU = torch.device("cpu")


def unaligned(n: int = 300, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two encoders of different width, one of them non-negative, that see the same 6 things and noise of their own."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(n, 6, generator=generator)
    image = (common @ torch.randn(6, 24, generator=generator) + torch.randn(n, 24, generator=generator)).clamp(min=0)
    text = common @ torch.randn(6, 16, generator=generator) + torch.randn(n, 16, generator=generator)
    return image, text


def moved(heads: Heads) -> Heads:
    """With every parameter somewhere else: nothing that a start leaves at zero hides a mistake."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in heads.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return heads


def test_by_hand():
    heads = Heads(Side(2), Side(3, 2), dims=2)
    state = heads.state_dict()
    state["image_side.linear.weight"] = torch.tensor([[0.0, 1.0], [1.0, 0.0]])  # swaps
    state["text_side.linear.weight"] = torch.eye(2)
    state["text_side.mean"] = torch.tensor([0.0, 0.0, 1.0])
    state["text_side.basis"] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    heads.load_state_dict(state)
    assert_close(heads.image(torch.tensor([[30.0, 40.0]])), torch.tensor([[0.8, 0.6]]))
    # unit (.6 0 .8), centred (.6 0 -.2), unit again, of which the first two are seen: all along the first
    assert_close(heads.text(torch.tensor([[3.0, 0.0, 4.0]])), torch.tensor([[1.0, 0.0]]))


@pytest.mark.parametrize("hidden", [None, 32])
def test_the_canonical_start_is_the_closed_form_projection(hidden):
    image, text = unaligned()
    label = torch.rand(len(image), generator=torch.Generator().manual_seed(3))
    sides = (fit_features(image), fit_features(text))
    coordinates = (sides[0].of(image), sides[1].of(text))
    maps = fit_maps(*coordinates, label, sides, [RIDGE], dims=8)
    heads = cca_start(image, text, label, dims=8, hidden=hidden)
    assert sides[0].root
    assert not sides[1].root
    assert_close(heads.image(image), project(coordinates[0], maps.image), atol=1e-5, rtol=0)
    assert_close(heads.text(text), project(coordinates[1], maps.text), atol=1e-5, rtol=0)
    assert (heads.image_width, heads.text_width, heads.dims) == (24, 16, 8)


def test_the_canonical_start_keeps_no_more_directions_than_there_are():
    assert cca_start(*unaligned(), torch.ones(300)).dims == 16


def test_pairs_of_label_0_do_not_move_the_canonical_start():
    image, text = unaligned()
    label = (torch.arange(300) < 200).float()
    wrong = torch.cat([text[:200], text[200:].flip(0)])
    assert_close(
        cca_start(image, wrong, label).image_side.linear.weight.abs(),
        cca_start(image, text, label).image_side.linear.weight.abs(),
        atol=1e-3, rtol=0,
    )  # fmt: skip


@pytest.mark.parametrize("hidden", [None, 32])
def test_the_identity_start_is_the_cosine_of_the_embeddings(hidden):
    image, text = torch.randn(2, 9, 7, generator=torch.Generator().manual_seed(0))
    heads = identity_start(7, hidden=hidden)
    assert_close(heads.image(image) @ heads.text(text).T, normalize(image, dim=1) @ normalize(text, dim=1).T)


def test_a_row_leaves_either_start_with_a_length_near_1_before_it_is_made_unit():
    image, text = unaligned()
    head = cca_start(image, text, torch.ones(300)).image_side
    lengths = head.linear(head._fixed(image)).detach().norm(dim=1)
    assert float((lengths**2).mean()) == pytest.approx(1, abs=1e-3)


def test_the_temperature_starts_where_the_trusted_pairs_are_likeliest():
    rows = normalize(torch.randn(200, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    ids = torch.arange(200)
    heads, label = identity_start(16), (ids < 150).float()
    swapped = torch.cat([rows[:150], rows[150:].flip(0)])
    begin_at_likeliest_scale(heads, Bank(rows, swapped, ids, ids), label)
    assert float(heads.logit_scale.exp().detach()) == pytest.approx(100)  # every trusted pair is right
    begin_at_likeliest_scale(heads, Bank(rows, swapped, ids, ids), torch.ones(200))
    assert float(heads.logit_scale.exp().detach()) < 20


@pytest.mark.parametrize("hidden", [None, 32])
def test_a_folder_gives_the_same_heads_back(tmp_path, hidden):
    image, text = unaligned()
    heads = moved(cca_start(image, text, torch.ones(300), hidden=hidden))
    save_heads(heads, str(tmp_path / "out"), {"model": {"name": "x"}, "n": 3})
    saved = load_heads(str(tmp_path / "out"), CPU)
    assert torch.equal(saved.heads.image(image), heads.image(image).detach())
    assert torch.equal(saved.heads.text(text), heads.text(text).detach())
    assert saved.description == {"model": {"name": "x"}, "n": 3}
    assert not saved.heads.training
    assert not list((tmp_path / "out").glob(".*.partial"))


def test_the_hash_is_of_what_the_heads_compute_not_of_where_they_lie(tmp_path):
    heads = identity_start(5)
    for name in "ab":
        save_heads(heads, str(tmp_path / name), {"told": name})
    save_heads(moved(identity_start(5)), str(tmp_path / "c"), {"told": "a"})
    hashes = [load_heads(str(tmp_path / name), CPU).weight_hash for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2]


def test_heads_of_float16_rows_are_those_of_float32_ones():
    image, text = unaligned()
    heads = cca_start(image, text, torch.ones(300))
    assert_close(heads.text(text.half()), heads.text(text), atol=2e-3, rtol=0)
    assert heads.text(text.half()).dtype == torch.float32


def test_a_folder_that_is_none_or_broken_is_told(tmp_path):
    with pytest.raises(NcauditError, match="holds no whole heads"):
        load_heads(str(tmp_path), CPU)
    save_heads(identity_start(5), str(tmp_path), {})
    weights = (tmp_path / HEAD_WEIGHTS).read_bytes()
    (tmp_path / HEAD_WEIGHTS).write_bytes(weights[:-7])
    with pytest.raises(NcauditError, match="holds no whole heads"):
        load_heads(str(tmp_path), CPU)
    (tmp_path / HEAD_WEIGHTS).write_bytes(weights)
    told = json.loads((tmp_path / HEAD_DESCRIPTION).read_text())
    told["shape"]["dims"] = 4
    (tmp_path / HEAD_DESCRIPTION).write_text(json.dumps(told))
    with pytest.raises(NcauditError, match="holds no whole heads"):
        load_heads(str(tmp_path), CPU)

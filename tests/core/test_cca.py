"""Canonical maps: worked out by hand in one dimension, and on worlds whose common space is known."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.testing import assert_close

from ncaudit.core.cca import Features, Maps, fit_features, fit_maps, project
from ncaudit.core.metrics.detection import auroc

RIDGES = [(0.01, 0.01), (0.1, 0.1)]


def gaussian(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def turned(rows: Tensor, seed: int) -> Tensor:
    return rows @ torch.linalg.qr(gaussian(rows.shape[1], rows.shape[1], seed=seed)).Q


def into_common_space(image: Tensor, text: Tensor, weight: Tensor, trained_on: Tensor) -> tuple[Tensor, Tensor]:
    """All rows by the maps fitted on image i with text `trained_on`[i]."""
    sides = fit_features(image), fit_features(text)
    x, y = sides[0].of(image), sides[1].of(text)
    maps = fit_maps(x, y[trained_on], weight, sides, RIDGES)
    return project(x, maps.image), project(y, maps.text)


def one_dimension(variance: float) -> Features:
    return Features(False, torch.zeros(1), torch.eye(1), torch.tensor([variance]), variance)


@pytest.mark.parametrize(("ridges", "expected"), [((0.0, 0.0), (1.0, 0.5)), ((3.0, 0.0), (0.25, 0.25))])
def test_one_direction_worked_out_by_hand(ridges: tuple[float, float], expected: tuple[float, float]) -> None:
    # images ±1 (variance 1), captions ±2 (variance 4), cross-covariance 2: correlation 2 / (1 · 2) = 1; maps
    # correlation / deviation. A ridge of 3 doubles the images' deviation: correlation .5, maps .5 / 2 and .5 / 2
    image, text = torch.tensor([[1.0], [-1.0]]), torch.tensor([[2.0], [-2.0]])
    maps = fit_maps(image, text, torch.ones(2), (one_dimension(1.0), one_dimension(4.0)), [ridges])
    assert_close(torch.stack([maps.image, maps.text]).abs().flatten(), torch.tensor(expected))
    assert maps.image.sign() == maps.text.sign()


def test_two_rotations_of_one_space_are_mapped_onto_each_other() -> None:
    hidden = gaussian(400, 8, seed=0)
    x, y = into_common_space(turned(hidden, 1), turned(hidden, 2), torch.ones(400), torch.arange(400))
    assert (x * y).sum(dim=1).min() > 0.95
    assert (x * y.roll(1, dims=0)).sum(dim=1).mean().abs() < 0.1


def test_mismatches_among_the_training_pairs_only_scale_the_cross_covariance() -> None:
    hidden, caption = gaussian(500, 8, seed=0), torch.arange(500)
    caption[:200] = caption[:200].roll(1)
    noisy = [turned(hidden, seed) + 0.3 * gaussian(500, 8, seed=seed + 10) for seed in (1, 2)]
    x, y = into_common_space(*noisy, torch.ones(500), caption)
    true, random = (x * y).sum(dim=1), (x * y.roll(7, dims=0)).sum(dim=1)
    assert auroc(torch.cat([true, random]), torch.arange(1000) < 500) > 0.98


def test_a_pair_of_weight_zero_has_no_part_in_the_maps() -> None:
    x, y = gaussian(50, 6, seed=0), gaussian(50, 5, seed=1)
    sides, weight = (fit_features(x), fit_features(y)), (torch.arange(50) < 30).float()
    whole = fit_maps(sides[0].of(x), sides[1].of(y), weight, sides, RIDGES)
    part = fit_maps(sides[0].of(x[:30]), sides[1].of(y[:30]), torch.ones(30), sides, RIDGES)
    assert_close(
        project(sides[0].of(x), whole.image).abs(), project(sides[0].of(x), part.image).abs(), atol=1e-4, rtol=0
    )


def test_projected_rows_are_unit_and_their_cosine_is_the_mean_over_the_ridges() -> None:
    maps = Maps(gaussian(6, 2, 3, seed=0), gaussian(5, 2, 3, seed=1))
    image, text = gaussian(9, 6, seed=2), gaussian(9, 5, seed=3)
    x, y = project(image, maps.image), project(text, maps.text)
    assert_close(x.norm(dim=1), torch.ones(9))
    each = [
        (normalize(image @ maps.image[:, step], dim=1) * normalize(text @ maps.text[:, step], dim=1)).sum(dim=1)
        for step in range(2)
    ]
    assert_close((x * y).sum(dim=1), (each[0] + each[1]) / 2)


def test_fewer_directions_than_asked_for_are_kept_where_one_side_has_fewer() -> None:
    x, y = gaussian(50, 6, seed=0), gaussian(50, 3, seed=1)
    sides = fit_features(x), fit_features(y)
    maps = fit_maps(sides[0].of(x), sides[1].of(y), torch.ones(50), sides, RIDGES)
    assert (maps.image.shape, maps.text.shape) == ((6, 2, 3), (3, 2, 3))


def test_activations_that_are_never_negative_take_their_root() -> None:
    x = gaussian(40, 5, seed=0).clamp(min=0) + 0.01
    features = fit_features(x)
    root = normalize(x.sqrt(), dim=1)
    by_hand = normalize(root - root.mean(dim=0), dim=1)
    assert features.root
    # all directions are kept, so the coordinates are a rotation: inner products stay
    assert_close(features.of(x) @ features.of(x).T, by_hand @ by_hand.T, atol=1e-5, rtol=0)


def test_embeddings_with_negative_entries_keep_them() -> None:
    x = gaussian(40, 5, seed=0)
    features, unit = fit_features(x), normalize(x, dim=1)
    by_hand = normalize(unit - unit.mean(dim=0), dim=1)
    assert not features.root
    assert_close(features.of(x) @ features.of(x).T, by_hand @ by_hand.T, atol=1e-5, rtol=0)


def test_the_directions_of_most_variance_are_kept_first() -> None:
    x = gaussian(300, 6, seed=0) * torch.tensor([1.0, 5.0, 1.0, 3.0, 1.0, 1.0])
    features = fit_features(x, most=2)
    assert features.basis.shape == (6, 2)
    assert features.spectrum[0] > features.spectrum[1]
    assert features.basis.abs().argmax(dim=0).tolist() == [1, 3]
    # the level is the mean over all six: the rows are unit, so their variances add up to 1
    assert features.level == pytest.approx(1 / 6, abs=1e-3)


def test_rows_that_are_all_equal_give_finite_coordinates() -> None:
    x = torch.ones(10, 4)
    sides = fit_features(x), fit_features(x)
    maps = fit_maps(sides[0].of(x), sides[1].of(x), torch.ones(10), sides, RIDGES)
    assert project(sides[0].of(x), maps.image).isfinite().all()

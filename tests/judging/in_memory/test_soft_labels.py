"""`ncaudit.soft_labels`: what the command can do, a notebook can do."""

import numpy as np
import pandas as pd
import pytest
import torch

import ncaudit
from ncaudit import NcauditError
from ncaudit.judging import choice

N, DIMS, WRONG = 300, 32, 60


@pytest.fixture
def world():
    draw = np.random.default_rng(0)
    image = draw.normal(size=(N, DIMS))
    text = image + 0.3 * draw.normal(size=(N, DIMS))
    text[:WRONG] = np.roll(text[:WRONG], 1, axis=0)
    return image, text


def test_mismatched_pairs_get_lower_labels(world):
    labels = ncaudit.soft_labels(*world)
    assert labels.soft_label.shape == (N,)
    assert labels.soft_label[WRONG:].mean() > labels.soft_label[:WRONG].mean() + 0.2


def test_arrays_tensors_and_precisions_give_the_same_labels(world):
    image, text = world
    expected = ncaudit.soft_labels(image, text)
    tensors = ncaudit.soft_labels(torch.tensor(image), torch.tensor(text, dtype=torch.float32))
    np.testing.assert_allclose(tensors.soft_label, expected.soft_label, atol=1e-4)


def test_anchors_are_rows_of_the_arrays_given(world):
    labels = ncaudit.soft_labels(*world, variant="paper")
    rows = np.concatenate([labels.image_anchor, labels.text_anchor])
    assert labels.is_anchor[rows].all()
    assert (labels.image_anchor != np.arange(N)).all()


def test_a_photo_with_several_captions_does_not_vouch_for_itself(world):
    image, text = world
    image = np.repeat(image[: N // 3], 3, axis=0)  # three captions of each photo
    photo = np.repeat(np.arange(N // 3), 3)
    labels = ncaudit.soft_labels(image, image + 0.3 * (text - world[0]), image_id=photo)
    assert (photo[labels.image_anchor] != photo).all()


def test_only_what_the_scorer_computes_is_in_the_frame(world):
    frame = ncaudit.soft_labels(*world, scorer="csls", csls_k=5).to_frame()
    assert sorted(frame.columns) == ["score", "similarity", "soft_label", "verdict"]
    assert len(frame) == N


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda i, t: (i[:-1], t), "299 rows and text has 300"),
        (lambda i, t: (i, t[:, :-1]), "share no space"),
        (lambda i, t: (i[0], t), r"shape \(32,\)"),
        (lambda i, t: (i * (np.arange(N) != 7)[:, None], t), "row 7 of image is zero or not finite"),
        (lambda i, t: (i[:9], t[:9]), "at least 20 different ones, not 9"),
    ],
)
def test_what_cannot_be_scored_is_refused_with_a_reason(spoil, said, world):
    with pytest.raises(NcauditError, match=said):
        ncaudit.soft_labels(*spoil(*world))


def test_an_unknown_choice_is_told_the_known_ones(world):
    with pytest.raises(NcauditError, match="--variant is bold") as told:
        ncaudit.soft_labels(*world, variant="bold")
    assert told.value.fix == "give one of: robust, paper, released"


def test_a_cosine_that_tells_nothing_gives_no_labels(world):
    image, text = world
    facts = ncaudit.soft_labels(image, text[::-1].copy(), scorer="clip-score").facts
    assert "noise_rate" not in facts
    assert facts["label_means"].startswith("no soft label: ")


def test_the_scorer_is_fitted_on_as_many_pairs_as_asked_for_drawn_by_the_seed(world, monkeypatch):
    samples = []

    def learn(pairs, options, learn=choice.learn):
        samples.append(list(pairs.pair_id))
        return learn(pairs, options)

    monkeypatch.setattr(choice, "learn", learn)
    for seed in (0, 0, 1):
        labels = ncaudit.soft_labels(*world, scorer="clip-score", fit_pairs=100, seed=seed)
        assert len(labels.score) == N
    assert [len(set(sample)) for sample in samples] == [100] * 3
    assert samples[0] == samples[1] != samples[2]


def test_it_prints_how_many_pairs_look_wrong(world):
    labels = ncaudit.soft_labels(*world)
    noisy = int((labels.verdict == "noisy").sum())
    rate = labels.facts["noise_rate"]
    assert repr(labels).startswith(f"SoftLabels: 300 pairs, noise rate {rate['rate']:.1%} ({rate['low']:.1%} to ")
    assert f"{noisy} noisy" in repr(labels)
    assert len(labels) == N


def test_a_notebook_shows_the_five_worst_pairs(world):
    labels = ncaudit.soft_labels(*world)
    rows = np.argsort(labels.score, kind="stable")[:5]
    assert all(f"<th>{row}</th>" in labels._repr_html_() for row in rows)
    assert labels._repr_html_().count("<tr") == 6


def test_labels_are_the_same_whatever_holds_the_embeddings(world):
    image, text = (pd.Series(list(side.astype(np.float32))) for side in world)
    expected = ncaudit.soft_labels(*(side.astype(np.float32) for side in world))
    np.testing.assert_array_equal(ncaudit.soft_labels(image, text).score, expected.score)

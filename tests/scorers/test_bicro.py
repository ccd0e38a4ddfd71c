"""BiCro's soft label (variants paper and released) worked out by hand, and the traps that a port falls into."""

import math
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from ncaudit.core.losses.pair_losses import infonce_loss, ranking_loss
from ncaudit.core.statistics.mixture import fit_mixture
from ncaudit.errors import NcauditError
from ncaudit.options import Loss, ScorerOptions, Variant
from ncaudit.scorers import bicro
from ncaudit.scoring.fits import Fit, PairScores
from ncaudit.scoring.pairs import Pairs
from tests.worlds.embeddings import at
from tests.worlds.pairs import pairs_of

CPU = torch.device("cpu")


def fit(anchors: Pairs, **options: Any) -> Fit:
    """A fit with these anchors; its mixture calls every pair with a loss above the bank's lowest noisy."""
    facts = {
        "anchor_rule": "P(clean) > 0.5",
        "anchor_loss": -1.0,
        "infonce_scale": 10.0,
        "mixture": bicro._mixture_facts(fit_mixture(torch.tensor([0.0, 0.001, 0.002, 0.4, 0.401, 0.402]), "gaussian")),
    }
    recorded = {"variant": "paper", "k": 1, "loss": "ranking", "anchor_threshold": 0.5, "center": False, **options}
    zero = torch.eye(anchors.image.shape[1])[:1]
    far = pairs_of(zero, zero, [-1], [-1])  # the bank: one negative at 0°, so that a loss can be written down
    return Fit("bicro", recorded, bicro._tensors(far, anchors, anchors), facts, anchors.pair_id)


def score(asked: Pairs, anchors: Pairs, **options: Any) -> PairScores:
    return bicro.applier(fit(anchors, **options), CPU)(asked)


# The asked pair: image at 0°, caption at 90°. A pair so far apart has a high loss, so that no pair here is an anchor.
ASKED = pairs_of(at(0.0), at(90.0), [1], [1])
# Anchor 0 is nearest to its image (60° away; captions 90° apart), anchor 1 to its caption (60°; images 180° apart).
ANCHORS = pairs_of(at(60.0, 180.0), at(180.0, 150.0), [2, 3], [2, 3])


def test_the_papers_label_is_the_mean_of_two_distance_ratios() -> None:
    # D = 1 - cos. Image direction: D(I,I_c)/D(T,T_c) = (1 - cos 60°)/(1 - cos 90°) = .5/1 = .5.
    # Text direction: d is anchor 1: D(T,T_d)/D(I,I_d) = (1 - cos 60°)/(1 - cos 180°) = .5/2 = .25. Mean: .375.
    found = score(ASKED, ANCHORS)
    assert_close(found.image_consistency, torch.tensor([0.5]), atol=1e-3, rtol=0)
    assert_close(found.text_consistency, torch.tensor([0.25]), atol=1e-3, rtol=0)
    assert_close(found.soft_label, torch.tensor([0.375]), atol=1e-3, rtol=0)
    assert (found.image_anchor.tolist(), found.text_anchor.tolist()) == ([0], [1])


def test_the_ratio_is_unbounded_and_clamped_to_one() -> None:
    # captions nearer than images: .5 / (1 - cos 30°) = 3.73 one way, 1 / 3.73 = .268 the other: (1 + .268) / 2 = .634
    found = score(ASKED, pairs_of(at(60.0), at(120.0), [2], [2]))
    assert_close(found.image_consistency, torch.tensor([1.0]))
    assert_close(found.soft_label, torch.tensor([0.634]), atol=1e-3, rtol=0)


def test_the_released_label_is_a_similarity_ratio_and_cut_below_one_half() -> None:
    # Anchor: image 60° away (S = .5), caption acos(.4) away (S = .4): r = .8 and, the other way, 1/r' = .8. Label .8.
    anchor = pairs_of(at(60.0), at(90.0 + math.degrees(math.acos(0.4))), [2], [2])
    assert_close(score(ASKED, anchor, variant="released").soft_label, torch.tensor([0.8]), atol=2e-3, rtol=0)
    # S = .2 on the caption's side: r = .4 in both directions, under one half: the label is 0
    anchor = pairs_of(at(60.0), at(90.0 + math.degrees(math.acos(0.2))), [2], [2])
    found = score(ASKED, anchor, variant="released")
    assert_close(found.image_consistency, torch.tensor([0.4]), atol=2e-3, rtol=0)
    assert found.soft_label.tolist() == [0.0]


def test_a_negative_similarity_ratio_is_zero_not_large() -> None:
    # S(I,I_c) = .5, S(T,T_c) = cos 120° = -.5: r = -1, and "min(r, 1/r)" of the released code would stay -1
    anchor = pairs_of(at(60.0), at(210.0), [2], [2])
    assert score(ASKED, anchor, variant="released").image_consistency.tolist() == [0.0]


def test_k_anchors_are_averaged_before_the_ratio() -> None:
    # image side: mean of cos 60° and cos 180° = -.25 → D 1.25; captions: cos 90°, cos 60° → .25 → D .75; 1.25/.75 > 1.
    found = score(ASKED, ANCHORS, k=2)
    assert_close(found.image_consistency, torch.tensor([1.0]))
    # the other way round: .75/1.25 = .6
    assert_close(found.text_consistency, torch.tensor([0.6]), atol=1e-3, rtol=0)


def test_fewer_anchors_than_k_are_averaged_over_those_there_are() -> None:
    assert_close(score(ASKED, ANCHORS, k=9).text_consistency, torch.tensor([0.6]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("shared", ["photo", "caption"])
def test_an_anchor_of_the_same_photo_or_caption_does_not_judge(shared: str) -> None:
    # a sibling at distance 0 would give D(I,I_c) = 0 and label a good pair 0
    sibling = 1 if shared == "photo" else 9, 1 if shared == "caption" else 9
    anchors = pairs_of(
        torch.cat([at(0.0), ANCHORS.image]),
        torch.cat([at(170.0), ANCHORS.text]),
        [sibling[0], 2, 3],
        [sibling[1], 2, 3],
    )
    found = score(ASKED, anchors)
    assert found.image_anchor.tolist() == [1]
    assert_close(found.soft_label, torch.tensor([0.375]), atol=1e-3, rtol=0)


def test_an_anchor_never_judges_itself() -> None:
    itself = pairs_of(
        torch.cat([ASKED.image, ANCHORS.image]), torch.cat([ASKED.text, ANCHORS.text]), [1, 2, 3], [1, 2, 3]
    )
    assert score(ASKED, itself).image_anchor.tolist() == [1]


def test_without_any_anchor_left_the_label_is_the_clean_probability() -> None:
    only_itself = pairs_of(ASKED.image, ASKED.text, [1], [1])
    found = score(ASKED, only_itself)
    assert found.image_anchor.tolist() == [-1]
    assert found.image_consistency.isnan().all()
    assert_close(found.soft_label, found.clean_probability)


def test_every_pair_of_the_clean_set_is_labelled_one_and_ranked_above_the_rest() -> None:
    # image and caption at the same angle: s_ii = 1, loss 0
    asked = pairs_of(at(200.0, 0.0), at(200.0, 90.0), [1, 4], [1, 4])
    found = score(asked, ANCHORS)
    assert found.is_anchor.tolist() == [True, False]
    assert found.soft_label[0] == 1
    assert found.score[0] > 1 > found.score[1]


def test_equal_captions_on_both_sides_are_consistent() -> None:
    # 0/0: the pair stands exactly where its anchor stands, under other ids
    twin = pairs_of(ASKED.image, ASKED.text, [7], [7])
    assert_close(score(ASKED, twin).soft_label, torch.tensor([1.0]), atol=1e-2, rtol=0)


def test_centring_undoes_a_narrow_cone() -> None:
    draw = torch.Generator().manual_seed(0)
    content = torch.nn.functional.normalize(torch.randn(64, 16, generator=draw), dim=1)
    cone = torch.nn.functional.normalize(content * 0.2 + torch.eye(16)[0], dim=1)
    wrong = cone.roll(1, dims=0)
    everyone = pairs_of(cone, wrong)
    raw = score(everyone, everyone, variant="released", center=False)
    spread = score(everyone, everyone, variant="released", center=True)
    assert raw.image_consistency.min() > 0.8  # raw cosine ratios saturate: every wrong pair looks consistent
    assert spread.image_consistency.mean() < 0.5


def test_a_mixture_without_anchors_falls_back_to_the_best_tenth_and_says_so() -> None:
    loss = torch.arange(100.0)
    chosen, rule = bicro.choose_anchors(loss, torch.zeros(100), ScorerOptions(variant=Variant.paper))
    assert chosen.tolist() == list(range(10))
    assert "lowest-loss tenth (the mixture gave too few anchors)" in rule


def test_the_released_variant_takes_the_best_tenth_by_itself() -> None:
    chosen, rule = bicro.choose_anchors(torch.arange(40.0), torch.ones(40), ScorerOptions(variant=Variant.released))
    assert (chosen.tolist(), rule) == ([0, 1, 2, 3], "lowest-loss tenth")


@pytest.mark.parametrize("variant", [Variant.paper, Variant.released])
def test_there_are_more_anchors_than_judge_one_pair(variant: Variant) -> None:
    sure = (torch.arange(40) < 15).float()  # as many as k: one that judges itself would be one short
    chosen, rule = bicro.choose_anchors(torch.arange(40.0), sure, ScorerOptions(variant=variant, k=15))
    assert chosen.tolist() == list(range(16))
    assert rule.startswith("lowest-loss tenth")


@pytest.mark.parametrize("variant", [Variant.paper, Variant.released])
def test_fewer_pairs_than_a_mixture_needs_are_refused(variant: Variant) -> None:
    with pytest.raises(NcauditError, match="needs at least 20 pairs, not 2"):
        bicro.fit(ANCHORS, ScorerOptions(variant=variant))


@pytest.mark.parametrize("variant", [Variant.paper, Variant.released])
def test_the_papers_and_the_released_formula_compare_in_one_space(variant: Variant) -> None:
    unequal = Pairs(torch.eye(30), torch.eye(31)[:30], torch.arange(30), torch.arange(30), [""] * 30)
    with pytest.raises(NcauditError, match=f"31: they share no space, and --variant {variant} compares"):
        bicro.fit(unequal, ScorerOptions(variant=variant))


def test_by_default_one_nearest_anchor_judges_as_in_the_paper() -> None:
    assert_close(score(ASKED, ANCHORS, k=None).soft_label, score(ASKED, ANCHORS, k=1).soft_label)


@pytest.mark.parametrize("kind", list(Loss))
def test_the_loss_is_the_one_that_training_uses(kind: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    for name, loss in (("ranking_loss", ranking_loss), ("infonce_loss", infonce_loss)):
        monkeypatch.setattr(
            bicro, name, lambda *a, _l=loss, **k: called.append((_l.__name__, _l.__module__)) or _l(*a, **k)
        )
    bicro.pair_loss(ANCHORS, ANCHORS, kind, 10.0)
    assert called == [(f"{kind.value}_loss", "ncaudit.core.losses.pair_losses")]


def test_a_pairs_loss_does_not_count_its_own_photo_or_caption_as_negatives() -> None:
    # bank: the pair itself, and a true negative at s = 0: [.2 - 1 + 0]+ = 0; its own negative would add [.2 - 1 + 1]+
    bank = pairs_of(at(0.0, 90.0), at(0.0, 90.0), [1, 2], [1, 2])
    assert bicro.pair_loss(bank.head(1), bank, Loss.ranking, 1.0).tolist() == [0.0]


def test_a_loss_does_not_move_with_the_number_of_pairs() -> None:
    draw = torch.Generator().manual_seed(0)
    image = torch.nn.functional.normalize(torch.randn(200, 8, generator=draw), dim=1)
    everyone = pairs_of(image, image.roll(1, dims=1))
    bank = everyone.head(32)
    few = bicro.pair_loss(everyone.head(50), bank, Loss.ranking, 1.0)
    assert_close(few, bicro.pair_loss(everyone, bank, Loss.ranking, 1.0)[:50])

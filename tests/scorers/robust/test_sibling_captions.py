"""Who may vouch for a caption, and how much it is worth."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from ncaudit.core.metrics.detection import auroc
from ncaudit.scorers.robust import sibling_captions
from ncaudit.scorers.robust.sibling_captions import MOST, SiblingModel, Witnesses, siblings_of
from ncaudit.scoring.pairs import Pairs


def witnesses(photo: list[int], caption: list[int]) -> Witnesses:
    n = len(photo)
    numbers = torch.zeros(n)
    return Witnesses(torch.tensor(photo), torch.tensor(caption), torch.zeros(n, 2), numbers, numbers.long(), numbers)


def asking(photo: int, caption: int, replaced: int | None = None) -> Pairs:
    row, ids = torch.zeros(1, 2), (torch.tensor([photo]), torch.tensor([caption]))
    return Pairs(row, row, *ids, ["p"], replaced_caption_id=None if replaced is None else torch.tensor([replaced]))


def heard(asked: Pairs, known: Witnesses) -> list[int]:
    """The captions that are siblings of the asked pair's."""
    found = siblings_of(asked, known)[0]
    return known.caption_id[found[found >= 0]].tolist()


KNOWN = witnesses([1, 1, 1, 2, 2], [10, 11, 12, 10, 20])


def test_the_other_captions_of_the_photo_are_siblings() -> None:
    assert heard(asking(1, 11), KNOWN) == [10, 12]
    assert heard(asking(2, 99), KNOWN) == [10, 20]


def test_copies_of_a_pair_are_no_siblings() -> None:
    copies = witnesses([1, 1, 1, 1], [10, 10, 10, 11]).sorted()
    assert (copies.image_id.tolist(), copies.caption_id.tolist()) == ([1, 1], [10, 11])
    assert heard(asking(1, 10), copies) == [11]


def test_the_caption_that_a_random_pair_replaced_is_no_sibling() -> None:
    assert heard(asking(1, 500, replaced=11), KNOWN) == [10, 12]


def test_a_photo_without_other_captions_has_none() -> None:
    assert heard(asking(3, 10), KNOWN) == []
    assert heard(asking(0, 10), KNOWN) == []
    assert heard(asking(1, 10), witnesses([], [])) == []


@pytest.mark.parametrize("replaced", [None, 3])
def test_at_most_five_are_heard(replaced: int | None) -> None:
    found = heard(asking(1, 2, replaced), witnesses([1] * 12, list(range(12))))
    assert len(found) == MOST == 5
    assert 2 not in found
    assert replaced not in found


def test_joined_witnesses_are_each_photos_caption_once_in_order() -> None:
    both = witnesses([2, 1], [20, 11]).joined(witnesses([1, 1], [11, 10]))
    assert (both.image_id.tolist(), both.caption_id.tolist()) == ([1, 1, 2], [10, 11, 20])


def test_the_share_counts_pairs_whose_photo_has_another_caption() -> None:
    def pairs(photo: list[int], caption: list[int]) -> Pairs:
        n = len(photo)
        return Pairs(torch.zeros(n, 1), torch.zeros(n, 1), torch.tensor(photo), torch.tensor(caption), [""] * n)

    assert sibling_captions.share(pairs([1, 1, 2, 3], [1, 2, 3, 4])) == 0.5
    assert sibling_captions.share(pairs([1, 1, 2, 3], [1, 1, 3, 4])) == 0  # a copy is no other caption
    assert sibling_captions.share(pairs([1, 1, 1, 2], [1, 1, 2, 3])) == 0.75


PHOTOS, CAPTIONS, WRONG = 200, 4, 0.3


@pytest.fixture(scope="module")
def learned(latent_world) -> tuple[Pairs, Tensor, Witnesses, SiblingModel]:
    """200 photos with four captions each, 30 % of them swapped; each witness is as clean as the rate says."""
    pairs, clean = latent_world(PHOTOS, captions=CAPTIONS, wrong=WRONG)
    known = as_witnesses(pairs)
    model = sibling_captions.fit(pairs, zeros(pairs), known, None, WRONG, seed=0)
    return pairs, clean, model.with_crowds(known), model


def zeros(pairs: Pairs) -> Tensor:
    return torch.zeros(len(pairs), dtype=torch.int64)


def as_witnesses(pairs: Pairs, clean: float = 1 - WRONG) -> Witnesses:
    even = torch.full((len(pairs),), clean)
    unknown = torch.full_like(even, torch.nan)
    return Witnesses(pairs.image_id, pairs.caption_id, pairs.text, even, zeros(pairs), unknown).sorted()


def with_photo(pairs: Pairs, photo: int, text: Tensor, caption: Tensor) -> Pairs:
    """The pairs, and some more of one new photo with these captions."""
    n = len(text)
    return Pairs(
        torch.cat([pairs.image, pairs.image[:1].expand(n, -1)]),
        torch.cat([pairs.text, text]),
        torch.cat([pairs.image_id, torch.full((n,), photo)]),
        torch.cat([pairs.caption_id, caption]),
        [*pairs.pair_id, *[""] * n],
    )


def test_true_captions_among_their_siblings_score_above_wrong_ones(learned) -> None:
    pairs, clean, known, model = learned
    evidence = model.evidence(pairs, zeros(pairs), known)
    assert auroc(evidence, clean) > 0.9
    assert evidence[clean].mean() > 0 > evidence[~clean].mean()


def test_without_siblings_the_evidence_is_zero(learned) -> None:
    pairs, _, known, model = learned
    strangers = replace(pairs.head(5), image_id=torch.arange(9000, 9005))
    assert model.evidence(strangers, zeros(strangers), known).tolist() == [0] * 5


def test_copies_of_a_wrong_caption_do_not_vouch_for_each_other(learned) -> None:
    pairs, clean, known, model = learned
    wrong = (~clean).nonzero()[:20, 0]
    copied = pairs.take(torch.cat([torch.arange(len(pairs)), wrong.repeat(5)]))
    again = model.with_crowds(as_witnesses(copied))
    asked = pairs.take(wrong)
    assert_close(model.evidence(asked, zeros(asked), again), model.evidence(asked, zeros(asked), known))


def test_a_placeholder_photo_whose_captions_have_nothing_in_common_is_not_lifted(learned) -> None:
    pairs, _, _, model = learned
    some = pairs.rows(slice(0, 60))  # captions of many photos, all of them given to one picture
    placeholder = with_photo(pairs, 7777, some.text, some.caption_id + 100_000)
    known = model.with_crowds(as_witnesses(placeholder))
    asked = placeholder.rows(slice(len(pairs), None))
    evidence = model.evidence(asked, zeros(asked), known)
    assert evidence.mean() < 0
    assert (evidence > 0).double().mean() < 0.2


def test_a_sibling_counts_as_far_as_it_is_clean(learned) -> None:
    pairs, clean, known, model = learned
    asked = pairs.take(clean.nonzero()[:, 0])
    doubted = replace(known, clean=torch.zeros_like(known.clean))
    assert model.evidence(asked, zeros(asked), doubted).abs().max() == 0
    trusted = replace(known, clean=torch.ones_like(known.clean))
    wrong = pairs.take((~clean).nonzero()[:, 0])
    for more, less in ((trusted, known), (known, doubted)):
        assert model.evidence(wrong, zeros(wrong), more).mean() < model.evidence(wrong, zeros(wrong), less).mean()


def test_a_pair_scores_alone_as_among_others(learned) -> None:
    pairs, _, known, model = learned
    alone = pairs.rows(slice(9, 10))
    together = model.evidence(pairs, zeros(pairs), known)
    assert_close(model.evidence(alone, zeros(alone), known), together[9:10], atol=1e-5, rtol=0)


def test_the_crowd_of_a_witness_is_looked_up_once(learned, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, known, model = learned
    seen = []
    monkeypatch.setattr(SiblingModel, "crowd", lambda self, plain, ids: seen.append(len(plain)) or plain[:, 0] * 0)
    assert model.with_crowds(known).crowd.tolist() == known.crowd.tolist()
    assert seen == [0]


def test_captions_that_resemble_each_other_by_chance_alone_teach_nothing(latent_world) -> None:
    pairs, _ = latent_world(PHOTOS, captions=CAPTIONS, wrong=1.0)
    known = as_witnesses(pairs, clean=0.5)
    model = sibling_captions.fit(pairs, zeros(pairs), known, None, 0.5, seed=0)
    assert model.evidence(pairs, zeros(pairs), known).mean() < 0.1


def test_what_is_saved_says_the_same(learned) -> None:
    pairs, _, known, model = learned
    again, kept = sibling_captions.saved(sibling_captions.tensors(model, known), None)
    saved = again.evidence(pairs, zeros(pairs), kept)
    # captions are kept in half precision
    assert_close(saved, model.evidence(pairs, zeros(pairs), known), atol=0.05, rtol=0.05)

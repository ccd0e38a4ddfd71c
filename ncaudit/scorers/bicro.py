"""bicro: anchor-based bidirectional similarity consistency (Yang et al., CVPR 2023, arXiv 2303.12419), post hoc.

A pair is judged by anchors: pairs trusted because their loss is low. If its image is near an anchor's image, its
caption should be as near to that anchor's caption, and the reverse. Knows embeddings and identities; nothing of files.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ncaudit.core.correspondence.consistency import centre, distance_consistency, similarity_consistency
from ncaudit.core.losses.pair_losses import infonce_loss, ranking_loss
from ncaudit.core.neighbours.search import KeyBank, Nearest, nearest, prepare_keys
from ncaudit.core.statistics.mixture import Mixture, clean_probability, fit_mixture
from ncaudit.errors import NcauditError
from ncaudit.options import Loss, ScorerOptions, Variant
from ncaudit.scorers.robust import bicro_robust
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.pairs import Pairs
from ncaudit.scoring.shared_space import require_widths

ABOUT = "two-way consistency with trusted anchor pairs (BiCro)"
NEEDS_SHARED_SPACE = False
FEWEST_PAIRS = 20  # a two-component mixture on fewer losses says nothing
MARGIN = 0.2  # α of the paper
SCALES = (5.0, 10.0, 14.3, 20.0, 30.0, 50.0, 70.0, 100.0)  # 1 / temperature, for infonce
ROWS = 8_192  # whose losses are computed at once
RECORDED = (
    "scorer",
    "variant",
    "k",
    "loss",
    "mixture",
    "anchor_threshold",
    "center",
    "max_anchors",
    "fit_pairs",
    "bank_pairs",
    "seed",
)


def reads(options: ScorerOptions) -> tuple[str, ...]:
    """Our own variant finds its anchors another way than the paper's."""
    return bicro_robust.RECORDED if options.variant is Variant.robust else RECORDED


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """Bank of negatives, losses, mixture, anchors: steps 1 to 3 of the paper, on a sample in random order.

    Raises NcauditError below FEWEST_PAIRS pairs.
    """
    if options.variant is Variant.robust:
        return bicro_robust.fit(pairs, options)
    require_widths(pairs, f"--variant {options.variant}")
    if len(pairs) < FEWEST_PAIRS:
        raise NcauditError(
            f"bicro fits a mixture to the pairs' losses and needs at least {FEWEST_PAIRS} pairs, not {len(pairs)}",
            fix="use --scorer clip-score for so few pairs, or --fit with a fit made on more",
        )
    bank = pairs.head(options.bank_pairs)
    scale = _likeliest_scale(bank) if options.loss is Loss.infonce else SCALES[0]
    loss = pair_loss(pairs, bank, options.loss, scale)
    mixture = fit_mixture(loss, options.mixture.value)
    chosen, rule = choose_anchors(loss, clean_probability(mixture, loss), options)
    anchors = pairs.take(chosen[: options.max_anchors])
    facts = {
        "anchor_rule": rule,
        "anchors": len(anchors),
        "anchor_share": len(chosen) / len(pairs),
        "anchor_loss": float(loss[chosen].max()),
        "infonce_scale": scale,
        "mixture": _mixture_facts(mixture),
        "fitted_on": len(pairs),
    }
    recorded = {name: getattr(options, name) for name in RECORDED}
    return Fit("bicro", recorded, _tensors(bank, anchors, pairs), facts, list(anchors.pair_id))


def cells(fit: Fit, pairs: Pairs) -> Tensor:
    """From which pairs a random one for the null may take its halves: robust has folds, the others one bank for all."""
    return (
        bicro_robust.cells(fit, pairs) if fit.options["variant"] == Variant.robust else torch.zeros_like(pairs.image_id)
    )


def applier(fit: Fit, device: torch.device) -> Applier:
    """soft_label = the paper's y in [0, 1]; score = y, or for anchors (label 1) 2 - their scaled loss."""
    if fit.options["variant"] == Variant.robust:
        return bicro_robust.applier(fit, device)
    return _Bicro.of(fit, device).apply


def pair_loss(pairs: Pairs, bank: Pairs, kind: Loss, scale: float) -> Tensor:
    """Each pair's loss against the same fixed negatives, (n,); lower = likelier to correspond.

    A batch's negatives would let the loss, and with it the mixture, move with N: the bank is fixed in size and seed.
    Ranking uses the mean over the negatives, as the released code's split does; the hardest ones are for training.
    """
    blocks = [_block_loss(_rows(pairs, start), bank, kind, scale) for start in range(0, len(pairs), ROWS)]
    return torch.cat(blocks)


def choose_anchors(loss: Tensor, clean: Tensor, options: ScorerOptions) -> tuple[Tensor, str]:
    """Indices of the anchors in the order of the sample, and the rule that chose them.

    paper: P(clean) above the threshold; released: the lowest-loss tenth. A mixture that gives no more anchors than one
    search needs falls back to the best tenth, and says so.
    """
    trusted = (clean > options.anchor_threshold).nonzero()[:, 0]
    if options.variant is Variant.paper and len(trusted) > _k(options):
        return trusted, f"P(clean) > {options.anchor_threshold:g}"
    tenth = loss.argsort(stable=True)[: max(_k(options) + 1, len(loss) // 10)].sort().values
    fell_back = " (the mixture gave too few anchors)" if options.variant is Variant.paper else ""
    return tenth, f"lowest-loss tenth{fell_back}"


@dataclass(frozen=True)
class _Bicro:
    """A fit made ready for one device."""

    variant: Variant
    k: int
    loss: Loss
    threshold: float
    facts: dict[str, Any]
    mixture: Mixture
    bank: Pairs
    image_mean: Tensor
    text_mean: Tensor
    images: KeyBank
    texts: KeyBank
    groups: list[Tensor]

    @classmethod
    def of(cls, fit: Fit, device: torch.device) -> "_Bicro":
        t = {name: tensor.to(device) for name, tensor in fit.tensors.items()}
        options, facts = fit.options, dict(fit.facts)
        bank = Pairs(t["bank_image"].float(), t["bank_text"].float(), t["bank_image_id"], t["bank_caption_id"], ())
        image_mean, text_mean = (t[name] * bool(options["center"]) for name in ("image_mean", "text_mean"))
        return cls(
            Variant(options["variant"]),
            int(options["k"] or 1),
            Loss(options["loss"]),
            float(options["anchor_threshold"]),
            facts,
            _mixture_of(facts["mixture"]),
            bank,
            image_mean,
            text_mean,
            prepare_keys(centre(t["anchor_image"].float(), image_mean)),
            prepare_keys(centre(t["anchor_text"].float(), text_mean)),
            [t["anchor_image_id"], t["anchor_caption_id"]],
        )

    def apply(self, pairs: Pairs) -> PairScores:
        loss = pair_loss(pairs, self.bank, self.loss, self.facts["infonce_scale"])
        clean = clean_probability(self.mixture, loss)
        image, text = centre(pairs.image, self.image_mean), centre(pairs.text, self.text_mean)
        by_image = nearest(image, self.images, self.k, query_groups=pairs.groups, key_groups=self.groups)
        by_text = nearest(text, self.texts, self.k, query_groups=pairs.groups, key_groups=self.groups)
        image_consistency = self._consistency(by_image, text, self.texts)
        text_consistency = self._consistency(by_text, image, self.images)
        trusted = self._is_anchor(loss, clean)
        label = self._label(_mean_of_known(image_consistency, text_consistency, clean), clean, trusted)
        return PairScores(
            score=torch.where(trusted, 2 - self._scaled(loss), label),
            similarity=pairs.similarity(),
            soft_label=label,
            clean_probability=clean,
            image_consistency=image_consistency,
            text_consistency=text_consistency,
            is_anchor=trusted,
            image_anchor=by_image.index[:, 0],
            text_anchor=by_text.index[:, 0],
        )

    def _consistency(self, found: Nearest, other: Tensor, other_keys: KeyBank) -> Tensor:
        """One direction: how near the pair is to its anchors on the side they were found on, against the other side."""
        keys = other_keys.keys[found.index.clamp(min=0)]
        across = torch.einsum("nd,nkd->nk", other, keys).masked_fill(found.index < 0, -torch.inf)
        ratio = distance_consistency if self.variant is Variant.paper else similarity_consistency
        return ratio(found.similarity, across)

    def _scaled(self, loss: Tensor) -> Tensor:
        """The loss in [0, 1]. It ranks the anchors: P(clean) is 1 to the last digit for most of them."""
        low, high = self.mixture.loss_min, self.mixture.loss_max
        return ((loss - low) / max(high - low, 1e-12)).clamp(0, 1)

    def _is_anchor(self, loss: Tensor, clean: Tensor) -> Tensor:
        if str(self.facts["anchor_rule"]).startswith("P(clean)"):
            return clean > self.threshold
        return loss <= float(self.facts["anchor_loss"])

    def _label(self, consistency: Tensor, clean: Tensor, trusted: Tensor) -> Tensor:
        if self.variant is Variant.released:
            # the released code lifts the clean pairs that are no anchors, and cuts what is left below one half to zero
            consistency = torch.where(clean > self.threshold, 0.5 + consistency / 2, consistency)
            consistency = consistency.masked_fill(consistency < 0.5, 0.0)
        return consistency.masked_fill(trusted, 1.0)


def _k(options: ScorerOptions) -> int:
    return options.k or 1  # as in the paper


def _mean_of_known(image: Tensor, text: Tensor, clean: Tensor) -> Tensor:
    """½ (both directions); of one where the other has no anchor left; P(clean) where neither has (never a constant)."""
    known = torch.stack([image, text]).nanmean(dim=0)
    return torch.where(known.isnan(), clean, known)


def _rows(pairs: Pairs, start: int) -> Pairs:
    rows = slice(start, start + ROWS)
    return Pairs(pairs.image[rows], pairs.text[rows], pairs.image_id[rows], pairs.caption_id[rows], ())


def _block_loss(pairs: Pairs, bank: Pairs, kind: Loss, scale: float) -> Tensor:
    to_text, to_image = pairs.image @ bank.text.T, pairs.text @ bank.image.T
    same_photo = pairs.image_id[:, None] == bank.image_id[None, :]
    allowed = ~(same_photo | (pairs.caption_id[:, None] == bank.caption_id[None, :]))
    own = pairs.similarity()
    if kind is Loss.infonce:
        return infonce_loss(own, to_text, to_image, scale=scale, allowed=allowed)
    return ranking_loss(own, to_text, to_image, margin=MARGIN, allowed=allowed, negatives="mean")


def _likeliest_scale(bank: Pairs) -> float:
    """The temperature belongs to the model and is not in the tables: take the likeliest one on the bank."""
    return min(SCALES, key=lambda scale: float(_block_loss(bank, bank, Loss.infonce, scale).mean()))


def _tensors(bank: Pairs, anchors: Pairs, pairs: Pairs) -> dict[str, Tensor]:
    return {
        "bank_image": bank.image.half(),
        "bank_text": bank.text.half(),
        "bank_image_id": bank.image_id,
        "bank_caption_id": bank.caption_id,
        "anchor_image": anchors.image.half(),
        "anchor_text": anchors.text.half(),
        "anchor_image_id": anchors.image_id,
        "anchor_caption_id": anchors.caption_id,
        # of all rows: the mean of one modality needs no pairing, so mismatches do not bend it
        "image_mean": pairs.image.mean(dim=0),
        "text_mean": pairs.text.mean(dim=0),
    }


def _mixture_facts(mixture: Mixture) -> dict[str, Any]:
    return {
        "kind": mixture.kind,
        "weights": list(mixture.weights),
        "parameters": [list(shape) for shape in mixture.parameters],
        "loss_min": mixture.loss_min,
        "loss_max": mixture.loss_max,
        "converged": mixture.converged,
    }


def _mixture_of(facts: dict[str, Any]) -> Mixture:
    first, second = facts["parameters"]
    return Mixture(
        facts["kind"],
        tuple(facts["weights"]),
        (tuple(first), tuple(second)),
        facts["loss_min"],
        facts["loss_max"],
        facts["converged"],
    )

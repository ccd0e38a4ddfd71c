"""bicro, variant robust: BiCro's anchors and its two directions, without its one-anchor ratio.

Each pair gets some numbers, all held against random pairs: CSLS in the embeddings' own space (where they share one),
CSLS in a space refitted on the dataset (`refit`), and how well the pair's other side agrees with that of its nearest
anchors (both directions). Where photos have several captions, these then vouch for each other. Every number of a pair
comes from models and anchors that saw neither it nor its photo. Knows embeddings and identities; nothing of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.correspondence.agreement import Spread, agreement, spread_of
from ncaudit.core.correspondence.csls import csls_of
from ncaudit.core.neighbours.search import KeyBank, Nearest, prepare_keys
from ncaudit.core.statistics.curve import Curve
from ncaudit.counts import counted
from ncaudit.errors import NcauditError
from ncaudit.options import Align, ScorerOptions, Siblings
from ncaudit.scorers.robust import refit, sibling_captions
from ncaudit.scorers.robust.refit import Refit
from ncaudit.scorers.robust.sibling_captions import SiblingModel, Witnesses
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.folds import Folds
from ncaudit.scoring.fusion import choose_weights
from ncaudit.scoring.lookups import Lookups, Way
from ncaudit.scoring.pairs import Pairs, joined, random_partners, rooted
from ncaudit.scoring.posterior import clean_posterior
from ncaudit.scoring.shared_space import shares_space

FEWEST_PAIRS = 20
JUDGED = 4_096  # pairs that weights are chosen on, and that are scored at once
TOPICAL_DRAWS = 16  # of which the one with the most similar photo is taken
KNOTS = 512
ANCHORS_BY_DEFAULT = (10, 5)
SIBLING_WEIGHTS = ((1.0, 0.5), (1.0, 0.3), (1.0, 1.0))
RECORDED = (
    "scorer",
    "variant",
    "k",
    "align",
    "siblings",
    "csls_k",
    "anchor_threshold",
    "max_anchors",
    "fit_pairs",
    "seed",
)
BANK = ("image", "text", "image_id", "caption_id")


def fit(pairs: Pairs, options: ScorerOptions) -> Fit:
    """Fold models, anchors, weights and what siblings say, from a sample in random order.

    Raises NcauditError below FEWEST_PAIRS pairs, where a space must be learned from too few, and where all pairs share
    one photo or caption.
    """
    pairs = rooted(pairs)
    model = _Model.learned(pairs, options)
    bank = model.bank.head(JUDGED)
    fold = model.fold(bank)
    strangers = joined(bank, *random_partners(bank, fold, draws=1, seed=options.seed))
    _require_strangers(strangers)
    observed, random = model.parts(bank), model.parts(strangers)
    topical = model.parts(joined(bank, *_topical(bank, fold, options.seed)))
    model = model.with_scale(random.columns)
    nulls = [model.scaled(null.columns) for null in (random, topical)]
    weights = choose_weights(model.scaled(observed.columns), nulls, model.candidates(), bank.image_id)
    model = replace(model, weights=weights).with_curves(observed, random)
    if options.siblings is not Siblings.ignore:
        model = model.with_siblings(pairs, options)
    if model.siblings is not None:
        model = model.with_sibling_weight((bank, observed), (strangers, random))
    return model.as_fit(options, len(pairs))


def cells(fit: Fit, pairs: Pairs) -> Tensor:
    """The fold of each pair, (n,): a random pair for the null takes both halves from one."""
    if fit.facts["refit"] is None:
        return torch.zeros_like(pairs.image_id)
    # a loaded fit lies in main memory, wherever the pairs are
    tensors = {name: fit.tensors[name].to(pairs.image_id.device) for name in fit.tensors if name.startswith("fold_")}
    return Folds.saved(tensors, int(fit.facts["refit"]["folds"])).of(pairs)


def applier(fit: Fit, device: torch.device) -> Applier:
    """score: weighted sum of the columns, in standard deviations of random pairs; any real, higher = likelier.

    image_consistency, text_consistency: the share of random pairs below, in that direction.
    """
    return _Model.saved(fit, device).apply


@dataclass(frozen=True)
class _Parts:
    """What is known of n pairs before it is put together.

    columns: (n, 2 + anchor counts): csls (0 where no space is shared), refitted csls (0 where there is no refit),
    agreement for each number of anchors. directions: (n, 2) per number of anchors. by_image, by_text: the anchors.
    """

    columns: Tensor
    directions: list[Tensor]
    by_image: Nearest
    by_text: Nearest
    fold: Tensor


@dataclass(frozen=True)
class _Model:
    """A fit, in the making or made ready for one device."""

    aligned: bool
    bank: Pairs  # different pairs: copies are one witness
    refit: Refit | None
    sides: tuple[KeyBank, KeyBank]  # the bank's coordinates, each side among its own kind
    spreads: tuple[Spread, Spread]
    plain: tuple[KeyBank, KeyBank] | None  # the bank's embeddings, where they share a space
    anchor_counts: tuple[int, ...]
    csls_k: int
    threshold: float
    mean: Tensor
    deviation: Tensor
    weights: tuple[float, ...] = ()
    percentiles: Tensor | None = None  # (KNOTS, 2) of the random pairs
    clean: Curve | None = None
    rate: float = 0.0
    siblings: tuple[SiblingModel, Witnesses] | None = None
    sibling_weight: float = 0.0
    lookups: Lookups = field(default_factory=Lookups)

    @classmethod
    def learned(cls, pairs: Pairs, options: ScorerOptions) -> "_Model":
        """All but what needs scores: the space, the fold models, the anchors."""
        aligned, bank = shares_space(pairs, options.align), _distinct(pairs).head(options.max_anchors)
        if options.align is Align.auto and not refit.can_learn(bank):
            # so few pairs can look like chance by chance: what is made of them is no label (judging.evidence), and no
            # refusal either
            aligned = pairs.image.shape[1] == pairs.text.shape[1]
        _require_enough(bank, aligned)
        model = refit.fit(bank, options.csls_k, options.seed) if refit.can_learn(bank) else None
        counts = ANCHORS_BY_DEFAULT if options.k is None else (options.k,)
        return cls.ready(bank, model, aligned, counts, options.csls_k, options.anchor_threshold)

    @classmethod
    def ready(
        cls, bank: Pairs, model: Refit | None, aligned: bool, counts: tuple[int, ...], csls_k: int, threshold: float
    ) -> "_Model":
        """What follows from the bank and the fold models."""
        image, text = (normalize(rows, dim=1) for rows in _coordinates(bank, model, bank))
        plain = (prepare_keys(bank.image), prepare_keys(bank.text)) if aligned else None
        zero = bank.image.new_zeros(2 + len(counts))
        sides, spreads = (prepare_keys(image), prepare_keys(text)), (spread_of(image), spread_of(text))
        return cls(aligned, bank, model, sides, spreads, plain, counts, csls_k, threshold, zero, zero + 1)

    def fold(self, pairs: Pairs) -> Tensor:
        """Which model judges each pair, (n,); all 0 where there are none."""
        return torch.zeros_like(pairs.image_id) if self.refit is None else self.refit.folds.of(pairs)

    def parts(self, pairs: Pairs, counts: Sequence[int] | None = None) -> _Parts:
        """Every column of every pair. counts: the only numbers of anchors that are wanted; 0 stands for others."""
        fold = self.fold(pairs)
        zero = pairs.image.new_zeros(len(pairs))
        plain = zero if self.plain is None else self._csls(pairs, self.plain)
        bare = _coordinates(self.bank, self.refit, pairs)
        refitted = zero if self.refit is None else self.refit.score(pairs, fold, bare, self.lookups)
        sides = normalize(bare[0], dim=1), normalize(bare[1], dim=1)
        by_image, by_text = (
            self._anchors(name, rows, keys, pairs, fold)
            for name, rows, keys in zip(refit.SIDES, sides, self.sides, strict=True)
        )
        none = torch.stack([zero, zero], dim=1)
        directions = [
            none if counts is not None and count not in counts
            else self._directions(by_image, by_text, sides, fold, count)
            for count in self.anchor_counts
        ]  # fmt: skip
        columns = torch.stack([plain, refitted, *(both.mean(dim=1) for both in directions)], dim=1)
        return _Parts(columns, directions, by_image, by_text, fold)

    def _used_parts(self, pairs: Pairs) -> _Parts:
        """The columns that have a weight."""
        return self.parts(pairs, [self.anchor_counts[self._used_count()]])

    def _csls(self, pairs: Pairs, plain: tuple[KeyBank, KeyBank]) -> Tensor:
        """CSLS of the embeddings as they are."""
        groups = pairs.groups, self.bank.groups
        found = [
            self.lookups.nearest(Way("plain", side), pairs, rows, keys, self.csls_k, groups)
            for side, rows, keys in (("image", pairs.image, plain[1]), ("text", pairs.text, plain[0]))
        ]
        return csls_of(pairs.image, pairs.text, *found)

    def scaled(self, columns: Tensor) -> Tensor:
        """In standard deviations of the random pairs, so that weights mean the same on any data."""
        return (columns - self.mean) / self.deviation

    def base(self, columns: Tensor) -> Tensor:
        """The score without siblings, (n,)."""
        return self.scaled(columns) @ columns.new_tensor(self.weights)

    def candidates(self) -> list[tuple[float, ...]]:
        """Weights of csls, refit and agreement; those that did best on real photos, at any noise, first."""
        refits, agreed = ((0.3, 0.15, 0.6, 0.0), (0.1, 0.0, 0.2)) if self.aligned else ((1.0,), (0.15, 0.0, 0.3, 0.6))
        if self.refit is None:
            refits = (0.0,)
        counts = range(len(self.anchor_counts))
        spots = [tuple(weight * (i == at) for i in counts) for weight in agreed for at in counts]
        return list(dict.fromkeys((float(self.aligned), refit, *spot) for refit in refits for spot in spots))

    def with_scale(self, random: Tensor) -> "_Model":
        """In units of what random pairs get."""
        if len(random) < 2:
            return self
        return replace(self, mean=random.mean(dim=0), deviation=random.std(dim=0).clamp(min=1e-6))

    def with_curves(self, observed: _Parts, random: _Parts) -> "_Model":
        """What the base score says of being clean (without siblings), and what random pairs get in each direction."""
        score, null = self.base(observed.columns), self.base(random.columns)
        clean, rate = clean_posterior(score, null)
        order = score.argsort()
        knots = order[torch.linspace(0, len(order) - 1, min(KNOTS, len(order)), device=order.device).round().long()]
        by_side = random.directions[self._used_count()]
        percentiles = by_side.quantile(torch.linspace(0, 1, KNOTS, device=by_side.device), dim=0)
        return replace(self, clean=Curve(score[knots], clean[knots]), rate=rate, percentiles=percentiles)

    def with_siblings(self, pairs: Pairs, options: ScorerOptions) -> "_Model":
        """Learn what the captions of one photo say of each other; as before where too few photos have several."""
        if sibling_captions.share(pairs) < sibling_captions.LEAST_SHARE:
            if options.siblings is Siblings.auto:
                return self
            raise NcauditError(
                "--siblings use, but hardly any photo has several captions",
                fix="leave it at auto, or give the photos' identities in a column image_hash",
            )
        base, fold = self._in_blocks(pairs)
        witnesses = _witnesses(pairs, fold, self._clean(base))
        model = sibling_captions.fit(pairs, fold, witnesses, self.refit, self.rate, options.seed)
        return replace(self, siblings=(model, model.with_crowds(witnesses)), sibling_weight=SIBLING_WEIGHTS[0][1])

    def with_sibling_weight(self, observed: tuple[Pairs, _Parts], random: tuple[Pairs, _Parts]) -> "_Model":
        """How much of what siblings say to believe."""
        columns = []
        for pairs, parts in (observed, random):
            base = self.base(parts.columns)
            columns.append(torch.stack([base, self._evidence(pairs, parts.fold, base)], dim=1))
        chosen = choose_weights(columns[0], columns[1:], SIBLING_WEIGHTS, observed[0].image_id)
        return replace(self, sibling_weight=chosen[1])

    def apply(self, pairs: Pairs) -> PairScores:
        """The scores of pairs; those of the same photo beside a pair may vouch for it."""
        if not len(pairs):
            empty = pairs.image.new_zeros(0)
            return PairScores(score=empty, similarity=empty)
        parts = self._used_parts(pairs)
        base = self.base(parts.columns)
        directions = parts.directions[self._used_count()]
        return PairScores(
            score=base + self.sibling_weight * self._evidence(pairs, parts.fold, base),
            similarity=pairs.similarity() if self.aligned else torch.full_like(base, torch.nan),
            image_consistency=self._percentile(directions[:, 0], 0),
            text_consistency=self._percentile(directions[:, 1], 1),
            is_anchor=self._clean(base) > self.threshold,
            image_anchor=self._trusted(parts.by_image, parts.fold),
            text_anchor=self._trusted(parts.by_text, parts.fold),
        )

    def _anchors(self, side: str, rows: Tensor, keys: KeyBank, pairs: Pairs, fold: Tensor) -> Nearest:
        """The nearest bank pairs on one side, those of the pair's own photo, caption and fold left out."""
        queries, known = list(pairs.groups), list(self.bank.groups)
        if self.refit is not None:  # the trust in a fold's own pairs was not measured without them
            queries, known = [*queries, fold], [*known, self.refit.folds.of(self.bank)]
        most = max(self.anchor_counts)
        return self.lookups.nearest(Way("anchors", side), pairs, rows, keys, most, (queries, known))

    def _directions(
        self, by_image: Nearest, by_text: Nearest, sides: tuple[Tensor, Tensor], fold: Tensor, count: int
    ) -> Tensor:
        """(n, 2): the caption against the captions of the nearest images, and the reverse."""
        images, captions = self.sides
        by_image, by_text = _first(by_image, count), _first(by_text, count)
        return torch.stack(
            [
                agreement(by_image, self._trust(by_image, fold), captions.keys, sides[1], self.spreads[1]),
                agreement(by_text, self._trust(by_text, fold), images.keys, sides[0], self.spreads[0]),
            ],
            dim=1,
        )

    def _trust(self, found: Nearest, fold: Tensor) -> Tensor:
        if self.refit is None:
            return torch.ones_like(found.similarity)
        return self.refit.trust[fold[:, None], found.index.clamp(min=0)]

    def _trusted(self, found: Nearest, fold: Tensor) -> Tensor:
        """The nearest anchor that is trusted, or the most trusted of those nearby; -1 where there is none."""
        trust = self._trust(found, fold).masked_fill(found.index < 0, -torch.inf)
        trusted = trust > self.threshold
        first = torch.where(trusted.any(dim=1), trusted.long().argmax(dim=1), trust.argmax(dim=1))
        return found.index.gather(1, first[:, None])[:, 0]

    def _used_count(self) -> int:
        """Which number of anchors the weights chose."""
        chosen = [i for i, weight in enumerate(self.weights[2:]) if weight]
        return chosen[0] if chosen else 0

    def _percentile(self, direction: Tensor, side: int) -> Tensor:
        assert self.percentiles is not None
        known = self.percentiles[:, side].contiguous()
        return torch.searchsorted(known, direction.contiguous(), right=True).float() / len(known)

    def _clean(self, base: Tensor) -> Tensor:
        assert self.clean is not None
        return self.clean.of(base)

    def _evidence(self, pairs: Pairs, fold: Tensor, base: Tensor) -> Tensor:
        if self.siblings is None:
            return torch.zeros_like(base)
        model, known = self.siblings
        return model.evidence(pairs, fold, self._heard(pairs, fold, base, known))

    def _heard(self, pairs: Pairs, fold: Tensor, base: Tensor, known: Witnesses) -> Witnesses:
        """The witnesses of the fit, and the pairs beside these of the same photos."""
        if pairs.beside is None:
            return known.joined(_witnesses(pairs, fold, self._clean(base)))
        wanted = torch.isin(pairs.beside.image_id, pairs.image_id)
        beside = pairs.beside.take(wanted.nonzero()[:, 0])
        new = ~torch.isin(beside.image_id, known.image_id)
        if not new.any():
            return known
        beside = replace(beside.take(new.nonzero()[:, 0]), beside=None)
        folds = self.fold(beside)
        return known.joined(_witnesses(beside, folds, self._clean(self.base(self._used_parts(beside).columns))))

    def _in_blocks(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Base score and fold of many pairs."""
        blocks = [pairs.rows(slice(start, start + JUDGED)) for start in range(0, len(pairs), JUDGED)]
        parts = [self._used_parts(block) for block in blocks]
        return torch.cat([self.base(part.columns) for part in parts]), torch.cat([part.fold for part in parts])

    def as_fit(self, options: ScorerOptions, fitted_on: int) -> Fit:
        """What is saved."""
        assert self.clean is not None
        assert self.percentiles is not None
        tensors = {f"bank_{name}": getattr(self.bank, name) for name in BANK}
        tensors |= {"bank_image": self.bank.image.half(), "bank_text": self.bank.text.half()}
        tensors |= {"mean": self.mean, "deviation": self.deviation, "percentiles": self.percentiles}
        tensors |= {"clean_at": self.clean.at, "clean_value": self.clean.value}
        if self.refit is not None:
            tensors |= self.refit.tensors()
        if self.siblings is not None:
            tensors |= sibling_captions.tensors(*self.siblings)
        recorded = {name: getattr(options, name) for name in RECORDED}
        # copies: a slice of the sample would keep all of the sample in memory
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        return Fit("bicro", recorded, tensors, self._facts(fitted_on), list(self.bank.pair_id))

    def _facts(self, fitted_on: int) -> dict[str, Any]:
        assert self.clean is not None
        trusted = self.clean.value > self.threshold
        return {
            "space": "shared" if self.aligned else "learned from the pairs (cross-fitted CCA)",
            "weights": dict(zip(self._names(), self.weights, strict=True)),
            "sibling_weight": self.sibling_weight,
            "regime": "siblings" if self.siblings is not None else "no siblings",
            "anchors": len(self.bank),
            "anchor_rule": f"{max(self.anchor_counts)} nearest, each weighted by P(clean) without the pair's fold",
            "anchor_share": float(trusted.double().mean()),
            "anchor_counts": list(self.anchor_counts),
            "csls_k": self.csls_k,
            "refit": None if self.refit is None else self.refit.facts(),
            "rate_without_siblings": self.rate,
            "fitted_on": fitted_on,
        }

    def _names(self) -> list[str]:
        return ["csls", "refit", *(f"agreement_{count}" for count in self.anchor_counts)]

    @classmethod
    def saved(cls, fit: Fit, device: torch.device) -> "_Model":
        """The model that `as_fit` gave, on this device."""
        t = {name: tensor.to(device) for name, tensor in fit.tensors.items()}
        facts, options = fit.facts, fit.options
        image, text = (normalize(t[name].float(), dim=1) for name in ("bank_image", "bank_text"))
        bank = Pairs(image, text, t["bank_image_id"], t["bank_caption_id"], [])
        model = None if facts["refit"] is None else Refit.saved(t, facts["refit"], bank)
        counts, threshold = tuple(facts["anchor_counts"]), float(options["anchor_threshold"])
        aligned = facts["space"] == "shared"
        ready = cls.ready(bank, model, aligned, counts, int(facts["csls_k"]), threshold)
        ready = replace(ready, mean=t["mean"], deviation=t["deviation"], percentiles=t["percentiles"])
        weights = tuple(float(facts["weights"][name]) for name in ready._names())
        ready = replace(ready, weights=weights, clean=Curve(t["clean_at"], t["clean_value"]))
        if "sibling_at" not in t:
            return ready
        siblings = sibling_captions.saved(t, model)
        return replace(ready, siblings=siblings, sibling_weight=float(facts["sibling_weight"]))


def _require_enough(bank: Pairs, aligned: bool) -> None:
    if not aligned and not refit.can_learn(bank):
        photos = len(torch.unique(bank.image_id))
        raise NcauditError(
            f"the two embeddings share no space, and {counted(len(bank), 'different pair')} of "
            f"{counted(photos, 'photo')} are too few to learn one from (at least {refit.FEWEST_PAIRS} of "
            f"{refit.FEWEST_PHOTOS})",
            fix="give more pairs, use --scorer structure, or, if one image-text model made both, say --align none",
        )
    if len(bank) < FEWEST_PAIRS:
        raise NcauditError(
            f"bicro judges pairs by other pairs and needs at least {FEWEST_PAIRS} different ones, not {len(bank)}",
            fix="use --scorer clip-score for so few pairs, or --fit with a fit made on more",
        )


def _require_strangers(random: Pairs) -> None:
    if not len(random):
        raise NcauditError(
            "all pairs have one photo or one caption in common, so none can be held against another",
            fix="check the image and caption columns, or use --scorer clip-score",
        )


def _distinct(pairs: Pairs) -> Pairs:
    """Each photo with each of its captions once, the first time."""
    seen: dict[tuple[int, int], int] = {}
    for row, ids in enumerate(zip(pairs.image_id.tolist(), pairs.caption_id.tolist(), strict=True)):
        seen.setdefault(ids, row)
    return pairs.take(torch.tensor(list(seen.values()), dtype=torch.int64))


def _coordinates(bank: Pairs, model: Refit | None, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Both sides as rows in whose directions neighbours are looked up, each side among its own kind."""
    if model is not None:
        return model.coordinates(pairs)
    # too few pairs for principal directions: centred rows will do
    return pairs.image - bank.image.mean(dim=0), pairs.text - bank.text.mean(dim=0)


def _topical(pairs: Pairs, fold: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Per image the caption of a photo like it: of some random pairs, the one whose own photo is the most similar."""
    images, captions = random_partners(pairs, fold, draws=TOPICAL_DRAWS, seed=seed + 2)
    alike = torch.cat(
        [
            (pairs.image[a] * pairs.image[b]).sum(dim=1)
            for a, b in zip(torch.split(images, JUDGED), torch.split(captions, JUDGED), strict=True)
        ]
        or [pairs.image.new_zeros(0)]
    )
    order = alike.argsort(descending=True, stable=True)
    order = order[images[order].argsort(stable=True)]
    first = torch.ones_like(order, dtype=torch.bool)
    first[1:] = images[order][1:] != images[order][:-1]
    chosen = order[first]
    return images[chosen], captions[chosen]


def _witnesses(pairs: Pairs, fold: Tensor, clean: Tensor) -> Witnesses:
    """The pairs whose photo has several captions here, each photo's caption once."""
    unknown = torch.full_like(clean, torch.nan)
    everybody = Witnesses(pairs.image_id, pairs.caption_id, pairs.text, clean, fold, unknown).sorted()
    _, of_photo, rows = torch.unique(everybody.image_id, return_inverse=True, return_counts=True)
    return everybody.take((rows[of_photo] > 1).nonzero()[:, 0])


def _first(found: Nearest, count: int) -> Nearest:
    return Nearest(found.similarity[:, :count], found.index[:, :count])

"""Several captions of one photo vouch for each other, as far as they are trusted themselves.

Knows embeddings and identities. Copies (same photo, same caption) are one witness, never siblings. That captions of one
photo resemble each other beyond chance is not assumed but measured: where they do not (a placeholder picture), the
evidence turns against the pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit.core.correspondence.csls import crowding
from ncaudit.core.correspondence.siblings import clean_ratio, sibling_evidence
from ncaudit.core.neighbours.search import KeyBank, nearest, prepare_keys
from ncaudit.core.parallel import one_thread_each
from ncaudit.core.statistics.curve import Curve
from ncaudit.scorers.robust.refit import Refit
from ncaudit.scoring.pairs import Pairs
from ncaudit.scoring.posterior import density_ratio

MOST = 5  # siblings heard per pair
RANDOM_CAPTIONS = 16_384
COMPETITORS = 8_192  # captions that crowding is measured among
KNOTS = 512  # of the density ratio
LEAST_SHARE = 0.05  # of pairs with siblings, below which there is nothing to learn from


@dataclass(frozen=True)
class Witnesses:
    """Real pairs of photos that have several captions: (m,) ids, text features, and P(clean) without siblings."""

    image_id: Tensor
    caption_id: Tensor
    text: Tensor  # (m, d') embeddings
    clean: Tensor
    fold: Tensor
    crowd: Tensor  # of the caption's surroundings; nan where it was not looked up yet

    def __len__(self) -> int:
        return len(self.image_id)

    def joined(self, other: "Witnesses") -> "Witnesses":
        """Both, each photo's caption once, in the order of photo and caption."""
        parts = [torch.cat([getattr(self, name), getattr(other, name)]) for name in self.__dataclass_fields__]
        return Witnesses(*parts).sorted()

    def sorted(self) -> "Witnesses":
        """Each photo's caption once, in the order of photo and caption."""
        ids = torch.stack([self.image_id, self.caption_id], dim=1).cpu().numpy()
        _, first = np.unique(ids, axis=0, return_index=True)
        return self.take(torch.from_numpy(first).to(self.image_id.device))

    def take(self, rows: Tensor) -> "Witnesses":
        return Witnesses(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


def siblings_of(pairs: Pairs, witnesses: Witnesses) -> Tensor:
    """At most MOST witnesses of each pair's photo with another caption, (n, MOST) int64; -1 where there are fewer."""
    if not len(witnesses):
        return torch.full((len(pairs), MOST), -1, device=pairs.image_id.device)
    start = torch.searchsorted(witnesses.image_id, pairs.image_id.contiguous())
    place = start[:, None] + torch.arange(MOST + 2, device=start.device)
    inside = place < len(witnesses)
    place = place.clamp(max=len(witnesses) - 1)
    other = witnesses.caption_id[place] != pairs.caption_id[:, None]
    if pairs.replaced_caption_id is not None:
        other &= witnesses.caption_id[place] != pairs.replaced_caption_id[:, None]
    good = inside & other & (witnesses.image_id[place] == pairs.image_id[:, None])
    first = (~good).long().argsort(dim=1, stable=True)[:, :MOST]
    return torch.where(good.gather(1, first), place.gather(1, first), -1)


@dataclass(frozen=True)
class SiblingModel:
    """How resemblance of two captions is measured, and what it says."""

    refit: Refit | None
    centre: Tensor  # (d',) of all captions
    captions: KeyBank  # competitors: a hub caption resembles everything
    caption_ids: Tensor
    mean: Tensor  # (features,) of random caption pairs
    deviation: Tensor
    coefficients: Tensor  # (2 * features,)
    resemblance: Curve  # to f1/f0

    def evidence(self, pairs: Pairs, fold: Tensor, witnesses: Witnesses) -> Tensor:
        """What the siblings of each pair say, (n,): a sum of log likelihood ratios, 0 without siblings."""
        found = siblings_of(pairs, witnesses)
        there = found >= 0
        evidence = pairs.text.new_zeros(len(pairs))
        rows = there.any(dim=1).nonzero()[:, 0]
        if not len(rows):
            return evidence
        ratio = pairs.text.new_ones(len(rows), MOST)
        owner, column = there[rows].nonzero().unbind(1)
        place = found[rows][owner, column]
        own = _Captions.of(self, pairs.text[rows], pairs.caption_id[rows], fold[rows])
        distinct, back = torch.unique(place, return_inverse=True)
        # the sibling is seen in the pair's own space: its photo's fold is the pair's fold
        other = _Captions.of_witnesses(self, witnesses.take(distinct))
        ratio[owner, column] = self.resemblance.of(self.measured(own, owner, other, back))
        clean = torch.where(there[rows], witnesses.clean[found[rows].clamp(min=0)], 0.0)
        evidence[rows] = sibling_evidence(ratio, clean, there[rows])
        return evidence

    def with_crowds(self, witnesses: Witnesses) -> Witnesses:
        """The witnesses with how crowded their captions' surroundings are, looked up where it is unknown."""
        crowd, unknown = witnesses.crowd.clone(), witnesses.crowd.isnan()
        plain = normalize(witnesses.text[unknown] - self.centre, dim=1)
        crowd[unknown] = self.crowd(plain, witnesses.caption_id[unknown])
        return replace(witnesses, crowd=crowd)

    def crowd(self, plain: Tensor, ids: Tensor) -> Tensor:
        """Mean similarity of the 10 most similar other captions, (n,)."""
        found = nearest(plain, self.captions, 10, query_groups=[ids], key_groups=[self.caption_ids])
        return crowding(found.similarity).nan_to_num(nan=0.0)

    def measured(self, one: "_Captions", a: Tensor, other: "_Captions", b: Tensor) -> Tensor:
        """Resemblance of captions a of one and b of other, (m,): one number out of several features."""
        return _expanded((_features(one, a, other, b) - self.mean) / self.deviation) @ self.coefficients


@dataclass(frozen=True)
class _Captions:
    """Captions ready for comparison: plain, in the refitted space, and how crowded their surroundings are."""

    plain: Tensor
    common: Tensor | None
    crowd: Tensor

    @classmethod
    def of(cls, model: "SiblingModel", text: Tensor, ids: Tensor, fold: Tensor) -> "_Captions":
        plain = normalize(text - model.centre, dim=1)
        common = None if model.refit is None else model.refit.text_space(text, fold)
        return cls(plain, common, model.crowd(plain, ids))

    @classmethod
    def of_witnesses(cls, model: "SiblingModel", witnesses: Witnesses) -> "_Captions":
        plain = normalize(witnesses.text - model.centre, dim=1)
        common = None if model.refit is None else model.refit.text_space(witnesses.text, witnesses.fold)
        return cls(plain, common, model.with_crowds(witnesses).crowd)


def _features(one: _Captions, a: Tensor, other: _Captions, b: Tensor) -> Tensor:
    columns = [(one.plain[a] * other.plain[b]).sum(dim=1), one.crowd[a] + other.crowd[b]]
    if one.common is not None and other.common is not None:
        columns.append((one.common[a] * other.common[b]).sum(dim=1))
    return torch.stack(columns, dim=1)


def _expanded(features: Tensor) -> Tensor:
    return torch.cat([features, features**2], dim=1)


def share(pairs: Pairs) -> float:
    """Share of the pairs whose photo comes with another caption too."""
    ids = torch.unique(torch.stack([pairs.image_id, pairs.caption_id], dim=1), dim=0)[:, 0]
    photo, rows = torch.unique(ids, return_counts=True)
    return float(torch.isin(pairs.image_id, photo[rows > 1]).double().mean())


def fit(pairs: Pairs, fold: Tensor, witnesses: Witnesses, refit: Refit | None, rate: float, seed: int) -> SiblingModel:
    """Learn what the resemblance of two captions says, where some photos have several.

    rate: share of mismatches, without siblings: (1 - rate)² of the sibling pairs are clean on both sides.
    """
    found = siblings_of(pairs, witnesses)
    centre = pairs.text.mean(dim=0)
    captions = prepare_keys(normalize(pairs.text[:COMPETITORS] - centre, dim=1))
    empty = pairs.text.new_zeros(0)
    ids, unknown = pairs.caption_id[:COMPETITORS], Curve(empty, empty)
    model = SiblingModel(refit, centre, captions, ids, empty, empty, empty, unknown)
    own, other = _Captions.of(model, pairs.text, pairs.caption_id, fold), _Captions.of_witnesses(model, witnesses)
    owner, column = (found >= 0).nonzero().unbind(1)
    real = _features(own, owner, other, found[owner, column])
    random = _features(own, *_random_captions(pairs, fold, own, seed))
    return _learned(model, real, random, max((1 - rate) ** 2, 0.02))


def _random_captions(pairs: Pairs, fold: Tensor, own: _Captions, seed: int) -> tuple[Tensor, _Captions, Tensor]:
    """Two captions of different photos, from one fold: what siblings look like when either is mismatched."""
    draw = torch.Generator().manual_seed(seed)
    a = torch.randint(len(pairs), (64 * min(len(pairs), 4_000),), generator=draw).to(fold.device)
    b = torch.randint(len(pairs), (len(a),), generator=draw).to(fold.device)
    apart = (
        (fold[a] == fold[b]) & (pairs.image_id[a] != pairs.image_id[b]) & (pairs.caption_id[a] != pairs.caption_id[b])
    )
    kept = apart.nonzero()[:RANDOM_CAPTIONS, 0]
    return a[kept], own, b[kept]


def _learned(model: SiblingModel, real: Tensor, random: Tensor, both_clean: float) -> SiblingModel:
    from sklearn.linear_model import LogisticRegression  # a second, and only photos with several captions need it

    mean, deviation = random.mean(dim=0), random.std(dim=0).clamp(min=1e-6)
    columns = [_expanded((features - mean) / deviation) for features in (real, random)]
    label = np.concatenate([np.ones(len(real)), np.zeros(len(random))])
    regression = LogisticRegression(C=10.0, class_weight="balanced", max_iter=500)
    with one_thread_each():  # the library was loaded just now
        regression.fit(torch.cat(columns).double().cpu().numpy(), label)
    coefficients = torch.from_numpy(regression.coef_[0]).to(real)
    measured = [column @ coefficients for column in columns]
    at = torch.unique(measured[0].quantile(torch.linspace(0, 1, KNOTS, device=real.device)))
    ratio = clean_ratio(density_ratio(measured[0], measured[1], at, increasing=True), both_clean).to(real)
    return replace(model, mean=mean, deviation=deviation, coefficients=coefficients, resemblance=Curve(at, ratio))


def tensors(model: SiblingModel, witnesses: Witnesses) -> dict[str, Tensor]:
    """As a fit keeps both."""
    kept = {name: getattr(model, name) for name in ("centre", "caption_ids", "mean", "deviation", "coefficients")}
    kept |= {"captions": model.captions.keys.half(), "at": model.resemblance.at, "ratio": model.resemblance.value}
    of_witnesses = {f"witness_{name}": getattr(witnesses, name) for name in Witnesses.__dataclass_fields__}
    of_witnesses["witness_text"] = witnesses.text.half()
    return {f"sibling_{name}": value.contiguous() for name, value in {**kept, **of_witnesses}.items()}


def saved(tensors: Mapping[str, Tensor], refit: Refit | None) -> tuple[SiblingModel, Witnesses]:
    """What `tensors` gave."""
    t = {name.removeprefix("sibling_"): value for name, value in tensors.items() if name.startswith("sibling_")}
    resemblance, captions = Curve(t["at"], t["ratio"]), prepare_keys(t["captions"].float())
    witnesses = Witnesses(*(t[f"witness_{name}"] for name in Witnesses.__dataclass_fields__))
    witnesses = replace(witnesses, text=witnesses.text.float())
    scale = t["mean"], t["deviation"]
    model = SiblingModel(refit, t["centre"], captions, t["caption_ids"], *scale, t["coefficients"], resemblance)
    return model, witnesses

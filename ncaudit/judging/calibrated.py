"""A scorer with its labels: fit, hold against random pairs, calibrate; then score and label any pairs alike.

Knows scorers and calibration; nothing of files. What `score` writes, `ncaudit.soft_labels` returns and `bench` measures
comes from here, so that all scorers' labels mean the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from weakref import ReferenceType, ref

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ncaudit import scorers
from ncaudit.core.neighbours.clusters import kmeans
from ncaudit.core.statistics.null_rate import REPLICATES, NoiseRate, checked_scores
from ncaudit.core.statistics.signal import Signal, signal
from ncaudit.errors import NcauditError
from ncaudit.judging import calibration
from ncaudit.judging.calibration import Calibration, Cuts
from ncaudit.judging.evidence import NOTHING, Evidence
from ncaudit.judging.strata import Placed, Strata, fit_strata
from ncaudit.options import ScorerOptions
from ncaudit.progress import Step, unheard
from ncaudit.schema import VERDICTS
from ncaudit.scoring import same_photo, shared_space
from ncaudit.scoring.fits import Applier, Fit, PairScores, together
from ncaudit.scoring.pairs import Origin, Pairs, joined, random_partners, rooted
from ncaudit.scoring.same_photo import SamePhotos

MEANING = (
    "soft_label = 1 - P(the pair is a random-like mismatch), calibrated against random pairs of the same data; "
    "mismatches on the same topic and half-right captions are under-counted"
)
UNCALIBRATED = "no soft label: fewer pairs than a calibration needs"
STEPS = 4  # of `learn`: photos, scorer, random pairs, labels
FEWEST_PAIRS = 50  # to calibrate on
ROWS = 4_096  # scored at once
NULL_PAIRS = 8_192  # random pairs wanted; at least one per observed pair, at most MOST_DRAWS
MOST_DRAWS = 4
CLUSTERS = 20
CLUSTER_PAIRS = 500  # per cluster
MOST_STRATA = 200
RECORDED = ("stratify", "noisy_precision")
CALIBRATION = "calibration_"
OF_LABELS = ("noise_rate", "cuts", "calibrated_on", "stratified_by", "strata", "power", "warning")
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Looked:
    """What is found in a sample whatever the scorer: near-equal photos, and whether the cosine of a pair tells."""

    pairs: Pairs
    photos: SamePhotos
    cosine: Signal | None

    @classmethod
    def at(cls, pairs: Pairs) -> "Looked":
        """pairs: in random order."""
        photos = same_photo.find(pairs)
        merged = rooted(photos.of(pairs))
        return cls(merged, photos, shared_space.check(merged))


def learn(
    pairs: Pairs,
    options: ScorerOptions,
    names: Mapping[int, str] | None = None,
    step: Step = unheard,
    *,
    looked: Looked | None = None,
    replicates: int = REPLICATES,
) -> Fit:
    """Fit a scorer on a sample in random order, and what its scores mean.

    names: of the pairs' `stratum_id`. step: called STEPS times, less often where there is nothing to calibrate.
    looked: at these pairs, where somebody has. replicates: behind the noise rate's interval; 0 where nobody is told it.
    Raises NcauditError as the scorer does, and where all pairs score alike.
    """
    scorer = scorers.get(options.scorer)
    if scorer.NEEDS_SHARED_SPACE:
        shared_space.require_widths(pairs, f"--scorer {options.scorer}")
    looked = looked or Looked.at(pairs)
    pairs, photos = looked.pairs, looked.photos
    step()
    bare = scorer.fit(pairs, options)
    step()
    recorded = {**bare.options, **{name: getattr(options, name) for name in RECORDED}}
    tensors = {**bare.tensors, **{name: tensor.clone() for name, tensor in photos.tensors().items()}}
    fit = replace(bare, options=recorded, tensors=tensors, facts={**bare.facts, "same_photo_limit": photos.limit})
    warning = shared_space.warning(looked.cosine)
    fit = fit if warning is None else fit.with_labels({**fit.facts, "warning": warning})
    if len(pairs) < FEWEST_PAIRS:
        return replace(fit, facts={**fit.facts, "label_means": UNCALIBRATED})
    scored = Scored.of(fit, pairs, options.seed)
    step()
    evidence = scored.evidence(fit.scorer, looked.cosine, options)
    if not evidence.found:
        labelled = _unlabelled(fit, evidence)
    else:
        labelled = _calibrated(fit, scored, options, names or {}, replicates)
    step()
    return labelled


def applier(fit: Fit, device: torch.device) -> Applier:
    """Scores with soft labels and verdicts, for pairs as they come from the tables."""
    score, label = scorers.applier(fit, device), _Labels.of(fit, device)
    photos = same_photos(fit, device)

    def labelled(pairs: Pairs) -> PairScores:
        return label.given(score(pairs), pairs)

    return lambda pairs: within_memory(labelled, photos.of(pairs))


def within_memory(apply: Applier, pairs: Pairs) -> PairScores:
    """The scores of all pairs; of ever smaller parts, one after the other, where the device lacks memory for more.

    A photo's pairs stay together, as they vouch for each other: the scores are the same.
    """
    try:
        return apply(pairs)
    except torch.OutOfMemoryError as error:
        parts = _halves(pairs.image_id)
        if parts is None:
            raise NcauditError(
                "the device has no memory to score the pairs of a single photo", fix="give --device cpu"
            ) from error
    if pairs.image.device.type == "cuda":
        torch.cuda.empty_cache()
    scores = together([within_memory(apply, pairs.take(rows)) for rows in parts])
    return scores.take(torch.cat(parts).argsort())


def _halves(photo: Tensor) -> tuple[Tensor, Tensor] | None:
    """The rows of about half of the pairs and those of the others, no photo in both; None where all are one photo's."""
    order = photo.argsort(stable=True)
    borders = photo[order].diff().nonzero()[:, 0] + 1
    if not len(borders):
        return None
    middle = int(borders[(borders - len(photo) // 2).abs().argmin()])
    return order[:middle], order[middle:]


def rerated(fit: Fit, pairs: Pairs, options: ScorerOptions) -> Fit:
    """An old fit on new rows: the noise rate is theirs, all odds move accordingly, and a departed null is told.

    pairs: a sample of the new rows, in random order. Below FEWEST_PAIRS the same fit comes back. Where these rows score
    like random ones, they get no labels.
    """
    if "noise_rate" not in fit.facts or len(pairs) < FEWEST_PAIRS:
        return fit
    scored = Scored.of(fit, same_photos(fit, pairs.image.device).of(pairs), options.seed)
    departure = calibration.departs(_saved(fit).null, scored.null)
    facts = {**fit.facts, "rate_of_fit": fit.facts["noise_rate"], "null_departure": asdict(departure), "strata": []}
    evidence = scored.evidence_of_unseen(fit.scorer)
    if not evidence.found:
        return _unlabelled(replace(fit, facts=facts), evidence)
    rate = calibration.noise_rate(*scored.arrays, seed=options.seed)
    return replace(fit, facts={**facts, "noise_rate": asdict(rate)})


def judged(fit: Fit, score: Numbers, mismatched: npt.NDArray[np.bool_], weight: Numbers, rate: NoiseRate) -> Fit:
    """The fit after people judged some pairs: labels and rate are corrected by their verdicts.

    score: (v,) of the judged pairs. weight: (v,) rows that each stands for. rate: design-weighted, with its interval.
    """
    told = replace(calibration.recalibrate(_saved(fit), score, mismatched, weight), rate=rate)
    facts = {**fit.facts, "noise_rate": asdict(rate), "rate_of_scores": fit.facts["noise_rate"], "verdicts": len(score)}
    return replace(fit, facts={**facts, "strata": []}, tensors={**fit.tensors, **_tensors(told)})


@dataclass(frozen=True)
class Scored:
    """Scores of a sample's pairs, (n,), and of random pairs, (m,); `null_row`, (m,): whose photo each of those has."""

    pairs: Pairs
    observed: Numbers
    null: Numbers
    null_row: Tensor

    @classmethod
    def of(cls, fit: Fit, pairs: Pairs, seed: int, null_pairs: int = NULL_PAIRS) -> "Scored":
        """Score both with the bare scorer of a fit. pairs: near-equal photos already have one id (`same_photos`)."""
        pairs = rooted(pairs)
        draws = max(1, min(MOST_DRAWS, null_pairs // len(pairs)))
        images, captions = random_partners(pairs, scorers.cells(fit, pairs), draws=draws, seed=seed)
        known = fit.made.get(KnownScores)
        if known is not None and known.holds(pairs, images, captions):
            return cls(pairs, known.observed, known.null[: len(images)], images)
        apply = scorers.applier(fit, pairs.image.device)
        null = [apply(joined(pairs, images[rows], captions[rows])).score for rows in _blocks(len(images))]
        observed = [apply(pairs.rows(rows)).score for rows in _blocks(len(pairs))]
        scored = cls(pairs, _numbers(observed), _numbers(null), images)
        fit.made[KnownScores] = KnownScores.of(scored, captions)
        return scored

    def evidence(self, scorer: str, cosine: Signal | None, options: ScorerOptions) -> Evidence:
        """Whether there is anything to calibrate. cosine: what `shared_space.check` found of these pairs."""
        checked_scores(self.observed, self.null)  # too few random pairs, or all alike: said as such
        return Evidence.of(scorer, signal(*self.arrays), cosine, self.pairs, options)

    def evidence_of_unseen(self, scorer: str) -> Evidence:
        """The same of pairs that the fit never saw: what it has learned is an independent witness."""
        checked_scores(self.observed, self.null)
        found = signal(*self.arrays)
        return Evidence(scorer, found, shared_space.check(self.pairs), found)

    @property
    def arrays(self) -> tuple[Numbers, Numbers, Any, Any]:
        """observed, null, and the photos of both: what the calibration takes."""
        photo = self.pairs.image_id
        return self.observed, self.null, photo.cpu().numpy(), photo[self.null_row].cpu().numpy()


@dataclass(frozen=True)
class KnownScores:
    """The scores of a sample and of random pairs as a fit keeps them for whoever asks again; not the sample itself."""

    origin: ReferenceType[Origin]
    rows: tuple[Tensor, ...]  # of the pairs: of their images and captions in the origin, and their ids
    images: Tensor
    captions: Tensor
    observed: Numbers
    null: Numbers

    @classmethod
    def of(cls, scored: Scored, captions: Tensor) -> "KnownScores":
        """captions: whose captions the random pairs have."""
        assert scored.pairs.origin is not None
        rows = cls._rows(scored.pairs)
        return cls(ref(scored.pairs.origin), rows, scored.null_row, captions, scored.observed, scored.null)

    def holds(self, pairs: Pairs, images: Tensor, captions: Tensor) -> bool:
        """Whether these are the pairs, and the random ones are the first of those."""
        known = zip(self.rows, self._rows(pairs), strict=True)
        first = self.images[: len(images)], self.captions[: len(images)]
        return (
            self.origin() is pairs.origin
            and all(torch.equal(mine, other) for mine, other in known)
            and all(torch.equal(mine, other) for mine, other in zip(first, (images, captions), strict=True))
        )

    @staticmethod
    def _rows(pairs: Pairs) -> tuple[Tensor, ...]:
        assert pairs.image_row is not None
        assert pairs.text_row is not None
        return pairs.image_row, pairs.text_row, pairs.image_id, pairs.caption_id


def same_photos(fit: Fit, device: torch.device) -> SamePhotos:
    """What the fit took for one photo."""
    return SamePhotos.saved(fit.tensors, float(fit.facts["same_photo_limit"]), device)


def _unlabelled(fit: Fit, evidence: Evidence) -> Fit:
    """The fit without labels and verdicts: its score says nothing that could be calibrated."""
    facts = {name: fact for name, fact in fit.facts.items() if name not in OF_LABELS}
    return fit.with_labels({**facts, "label_means": evidence.words(), NOTHING: evidence.facts()})


def _calibrated(
    fit: Fit, scored: Scored, options: ScorerOptions, names: Mapping[int, str], replicates: int
) -> Fit:
    told = calibration.fit(
        *scored.arrays, seed=options.seed, noisy_precision=options.noisy_precision, replicates=replicates
    )
    source = _Sources.found(scored, told, options, names)
    facts = {
        **fit.facts,
        "label_means": MEANING,
        "noise_rate": asdict(told.rate),
        "cuts": asdict(told.cuts),
        "calibrated_on": {"observed": len(scored.observed), "random": len(scored.null)},
        **source.facts(),
    }
    return fit.with_labels(facts, {**fit.tensors, **_tensors(told), **source.tensors()})


@dataclass(frozen=True)
class _Sources:
    """What the labels are calibrated by, if anything: shards, a column's values, or clusters of images.

    ids: (H,) ascending stratum ids, or None; centroids: (H, d) of image clusters, or None.
    """

    kind: str
    strata: Strata | None
    ids: Tensor | None = None
    centroids: Tensor | None = None

    @classmethod
    def found(cls, scored: Scored, told: Calibration, options: ScorerOptions, names: Mapping[int, str]) -> "_Sources":
        """The first kind of source that differs beyond chance; `options.stratify` says which to look at."""
        kinds = {"none": (), "auto": ("shard", "image cluster")}.get(options.stratify, (options.stratify,))
        for kind in kinds:
            source = cls._clusters(scored) if kind == "image cluster" else cls._named(kind, scored, names)
            ready = None if source is None else source._fitted(scored, told, names, options.seed)
            if ready is not None and ready.strata is not None and ready.strata.used:
                return ready
        return cls("none", None)

    @classmethod
    def _clusters(cls, scored: Scored) -> "_Sources | None":
        image = scored.pairs.image
        count = min(CLUSTERS, len(image) // CLUSTER_PAIRS)
        if count < 2:
            return None
        place = kmeans(image, count, seed=0)
        sums = image.new_zeros(count, image.shape[1]).index_add_(0, place, image)
        return cls("image cluster", None, centroids=normalize(sums, dim=1))

    @classmethod
    def _named(cls, kind: str, scored: Scored, names: Mapping[int, str]) -> "_Sources | None":
        if scored.pairs.stratum_id is None or not 2 <= len(names) <= MOST_STRATA:
            return None
        ids = torch.tensor(sorted(names), dtype=torch.int64, device=scored.pairs.image.device)
        return cls(kind, None, ids=ids)

    def _fitted(self, scored: Scored, told: Calibration, names: Mapping[int, str], seed: int) -> "_Sources":
        place = self.of(scored.pairs)
        clusters = 0 if self.centroids is None else len(self.centroids)
        known = [names[i] for i in self.ids.tolist()] if self.ids is not None else [str(i) for i in range(clusters)]
        observed, null, photo, null_photo = scored.arrays
        own = Placed(observed, place.cpu().numpy(), photo)
        random = Placed(null, place[scored.null_row].cpu().numpy(), null_photo)
        strata = fit_strata(told, own, random, names=known, seed=seed)
        return replace(self, strata=strata)

    def of(self, pairs: Pairs) -> Tensor:
        """The stratum of each pair, (n,) int64; -1 where it is unknown."""
        if self.centroids is not None:
            return (pairs.image @ self.centroids.T).argmax(dim=1)
        if self.ids is None or pairs.stratum_id is None:
            return torch.full_like(pairs.image_id, -1)
        place = torch.searchsorted(self.ids, pairs.stratum_id).clamp(max=len(self.ids) - 1)
        return torch.where(self.ids[place] == pairs.stratum_id, place, -1)

    def facts(self) -> dict[str, Any]:
        if self.strata is None:
            return {"stratified_by": "none", "strata": []}
        each = zip(self.strata.names, self.strata.rows, self.strata.rates, self.strata.shifts, strict=True)
        table = [{"name": n, "rows": int(r), "noise_rate": float(p), "null_shift": float(s)} for n, r, p, s in each]
        return {"stratified_by": self.kind, "strata": table}

    def tensors(self) -> dict[str, Tensor]:
        kept = {"strata_ids": self.ids, "strata_centroids": self.centroids}
        return {} if self.strata is None else {name: value for name, value in kept.items() if value is not None}

    @classmethod
    def saved(cls, fit: Fit, device: torch.device) -> "_Sources":
        table = fit.facts.get("strata") or []
        if not table:
            return cls("none", None)
        rates, shifts, rows = (
            np.array([entry[key] for entry in table]) for key in ("noise_rate", "null_shift", "rows")
        )
        strata = Strata(tuple(entry["name"] for entry in table), rates, shifts, rows, True)
        kept = [fit.tensors[n].to(device) if n in fit.tensors else None for n in ("strata_ids", "strata_centroids")]
        return cls(fit.facts["stratified_by"], strata, *kept)


@dataclass(frozen=True)
class _Labels:
    """From scores to labels and verdicts, by a fit's calibration."""

    told: Calibration | None
    cuts: Cuts
    rate: float | None  # of the rows at hand, where an old fit is used on new ones
    sources: _Sources

    @classmethod
    def of(cls, fit: Fit, device: torch.device) -> "_Labels":
        if "noise_rate" not in fit.facts:
            return cls(None, Cuts(), None, _Sources("none", None))
        rate = float(fit.facts["noise_rate"]["rate"]) if "rate_of_fit" in fit.facts else None
        return cls(_saved(fit), Cuts(**fit.facts["cuts"]), rate, _Sources.saved(fit, device))

    def given(self, scores: PairScores, pairs: Pairs) -> PairScores:
        """The scores with soft label and verdict."""
        if self.told is None or not len(pairs):
            return replace(scores, soft_label=None)
        score = scores.score.double().cpu().numpy()
        if self.sources.strata is None:
            label = self.told.soft_label(score, rate=self.rate)
        else:
            label = self.sources.strata.soft_label(self.told, score, self.sources.of(pairs).cpu().numpy())
        label = label.astype(np.float32)
        words = calibration.verdicts(label, self.cuts)
        verdict = sum(number * (words == word) for number, word in enumerate(VERDICTS))
        device = scores.score.device
        both = (torch.from_numpy(np.asarray(part)).to(device) for part in (label, np.asarray(verdict, np.int64)))
        soft_label, verdict = both
        return replace(scores, soft_label=soft_label, verdict=verdict)


def _saved(fit: Fit) -> Calibration:
    arrays = {
        name.removeprefix(CALIBRATION): tensor.cpu().numpy()
        for name, tensor in fit.tensors.items()
        if name.startswith(CALIBRATION)
    }
    return Calibration.from_arrays(arrays)


def _tensors(told: Calibration) -> dict[str, Tensor]:
    return {
        CALIBRATION + name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in told.to_arrays().items()
    }


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, rows, ROWS))


def _numbers(parts: Sequence[Tensor]) -> Numbers:
    return np.concatenate([part.double().cpu().numpy() for part in parts] or [np.empty(0)])

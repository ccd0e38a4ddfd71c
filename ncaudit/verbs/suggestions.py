"""For a pair called noisy: which clean pair's caption fits its photo best, and how likely that is more than luck.

Knows fits, pairs and the seeded sample of the tables; nothing of how a score is computed or written. Where many
captions are tried, the best one scores high by luck, so its score is not believed as that of a pair would be. It is
held against the same search made for photos of clean pairs whose own captions are hidden: their best is a stranger's.

suggested_probability, in [0.5, 1]: how likely the score is to be that of a clean pair's own caption and not of the best
stranger, where both are as frequent (Bayes at equal odds, the ratio by isotonic regression); never above the soft label
of photo and caption. So it is 1 - P(random-like mismatch), corrected for the choice. Another photo of the same scene
counts as a stranger: where captions of a scene fit all its photos, the probability is too low. Equal odds say nothing
of how often a fitting caption is among the candidates.

Candidates are out-of-fold like every pair: captions come from the photo's own fold, whose model saw neither.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from sklearn.isotonic import IsotonicRegression
from torch import Tensor

from ncaudit import scorers
from ncaudit.core.curve import Curve
from ncaudit.core.device import pick_device
from ncaudit.core.search import KeyBank, nearest, prepare_keys
from ncaudit.errors import NcauditError
from ncaudit.options import ScoreOptions
from ncaudit.progress import Progress
from ncaudit.schema import SUGGESTION, VERDICTS
from ncaudit.scorers import shared_space
from ncaudit.scorers.fits import Applier, Fit, PairScores
from ncaudit.scorers.pairs import Pairs
from ncaudit.scorers.same_photo import SamePhotos
from ncaudit.shards import fit_sample
from ncaudit.shards.tables import EmbeddingTable
from ncaudit.verbs import calibrated

POOL = 20_000  # clean pairs whose captions may be suggested
HELD = 2_000  # of them, those whose own captions are hidden to see how high a stranger's can score
FEWEST = 50  # such photos, below which nothing is suggested
NEAREST = 10  # candidates by each way of looking: nearest photos, nearest captions, the photo's other captions
IMAGES = 256  # whose candidates are scored at once
LEAST = 0.5  # probability of a suggestion
CLEAN, NOISY = VERDICTS.index("clean"), VERDICTS.index("noisy")
Words = Sequence[str | None]


def require_calibration(fit: Fit) -> None:
    """Raises NcauditError for a fit without verdicts: then no pair is noisy, and no caption clean."""
    if "noise_rate" not in fit.facts:
        raise NcauditError(
            "--suggest looks for captions of noisy pairs, and without a calibration no pair is called noisy",
            fix=f"give at least {calibrated.FEWEST_PAIRS} pairs, or --fit with a calibrated fit",
        )


@dataclass(frozen=True)
class Suggester:
    """The pool, ready for searching, and what the best score of a search is worth.

    pool: clean pairs, near-equal photos with one id, each caption once. words: their captions' texts. shelves: the
    pool's rows by cell. worth: score to probability; None where there are too few clean pairs to tell.
    """

    fit: Fit
    photos: SamePhotos
    apply: Applier
    pool: Pairs
    words: Words
    shelves: Mapping[int, "_Shelf"]
    worth: Curve | None = None

    @classmethod
    def drawn(
        cls, fit: Fit, tables: Sequence[EmbeddingTable], options: ScoreOptions, progress: Progress
    ) -> "Suggester":
        """Draw the pool from these tables by the fit's seeded hash, at most POOL of `options.fit_pairs` pairs.

        The same tables, fit and options give the same pool, wherever the fit was made.
        """
        device = pick_device(options.device)
        progress.stage("suggestions: draw clean pairs", sum(table.rows for table in tables))
        drawn = fit_sample.draw(tables, pairs=options.fit_pairs, seed=options.seed, progress=progress).pairs
        photos, apply = calibrated.same_photos(fit, device), calibrated.applier(fit, device)
        progress.stage("suggestions: what strangers' captions score", None)
        sample = photos.of(drawn.to(device))
        rows, own = _clean(sample, apply)
        pool = sample.take(rows)
        shelves = _shelves(pool, scorers.cells(fit, pool), across=_shares_space(sample))
        bare = cls(fit, photos, apply, pool, _words(tables, pool), shelves)
        return replace(bare, worth=bare._worth(_with_family(sample, rows[:HELD])[0], own[:HELD]))

    def columns(self, pairs: Pairs, scores: PairScores, words: Words) -> dict[str, Any]:
        """The columns `schema.SUGGESTION` of scored pairs, each (n,): None unless noisy, with a caption that fits.

        words: (n,) the captions of the pairs. A photo's other captions are candidates where they are called clean.
        """
        assert scores.verdict is not None
        columns = {name: np.full(len(pairs), None, dtype=object) for name in SUGGESTION.names}
        rows = (scores.verdict == NOISY).nonzero()[:, 0]
        if self.worth is None or not len(rows):
            return columns
        pairs = self.photos.of(pairs)
        noisy, family = _with_family(pairs, rows)
        beside = family & (scores.verdict == CLEAN)
        offer = _Offer.of(self.pool, self.words).joined(_Offer.of(pairs, words).take(beside.nonzero()[:, 0]))
        candidates = [self._candidates(noisy, hidden=False), _siblings(noisy, pairs, beside, len(self.pool))]
        best = self._best(noisy, torch.cat(candidates, dim=1), offer)
        probability = torch.minimum(self.worth.of(best.score.double()), best.label.double())
        good = ((best.index >= 0) & (probability >= LEAST)).nonzero()[:, 0]
        places, index = rows[good].tolist(), best.index[good].tolist()
        columns["suggested_caption"][places] = [offer.words[i] for i in index]
        columns["suggested_pair"][places] = [offer.pair_id[i] for i in index]
        columns["suggested_probability"][places] = probability[good].tolist()
        return columns

    def _worth(self, held: Pairs, own: Tensor) -> Curve | None:
        """From clean pairs, the scores of their own captions, (n,), and what the same search finds among strangers."""
        best = self._best(held, self._candidates(held, hidden=True), _Offer.of(self.pool, self.words))
        found = best.index >= 0
        if int(found.sum()) < FEWEST:
            return None
        return _equal_odds(own[found].double().cpu().numpy(), best.score[found].double().cpu().numpy())

    def _candidates(self, pairs: Pairs, *, hidden: bool) -> Tensor:
        """Rows of the pool, (n, m) int64, -1 for none: never the pair's own caption; hidden: nor any of its photo's."""
        found = torch.full((len(pairs), 2 * NEAREST), -1, device=pairs.image_id.device)
        cell = scorers.cells(self.fit, pairs)
        for number in torch.unique(cell).tolist():
            rows = (cell == number).nonzero()[:, 0]
            if number in self.shelves:
                found[rows] = self.shelves[number].nearest(pairs.take(rows), hidden=hidden)
        return found

    def _best(self, pairs: Pairs, candidates: Tensor, offer: "_Offer") -> "_Best":
        """The candidate with the highest score for each photo."""
        blocks = (slice(start, start + IMAGES) for start in range(0, len(pairs), IMAGES))
        return _Best.joined([self._best_of_block(pairs.rows(rows), candidates[rows], offer) for rows in blocks])

    def _best_of_block(self, pairs: Pairs, candidates: Tensor, offer: "_Offer") -> "_Best":
        score = pairs.image.new_full(candidates.shape, -torch.inf)
        label = pairs.image.new_zeros(candidates.shape)
        owner, column = (candidates >= 0).nonzero().unbind(1)
        if len(owner):
            found = self.apply(_offered(pairs, owner, offer, candidates[owner, column]))
            assert found.soft_label is not None
            score[owner, column], label[owner, column] = found.score, found.soft_label
        first = score.argmax(dim=1, keepdim=True)
        return _Best(*(values.gather(1, first)[:, 0] for values in (candidates, score, label)))


@dataclass(frozen=True)
class _Shelf:
    """The pool's pairs of one cell. rows: (m,) their places in the pool. texts: None where no space is shared."""

    rows: Tensor
    images: KeyBank
    texts: KeyBank | None
    image_id: Tensor
    caption_id: Tensor

    def nearest(self, pairs: Pairs, *, hidden: bool) -> Tensor:
        """Places in the pool, (n, 2 * NEAREST): captions of the nearest photos, then the captions nearest to it."""
        queries, known = [pairs.caption_id], [self.caption_id]
        if hidden:
            queries, known = [*queries, pairs.image_id], [*known, self.image_id]
        found = torch.full((len(pairs), 2 * NEAREST), -1, device=self.rows.device)
        for column, keys in ((0, self.images), (NEAREST, self.texts)):
            if keys is not None:
                index = nearest(pairs.image, keys, NEAREST, query_groups=queries, key_groups=known).index
                found[:, column : column + NEAREST] = torch.where(index < 0, -1, self.rows[index])
        return found


@dataclass(frozen=True)
class _Offer:
    """Captions to choose from; position i of every field is caption i's."""

    text: Tensor
    caption_id: Tensor
    pair_id: Sequence[str]
    words: Words

    @classmethod
    def of(cls, pairs: Pairs, words: Words) -> "_Offer":
        return cls(pairs.text, pairs.caption_id, pairs.pair_id, words)

    def take(self, rows: Tensor) -> "_Offer":
        places = rows.tolist()
        pair_id, words = [self.pair_id[i] for i in places], [self.words[i] for i in places]
        return _Offer(self.text[rows], self.caption_id[rows], pair_id, words)

    def joined(self, other: "_Offer") -> "_Offer":
        text, caption_id = torch.cat([self.text, other.text]), torch.cat([self.caption_id, other.caption_id])
        return _Offer(text, caption_id, [*self.pair_id, *other.pair_id], [*self.words, *other.words])


@dataclass(frozen=True)
class _Best:
    """The best candidate of n photos: its number in the offer (-1 for none), score and soft label, (n,) each."""

    index: Tensor
    score: Tensor
    label: Tensor

    @classmethod
    def joined(cls, parts: "Sequence[_Best]") -> "_Best":
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def _clean(sample: Pairs, apply: Applier) -> tuple[Tensor, Tensor]:
    """The first POOL pairs called clean, each caption once: their rows and scores."""
    rows, scores, found = [], [], 0
    for block in _blocks(len(sample)):
        scored = apply(sample.rows(block))
        assert scored.verdict is not None
        clean = (scored.verdict == CLEAN).nonzero()[:, 0]
        rows.append(clean + block.start)
        scores.append(scored.score[clean])
        found += len(clean)
        if found >= POOL:
            break
    places, score = torch.cat(rows), torch.cat(scores)
    _, first = np.unique(sample.caption_id[places].cpu().numpy(), return_index=True)
    kept = torch.from_numpy(np.sort(first)[:POOL]).to(places.device)
    return places[kept], score[kept]


def _shelves(pool: Pairs, cell: Tensor, *, across: bool) -> dict[int, _Shelf]:
    """across: whether captions can be looked up by a photo's own embedding."""
    shelves = {}
    for number in torch.unique(cell).tolist():
        rows = (cell == number).nonzero()[:, 0]
        images, texts = prepare_keys(pool.image[rows]), prepare_keys(pool.text[rows]) if across else None
        shelves[number] = _Shelf(rows, images, texts, pool.image_id[rows], pool.caption_id[rows])
    return shelves


def _shares_space(pairs: Pairs) -> bool:
    return pairs.image.shape[1] == pairs.text.shape[1] and shared_space.warning(pairs) is None


def _words(tables: Sequence[EmbeddingTable], pool: Pairs) -> list[str | None]:
    """The captions of the pool as the tables have them; None where they carry no text."""
    wanted = pool.caption_id.cpu().numpy()
    texts: dict[int, str] = {}
    for table in tables:
        for ids, captions in table.captions():
            places = np.flatnonzero(np.isin(ids, wanted))
            texts.update(zip(ids[places].tolist(), captions.take(pa.array(places)).to_pylist(), strict=True))
    return [texts.get(number) for number in wanted.tolist()]


def _with_family(pairs: Pairs, rows: Tensor) -> tuple[Pairs, Tensor]:
    """Some pairs with all those of their photos beside them, and which those are, (n,) bool."""
    family = torch.isin(pairs.image_id, pairs.image_id[rows])
    return replace(pairs.take(rows), beside=pairs.take(family.nonzero()[:, 0])), family


def _siblings(noisy: Pairs, pairs: Pairs, beside: Tensor, first: int) -> Tensor:
    """Other captions of each photo among the pairs `beside`, numbered from `first`: (n, NEAREST) int64, -1 for none."""
    known = pairs.take(beside.nonzero()[:, 0])
    if not len(known):
        return torch.full((len(noisy), NEAREST), -1, device=noisy.image_id.device)
    captions = [noisy.caption_id], [known.caption_id]
    index = nearest(noisy.image, known.image, NEAREST, query_groups=captions[0], key_groups=captions[1]).index
    same = (index >= 0) & (known.image_id[index.clamp(min=0)] == noisy.image_id[:, None])
    return torch.where(same, index + first, -1)


def _offered(pairs: Pairs, images: Tensor, offer: _Offer, captions: Tensor) -> Pairs:
    """Photos with other captions than they came with; these are no witnesses, and no candidate vouches for another."""
    taken = pairs.take(images)
    return replace(
        taken,
        text=offer.text[captions],
        caption_id=offer.caption_id[captions],
        replaced_caption_id=taken.caption_id,
    )


def _equal_odds(own: npt.NDArray[np.float64], stranger: npt.NDArray[np.float64]) -> Curve:
    """P(a score is of `own` and not of `stranger`) were both as many; non-decreasing in the score, never 1."""
    score = np.concatenate([own, stranger, [max(own.max(), stranger.max())]])
    is_own = np.arange(len(score)) < len(own)
    weight = np.where(is_own, 1 / len(own), 1 / (len(stranger) + 1))  # one stranger more, the luckiest, to come
    fitted = IsotonicRegression().fit(score, is_own, sample_weight=weight)
    return Curve(torch.from_numpy(fitted.X_thresholds_), torch.from_numpy(fitted.y_thresholds_))


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + calibrated.ROWS) for start in range(0, rows, calibrated.ROWS))

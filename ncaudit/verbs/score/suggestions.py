"""For a pair called noisy: which clean pair's caption fits its photo best, and how likely that is more than luck.

Knows fits, pairs and the seeded sample of the tables; nothing of how a score is computed or written.

1. Where the photo has other captions that are called clean, the best of these is suggested, and
   suggested_probability is the soft label that it has there: that pair was made by people, not found by searching.
2. Else captions of other photos are tried, and the best of many scores high by luck: its score is not believed as that
   of a pair would be, but held against the same search made for photos of clean pairs, whose best is a stranger's.
   suggested_probability, in [LEAST, 1], says how likely such a score is to be that of a clean pair's own caption, and
   not of the best stranger, were both as frequent (Bayes at equal odds, the ratio by isotonic regression); never above
   the soft label that photo and caption would get as a pair.

So it is 1 - P(random-like mismatch), in 2 corrected for the choice. A caption of the same kind of scene counts as a
stranger's: where such captions fit, it is too low. Equal odds say nothing of how often a fitting caption is at hand.
Captions of other photos come from the photo's own fold, whose model saw neither: every score is out of fold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit import scorers
from ncaudit.core.device import pick_device
from ncaudit.core.neighbours.search import KeyBank, nearest, prepare_keys
from ncaudit.core.statistics.curve import Curve
from ncaudit.engines.jobs import Site
from ncaudit.errors import NcauditError
from ncaudit.judging import calibrated
from ncaudit.options import ScoreOptions
from ncaudit.progress import Progress
from ncaudit.schema import SUGGESTION, VERDICTS
from ncaudit.scoring import shared_space
from ncaudit.scoring.fits import Applier, Fit, PairScores
from ncaudit.scoring.isotonic import isotonic
from ncaudit.scoring.pairs import Pairs
from ncaudit.scoring.same_photo import SamePhotos
from ncaudit.shards.tables.embeddings import EmbeddingTable
from ncaudit.verbs.score import stages
from ncaudit.verbs.score.drawn import draw, texts_of

POOL = 20_000  # clean pairs whose captions may be suggested
HELD = 2_000  # of them, those whose own captions are hidden to see how high a stranger's can score
FEWEST = 50  # such photos, below which nothing is suggested
NEAREST = 10  # candidates by each way of looking: nearest photos, nearest captions
IMAGES = 256  # whose candidates are scored at once
LEAST = 0.5  # probability of a suggestion
CLEAN, NOISY = VERDICTS.index("clean"), VERDICTS.index("noisy")
Words = Sequence[str | None]


def require_calibration(fit: Fit) -> None:
    """Raises NcauditError for a fit without verdicts: then no pair is noisy, and no caption clean."""
    if "noise_rate" not in fit.facts:
        raise NcauditError(
            f"--suggest looks for captions of noisy pairs, and no pair is called noisy: {fit.facts['label_means']}",
            fix="leave out --suggest; labels need at least 50 pairs and a model that knows them, or a calibrated --fit",
        )


@dataclass(frozen=True)
class Candidates:
    """Pairs drawn from all tables, and the texts of their captions by their ids, as far as the tables carry them."""

    pairs: Pairs
    texts: Mapping[int, str]

    @classmethod
    def drawn(
        cls, site: Site, tables: Sequence[EmbeddingTable], options: ScoreOptions, progress: Progress
    ) -> "Candidates":
        """By the fit's seeded hash: the same tables and options give the same, wherever the fit was made."""
        progress.stage(stages.SUGGEST_DRAW, sum(table.rows for table in tables))
        pairs = draw(site, tables, pairs=options.fit_pairs, seed=options.seed, progress=progress).pairs
        return cls(pairs, texts_of(site, tables, pairs.caption_id.numpy(), progress))


@dataclass(frozen=True)
class Suggester:
    """The pool, ready for searching, and what the best score of a search is worth.

    pool: clean pairs, near-equal photos with one id, each caption once. shelves: its places by cell. worth: score to
    probability; None where there are too few clean pairs to tell.
    """

    fit: Fit
    photos: SamePhotos
    apply: Applier
    pool: "_Offer"
    shelves: Mapping[int, "_Shelf"]
    worth: Curve | None = None

    @classmethod
    def of(cls, fit: Fit, candidates: "Candidates", options: ScoreOptions, progress: Progress) -> "Suggester":
        """The pool is at most POOL of these pairs: the same ones, fit and options give the same pool."""
        device = pick_device(options.device)
        photos, apply = calibrated.same_photos(fit, device), calibrated.applier(fit, device)
        progress.stage(stages.SUGGEST, None)
        sample = photos.of(candidates.pairs.to(device))
        rows, own, label = _clean(sample, apply)
        words = [candidates.texts.get(number) for number in sample.caption_id[rows].tolist()]
        pool = _Offer(sample.take(rows), label, words)
        shelves = _shelves(pool.pairs, scorers.cells(fit, pool.pairs), across=_shares_space(sample))
        bare = cls(fit, photos, apply, pool, shelves)
        return replace(bare, worth=bare._worth(_with_family(sample, rows[:HELD]), own[:HELD]))

    def columns(self, pairs: Pairs, scores: PairScores, words: Words) -> dict[str, Any]:
        """The columns `schema.SUGGESTION` of scored pairs, each (n,): None unless noisy, with a caption that fits.

        words: (n,) the captions of the pairs.
        """
        assert scores.verdict is not None
        columns = {name: np.full(len(pairs), None, dtype=object) for name in SUGGESTION.names}
        noisy, clean = ((scores.verdict == verdict).nonzero()[:, 0] for verdict in (NOISY, CLEAN))
        pairs = self.photos.of(pairs)
        assert scores.soft_label is not None
        beside = clean[torch.isin(pairs.image_id[clean], pairs.image_id[noisy])]
        own = _Offer(pairs, scores.soft_label, words).take(beside)
        for offer, best_of in ((own, _siblings), (self.pool, _siblings), (self.pool, self._strangers)):
            index, probability = best_of(_with_family(pairs, noisy), offer)
            found = (index >= 0).nonzero()[:, 0]
            places, chosen = noisy[found].tolist(), index[found].tolist()
            columns["suggested_caption"][places] = [offer.words[i] for i in chosen]
            columns["suggested_pair"][places] = [offer.pairs.pair_id[i] for i in chosen]
            columns["suggested_probability"][places] = probability[found].tolist()
            noisy = noisy[index < 0]
        return columns

    def _strangers(self, noisy: Pairs, pool: "_Offer") -> tuple[Tensor, Tensor]:
        """The best caption of another photo: its place in the pool, -1 for none, and its probability, (n,) each."""
        if self.worth is None or not len(noisy):
            return torch.full_like(noisy.image_id, -1), noisy.image.new_zeros(len(noisy))
        best = self._best(noisy, self._candidates(noisy), pool)
        probability = torch.minimum(self.worth.of(best.score.double()).float(), best.label)
        return torch.where(probability >= LEAST, best.index, -1), probability

    def _worth(self, held: Pairs, own: Tensor) -> Curve | None:
        """From clean pairs, the scores of their own captions, (n,), and what the same search finds among strangers."""
        if len(held) < FEWEST:
            return None
        best = self._best(held, self._candidates(held), self.pool)
        found = best.index >= 0
        if int(found.sum()) < FEWEST:
            return None
        return _equal_odds(own[found].double().cpu().numpy(), best.score[found].double().cpu().numpy())

    def _candidates(self, pairs: Pairs) -> Tensor:
        """Places in the pool, (n, m) int64, -1 for none; nothing of the pair's own photo or caption."""
        found = torch.full((len(pairs), 2 * NEAREST), -1, device=pairs.image_id.device)
        cell = scorers.cells(self.fit, pairs)
        for number in torch.unique(cell).tolist():
            rows = (cell == number).nonzero()[:, 0]
            if number in self.shelves:
                found[rows] = self.shelves[number].nearest(pairs.take(rows))
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
            found = self.apply(_offered(pairs, owner, offer.pairs, candidates[owner, column]))
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

    def nearest(self, pairs: Pairs) -> Tensor:
        """Places in the pool, (n, 2 * NEAREST): captions of the nearest photos, then the captions nearest to it."""
        found = torch.full((len(pairs), 2 * NEAREST), -1, device=self.rows.device)
        for column, keys in ((0, self.images), (NEAREST, self.texts)):
            if keys is not None:
                groups = [self.image_id, self.caption_id]
                index = nearest(pairs.image, keys, NEAREST, query_groups=pairs.groups, key_groups=groups).index
                found[:, column : column + NEAREST] = torch.where(index < 0, -1, self.rows[index])
        return found


@dataclass(frozen=True)
class _Offer:
    """Clean pairs whose captions may be suggested, with their soft labels (n,) and their captions' texts."""

    pairs: Pairs
    label: Tensor
    words: Words

    def take(self, rows: Tensor) -> "_Offer":
        return _Offer(self.pairs.take(rows), self.label[rows], [self.words[i] for i in rows.tolist()])


@dataclass(frozen=True)
class _Best:
    """The best candidate of n photos: its number in the offer (-1 for none), score and soft label, (n,) each."""

    index: Tensor
    score: Tensor
    label: Tensor

    @classmethod
    def joined(cls, parts: "Sequence[_Best]") -> "_Best":
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))


def _clean(sample: Pairs, apply: Applier) -> tuple[Tensor, Tensor, Tensor]:
    """The first POOL pairs called clean, each caption once: their rows, scores and soft labels."""
    found, count = [], 0
    for block in _blocks(len(sample)):
        scored = apply(sample.rows(block))
        assert scored.verdict is not None
        assert scored.soft_label is not None
        clean = (scored.verdict == CLEAN).nonzero()[:, 0]
        found.append((clean + block.start, scored.score[clean], scored.soft_label[clean]))
        count += len(clean)
        if count >= POOL:
            break
    rows, score, label = (torch.cat(parts) for parts in zip(*found, strict=True))
    _, first = np.unique(sample.caption_id[rows].cpu().numpy(), return_index=True)
    kept = torch.from_numpy(np.sort(first)[:POOL]).to(rows.device)
    return rows[kept], score[kept], label[kept]


def _shelves(pool: Pairs, cell: Tensor, *, across: bool) -> dict[int, _Shelf]:
    """across: whether captions can be looked up by a photo's own embedding."""
    shelves = {}
    for number in torch.unique(cell).tolist():
        rows = (cell == number).nonzero()[:, 0]
        images, texts = prepare_keys(pool.image[rows]), prepare_keys(pool.text[rows]) if across else None
        shelves[number] = _Shelf(rows, images, texts, pool.image_id[rows], pool.caption_id[rows])
    return shelves


def _shares_space(pairs: Pairs) -> bool:
    return shared_space.shared(pairs)


def _with_family(pairs: Pairs, rows: Tensor) -> Pairs:
    """Some pairs, with all those of their photos beside them."""
    family = torch.isin(pairs.image_id, pairs.image_id[rows])
    return replace(pairs.take(rows), beside=pairs.take(family.nonzero()[:, 0]))


def _siblings(noisy: Pairs, offer: _Offer) -> tuple[Tensor, Tensor]:
    """The best other caption of the same photo: its place in the offer, -1 for none, and its soft label, (n,) each."""
    of_photo: dict[int, list[tuple[float, int, int]]] = {}
    wanted = torch.isin(offer.pairs.image_id, noisy.image_id).nonzero()[:, 0]
    known = (offer.pairs.image_id, offer.pairs.caption_id, offer.label)
    rows = zip(*(values[wanted].tolist() for values in known), strict=True)
    for place, (photo, caption, label) in zip(wanted.tolist(), rows, strict=True):
        of_photo.setdefault(photo, []).append((label, -place, caption))
    ids = zip(noisy.image_id.tolist(), noisy.caption_id.tolist(), strict=True)
    best = [max((one for one in of_photo.get(photo, ()) if one[2] != own), default=(0.0, 1, 0)) for photo, own in ids]
    index = torch.tensor([-one[1] for one in best], dtype=torch.int64, device=noisy.image_id.device)
    return index, noisy.image.new_tensor([one[0] for one in best])


def _offered(pairs: Pairs, images: Tensor, offer: Pairs, captions: Tensor) -> Pairs:
    """Photos with other captions than they came with; these are no witnesses, and no candidate vouches for another."""
    taken = pairs.take(images)
    own = taken.caption_id
    return replace(taken, text=offer.text[captions], caption_id=offer.caption_id[captions], replaced_caption_id=own)


def _equal_odds(own: npt.NDArray[np.float64], stranger: npt.NDArray[np.float64]) -> Curve:
    """P(a score is of `own` and not of `stranger`) were both as many; non-decreasing in the score, never 1."""
    score = np.concatenate([own, stranger, [max(own.max(), stranger.max())]])
    is_own = np.arange(len(score)) < len(own)
    weight = np.where(is_own, 1 / len(own), 1 / (len(stranger) + 1))  # one stranger more, the luckiest, to come
    at, share = isotonic(score, is_own, weight, increasing=True)
    return Curve(torch.from_numpy(at), torch.from_numpy(share))


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, start + calibrated.ROWS) for start in range(0, rows, calibrated.ROWS))

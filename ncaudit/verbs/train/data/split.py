"""Which pairs validate, how many are enough, and what decides the order of an epoch: the same for towers and heads.

Knows hashes of photos and options; nothing of pixels, embeddings or files.
"""

from collections.abc import Set

import numpy as np
import numpy.typing as npt

from ncaudit.counts import counted
from ncaudit.errors import NcauditError
from ncaudit.hashing import fit_sample_keys
from ncaudit.objectives import TrainsOn
from ncaudit.options import TrainOptions
from ncaudit.progress import Progress

MAX_VAL_PAIRS = 5_000  # towers hold their pixels: 750 MB at 224 x 224; recall depends on how many images compete
MIN_VAL_PHOTOS = 2
Mask = npt.NDArray[np.bool_]


class Sides:
    """Tells which side each pair is on, and keeps count: of pairs that are refused, and of the labels learnt from."""

    def __init__(self, *, share: float, seed: int, trains_on: TrainsOn) -> None:
        """share: of the photos that validate. trains_on: of the labels; what it refuses is never learnt from."""
        self.share, self._seed, self._trains_on = share, seed, trains_on
        self.dropped, self.label_sum = 0, 0.0

    def of(self, photo: npt.NDArray[np.int64], label: npt.NDArray[np.float32]) -> tuple[Mask, Mask]:
        """Which of these pairs validate, and which are learnt from; counted."""
        to_val, learnt = self._of(photo, label)
        self.dropped += int((~to_val & ~learnt).sum())
        self.label_sum += float(label[learnt].sum(dtype=np.float64))
        return to_val, learnt

    def learnt(self, photo: npt.NDArray[np.int64], label: npt.NDArray[np.float32]) -> Mask:
        """Which of these pairs, seen once more, are learnt from."""
        return self._of(photo, label)[1]

    def _of(self, photo: npt.NDArray[np.int64], label: npt.NDArray[np.float32]) -> tuple[Mask, Mask]:
        to_val = held_out(photo, share=self.share, seed=self._seed)
        return to_val, ~to_val & self._trains_on(label)


def held_out(photo: npt.NDArray[np.int64], *, share: float, seed: int) -> Mask:
    """Which pairs validate: a pure function of seed and photo, so that equal photos never end up on both sides.

    photo: (n,) hashes. share: of the photos, in [0, 1]. Returns (n,) bool.
    """
    if share >= 1:
        return np.ones(len(photo), dtype=bool)
    keys = fit_sample_keys("validation photos", photo, seed)
    chosen: Mask = keys < np.uint64(int(share * 2.0**64))
    return chosen


def val_share(asked: float, expected_pairs: int) -> float:
    """The share of the photos to validate on: what was asked for, or as much of it as MAX_VAL_PAIRS allows."""
    return min(asked, MAX_VAL_PAIRS / max(1, expected_pairs))


def epoch_generator(seed: int, epoch: int, *more: int) -> np.random.Generator:
    """What shuffles an epoch: a pure function of (seed, epoch) and of what else tells two orders apart."""
    return np.random.default_rng([seed % 2**63, epoch, *more])


def order_of_epoch(generator: np.random.Generator, pairs: int, among: Mask | None = None) -> npt.NDArray[np.int64]:
    """The places of n pairs in the order of an epoch, (n,). among: (n,) bool, some of which are true: only these, gone
    through as often as it takes for as many as all pairs are.

    >>> np.sort(order_of_epoch(np.random.default_rng(0), 4, np.array([True, False, False, True])))
    array([0, 0, 3, 3])
    """
    if among is None:
        return generator.permutation(pairs)
    places = np.flatnonzero(among)
    passes = -(-pairs // len(places))
    return np.concatenate([generator.permutation(places) for _ in range(passes)])[:pairs]


def require_batch(pairs: int, options: TrainOptions) -> None:
    """Raises NcauditError when there are fewer training pairs than a batch holds."""
    if pairs < options.pace.batch_pairs:
        raise NcauditError(
            f"{counted(pairs, 'pair')} to train on, but a batch takes {options.pace.batch_pairs:,}",
            fix="give a smaller --batch-pairs, or more data",
        )


def check_split(options: TrainOptions, share: float, photos: Set[int], shared_photos: int, progress: Progress) -> None:
    """Say what is right but surprising about the split. photos: that validate, with `shared_photos` that are learnt.

    share: held out in fact. Raises NcauditError where the run validates, on fewer photos than recall needs.
    """
    if options.val_data or options.held_share:
        require_photos(photos, options)
    for note in split_notes(options, share, shared_photos, len(photos)):
        progress.note(note)


def require_photos(photos: Set[int], options: TrainOptions) -> None:
    """Raises NcauditError when there are fewer validation photos than recall needs."""
    if len(photos) < MIN_VAL_PHOTOS:
        where = "--val-data holds" if options.val_data else f"--val-share {options.val_share:g} holds out"
        raise NcauditError(
            f"{where} {len(photos)} photo{'s' * (len(photos) != 1)}, and recall needs at least {MIN_VAL_PHOTOS}",
            fix="give a larger --val-share, other --val-data, or --val-share 0 to train without validation",
        )


def split_notes(options: TrainOptions, share: float, shared_photos: int, val_photos: int) -> list[str]:
    """What is right but surprising about the split. share: held out in fact. shared_photos: on both sides."""
    notes = []
    if shared_photos:
        notes.append(f"{shared_photos:,} of {val_photos:,} validation photos are also trained on")
    if share < options.held_share:
        notes.append(f"{share:.2%} of the photos validate, not {options.held_share:.2%}: {MAX_VAL_PAIRS:,} pairs")
    return notes

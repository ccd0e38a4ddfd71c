"""Which pairs validate, how many are enough, and what decides the order of an epoch: the same for towers and heads.

Knows hashes of photos and options; nothing of pixels, embeddings or files.
"""

from collections.abc import Set

import numpy as np
import numpy.typing as npt

from ncaudit.errors import NcauditError
from ncaudit.hashing import fit_sample_keys
from ncaudit.options import TrainOptions

MAX_VAL_PAIRS = 5_000  # towers hold their pixels: 750 MB at 224 x 224; recall depends on how many images compete
MIN_VAL_PHOTOS = 2


def held_out(photo: npt.NDArray[np.int64], *, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which pairs validate: a pure function of seed and photo, so that equal photos never end up on both sides.

    photo: (n,) hashes. share: of the photos, in [0, 1]. Returns (n,) bool.
    """
    if share >= 1:
        return np.ones(len(photo), dtype=bool)
    keys = fit_sample_keys("validation photos", photo, seed)
    chosen: npt.NDArray[np.bool_] = keys < np.uint64(int(share * 2.0**64))
    return chosen


def val_share(asked: float, expected_pairs: int) -> float:
    """The share of the photos to validate on: what was asked for, or as much of it as MAX_VAL_PAIRS allows."""
    return min(asked, MAX_VAL_PAIRS / max(1, expected_pairs))


def epoch_generator(seed: int, epoch: int, *more: int) -> np.random.Generator:
    """What shuffles an epoch: a pure function of (seed, epoch) and of what else tells two orders apart."""
    return np.random.default_rng([seed % 2**63, epoch, *more])


def require_batch(pairs: int, options: TrainOptions) -> None:
    """Raises NcauditError when there are fewer training pairs than a batch holds."""
    if pairs < options.pace.batch_pairs:
        raise NcauditError(
            f"{pairs:,} pairs to train on, but a batch takes {options.pace.batch_pairs:,}",
            fix="give a smaller --batch-pairs, or more data",
        )


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

"""The pairs that `train` learns from: decoded, split by photo, in seeded batches.

Knows labelled shards and decoding; nothing of models' insides or of the training loop. Pixels are held in memory where
all of them fit; otherwise every epoch reads the shards again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ncaudit.encoders.decode_pool import DecodePool, Pending
from ncaudit.encoders.images import Decoded, Preprocess
from ncaudit.encoders.open_clip import Encoder
from ncaudit.errors import NcauditError
from ncaudit.matchers.batch import Batch
from ncaudit.options import TrainOptions
from ncaudit.progress import Progress
from ncaudit.schema import OK
from ncaudit.shards.hashing import fit_sample_keys, hash_values
from ncaudit.shards.provenance import MIB
from ncaudit.verbs.labelled_shards import (
    Floats,
    Hashes,
    LabelledShard,
    Pairs,
    expected_pairs,
    open_labelled,
    open_unlabelled,
)
from ncaudit.verbs.training_session import TrainingSet

HELD_BYTES = 1024 * MIB  # decoded pixels of a training set that stay in memory between epochs
MAX_VAL_PAIRS = 5_000  # their pixels are held too: 750 MB at 224 x 224; recall depends on how many images compete
MIN_VAL_PHOTOS = 2
BUFFER_PAIRS = 2_048  # encoded images that a streamed epoch shuffles among
DECODED_AHEAD = 2  # batches in the decoders' hands while the model learns

Tokenize = Callable[[Sequence[str]], Tensor]
Pixels = npt.NDArray[np.uint8]  # (height, width, 3)


@dataclass
class Found:
    """What reading a dataset once has shown."""

    statuses: Counter[str] = field(default_factory=Counter)
    undecodable: set[str] = field(default_factory=set)  # pair ids that scoring could decode and this run cannot


class HeldPairs:
    """Decoded pairs in memory. An epoch is one permutation of all of them."""

    def __init__(self, preprocess: Preprocess) -> None:
        self._pixels = np.empty((0, *preprocess.size, 3), dtype=np.uint8)
        self._count = 0
        self._tokens: list[Tensor] = []
        self._rest: list[tuple[Floats, Hashes, Hashes]] = []

    def add(self, pixels: Sequence[Pixels], pairs: Pairs, tokenize: Tokenize) -> None:
        """Append pairs with their pixels, in their order."""
        if not len(pairs):
            return
        self._grow(self._count + len(pairs))
        np.stack(pixels, out=self._pixels[self._count : self._count + len(pairs)])
        self._count += len(pairs)
        self._tokens.append(tokenize(pairs.captions).int())
        self._rest.append((pairs.label, pairs.photo, _caption_hashes(pairs.captions)))

    def __len__(self) -> int:
        return self._count

    @cached_property
    def all(self) -> Batch:
        """Every pair, in the order of the shards; at least one. From here on no more can be added."""
        label, photo, caption = (np.concatenate(column) for column in zip(*self._rest, strict=True))
        return Batch(
            torch.from_numpy(self._pixels[: self._count]), torch.cat(self._tokens), torch.from_numpy(label),
            torch.from_numpy(photo), torch.from_numpy(caption),
        )  # fmt: skip

    def batches(self, epoch: int, *, batch_pairs: int, seed: int) -> Iterator[Batch]:
        """Whole batches of one epoch, a pure function of (seed, epoch); the remainder waits for another epoch."""
        order = torch.from_numpy(_generator(seed, epoch).permutation(len(self)))
        for rows in islice(torch.split(order, batch_pairs), len(self) // batch_pairs):
            yield Batch(*(column[rows] for column in vars(self.all).values()))

    def _grow(self, pairs: int) -> None:
        if pairs > len(self._pixels):
            # realloc moves pages instead of copying them: no moment with two copies of a gigabyte
            self._pixels.resize((max(pairs, len(self._pixels) * 2), *self._pixels.shape[1:]), refcheck=False)


@dataclass(frozen=True)
class StreamedPairs:
    """Pairs read from the shards anew in every epoch: shards in a seeded order, pairs shuffled within a buffer."""

    shards: Sequence[LabelledShard]
    decoding: "Decoding"
    tokenize: Tokenize
    keep: Callable[[Pairs], npt.NDArray[np.bool_]]
    pairs: int

    def __len__(self) -> int:
        return self.pairs

    def batches(self, epoch: int, *, batch_pairs: int, seed: int) -> Iterator[Batch]:
        """Whole batches of one epoch, a pure function of (seed, epoch), decoded a little ahead."""
        generator = _generator(seed, epoch)
        groups = _grouped(_shuffled(self._stream(generator), generator), batch_pairs)
        ahead: list[tuple[Pairs, Pending]] = []
        for pairs in groups:
            ahead.append((pairs, self.decoding.submit(pairs)))
            if len(ahead) > DECODED_AHEAD:
                yield self._batch(*ahead.pop(0))
        for pairs, pending in ahead:
            yield self._batch(pairs, pending)

    def _stream(self, generator: np.random.Generator) -> Iterator[Pairs]:
        for index in generator.permutation(len(self.shards)):
            for pairs, _ in self.shards[index].windows():
                yield pairs.select(self.keep(pairs))

    def _batch(self, pairs: Pairs, pending: Pending) -> Batch:
        decoded, pixels = self.decoding.collect(pairs, pending)
        return Batch(
            torch.from_numpy(np.stack(pixels)), self.tokenize(decoded.captions), torch.from_numpy(decoded.label),
            torch.from_numpy(decoded.photo), torch.from_numpy(_caption_hashes(decoded.captions)),
        )  # fmt: skip


@dataclass(frozen=True)
class Decoding:
    """How this run's images become pixels."""

    pool: DecodePool
    preprocess: Preprocess
    max_pixels: int

    def submit(self, pairs: Pairs) -> Pending:
        """Begin to decode the pairs' images."""
        return self.pool.submit(pairs.images, self.preprocess, self.max_pixels)

    def collect(self, pairs: Pairs, pending: Pending) -> tuple[Pairs, list[Pixels]]:
        """The pairs whose image could be decoded, and their pixels."""
        outcomes = list(pending.results())
        sound = np.array([isinstance(outcome, Decoded) for outcome in outcomes], dtype=bool)
        return pairs.select(sound), [outcome.pixels for outcome in outcomes if isinstance(outcome, Decoded)]

    def pairs_that_fit(self, size_bytes: int) -> int:
        """How many pairs' pixels `size_bytes` can hold."""
        return size_bytes // (self.preprocess.size[0] * self.preprocess.size[1] * 3)


def read_all(
    shards: Sequence[LabelledShard], decoding: Decoding, take: Callable[[Pairs, list[Pixels]], None], progress: Progress
) -> Found:
    """Read and decode every usable pair once, in order, the decoders one window ahead; hand each window to `take`."""
    found = Found()
    waiting: list[tuple[Pairs, Pending, Counter[str]]] = []

    def settle() -> None:
        pairs, pending, left_out = waiting.pop(0)
        decoded, pixels = decoding.collect(pairs, pending)
        failed = set(pairs.pair_id) - set(decoded.pair_id)
        found.undecodable.update(failed)
        found.statuses.update(left_out + Counter({OK: len(decoded), "image_undecodable": len(failed)}))
        progress.advance(len(pairs) + left_out.total(), len(failed) + left_out.total())
        take(decoded, pixels)

    for shard in shards:
        for pairs, left_out in shard.windows():
            waiting.append((pairs, decoding.submit(pairs), left_out))
            if len(waiting) > 1:
                settle()
    while waiting:
        settle()
    return found


def open_training_set(options: TrainOptions, encoder: Encoder, pool: DecodePool, progress: Progress) -> TrainingSet:
    """Read every row once: count, decode, split by photo, and hold in memory what fits.

    Raises NcauditError as `open_labelled` does, and when there are fewer training pairs than a batch holds or fewer
    than two validation photos.
    """
    shards = open_labelled(options)
    decoding = Decoding(pool, encoder.preprocess, options.max_image_pixels)
    val = _read_val_data(options, encoder, decoding, progress) if options.val_data else None
    split = _Split(options, shards, encoder, decoding)
    progress.stage("read the training pairs", sum(shard.rows for shard in shards))
    found = read_all(shards, decoding, split.take, progress)
    train = split.training_pairs(found)
    if len(train) < options.batch_pairs:
        raise NcauditError(
            f"{len(train):,} pairs to train on, but a batch takes {options.batch_pairs:,}",
            fix="give a smaller --batch-pairs, or more data",
        )
    if options.val_data is None and options.val_share:
        val = split.val
    photos = _val_photos(options, val)
    if val is not None and options.val_data and (shared := len(photos & split.photos)):
        progress.note(f"{shared:,} of {len(photos):,} validation photos are also trained on")
    if split.share < options.val_share and options.val_data is None:
        progress.note(f"{split.share:.2%} of the photos validate, not {options.val_share:.2%}: {MAX_VAL_PAIRS:,} pairs")
    validation = None if val is None else val.all
    return TrainingSet(train, validation, len(photos), split.label_sum / len(train), found.statuses, len(shards))


class _Split:
    """Takes windows of decoded pairs and puts each pair on its side."""

    def __init__(
        self, options: TrainOptions, shards: Sequence[LabelledShard], encoder: Encoder, decoding: "Decoding"
    ) -> None:
        expected = expected_pairs(shards)
        self.share = 0.0 if options.val_data else min(options.val_share, MAX_VAL_PAIRS / max(1, expected))
        self.val, self.photos = HeldPairs(decoding.preprocess), set[int]()
        self.label_sum = 0.0
        self._held = HeldPairs(decoding.preprocess) if expected <= decoding.pairs_that_fit(HELD_BYTES) else None
        self._count = 0
        self._shards, self._decoding, self._tokenize, self._seed = shards, decoding, encoder.tokenize, options.seed

    def take(self, pairs: Pairs, pixels: list[Pixels]) -> None:
        """One window, in order."""
        to_val = held_out(pairs.photo, share=self.share, seed=self._seed)
        _add(self.val, pairs, pixels, to_val, self._tokenize)
        if self._held is not None:
            _add(self._held, pairs, pixels, ~to_val, self._tokenize)
        self._count += int((~to_val).sum())
        self.label_sum += float(pairs.label[~to_val].sum(dtype=np.float64))
        self.photos.update(pairs.photo[~to_val].tolist())

    def training_pairs(self, found: "Found") -> HeldPairs | StreamedPairs:
        """All that was taken and is not held out."""
        if self._held is not None:
            return self._held
        share, seed, undecodable = self.share, self._seed, frozenset(found.undecodable)

        def keep(pairs: Pairs) -> npt.NDArray[np.bool_]:
            sound = np.array([pair_id not in undecodable for pair_id in pairs.pair_id], dtype=bool)
            return sound & ~held_out(pairs.photo, share=share, seed=seed)

        return StreamedPairs(self._shards, self._decoding, self._tokenize, keep, self._count)


def _add(
    held: "HeldPairs", pairs: Pairs, pixels: Sequence[Pixels], wanted: npt.NDArray[np.bool_], tokenize: Tokenize
) -> None:
    held.add([pixels[i] for i in np.flatnonzero(wanted).tolist()], pairs.select(wanted), tokenize)


def _read_val_data(options: TrainOptions, encoder: Encoder, decoding: "Decoding", progress: Progress) -> "HeldPairs":
    """The user's own validation pairs: all of them, or a seeded choice of photos where they are too many."""
    shards = open_unlabelled(options.val_data or (), options)
    share = min(1.0, MAX_VAL_PAIRS / max(1, expected_pairs(shards)))
    val = HeldPairs(decoding.preprocess)

    def take(pairs: Pairs, pixels: list[Pixels]) -> None:
        chosen = held_out(pairs.photo, share=share, seed=options.seed) if share < 1 else np.ones(len(pairs), dtype=bool)
        _add(val, pairs, pixels, chosen, encoder.tokenize)

    progress.stage("read the validation pairs", sum(shard.rows for shard in shards))
    found = read_all(shards, decoding, take, progress)
    if failed := found.statuses.total() - found.statuses[OK]:
        progress.note(f"{failed:,} of {found.statuses.total():,} validation rows cannot be used")
    return val


def _val_photos(options: TrainOptions, val: "HeldPairs | None") -> set[int]:
    if val is None:
        return set()
    photos = set(val.all.photo.tolist()) if len(val) else set()
    if len(photos) < MIN_VAL_PHOTOS:
        where = "--val-data holds" if options.val_data else f"--val-share {options.val_share:g} holds out"
        raise NcauditError(
            f"{where} {len(photos)} photo{'s' * (len(photos) != 1)}, and recall needs at least {MIN_VAL_PHOTOS}",
            fix="give a larger --val-share, other --val-data, or --val-share 0 to train without validation",
        )
    return photos


def held_out(photo: Hashes, *, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which pairs validate: a pure function of seed and photo, so that equal photos never end up on both sides.

    photo: (n,) hashes. share: of the photos, in [0, 1). Returns (n,) bool.
    """
    keys = fit_sample_keys("validation photos", photo, seed)
    chosen: npt.NDArray[np.bool_] = keys < np.uint64(int(share * 2.0**64))
    return chosen


def _shuffled(stream: Iterable[Pairs], generator: np.random.Generator) -> Iterator[Pairs]:
    """Single pairs, each drawn at random from a buffer of the next BUFFER_PAIRS."""
    buffer: list[Pairs] = []
    for pairs in stream:
        for i in range(len(pairs)):
            buffer.append(_one(pairs, i))
            if len(buffer) >= BUFFER_PAIRS:
                yield _drawn(buffer, generator)
    while buffer:
        yield _drawn(buffer, generator)


def _drawn(buffer: list[Pairs], generator: np.random.Generator) -> Pairs:
    i = int(generator.integers(len(buffer)))
    buffer[i], buffer[-1] = buffer[-1], buffer[i]
    return buffer.pop()


def _one(pairs: Pairs, i: int) -> Pairs:
    at = slice(i, i + 1)
    return Pairs(pairs.pair_id[at], pairs.images[at], pairs.captions[at], pairs.label[at], pairs.photo[at])


def _grouped(singles: Iterator[Pairs], size: int) -> Iterator[Pairs]:
    """Groups of `size` pairs; an incomplete last one is left out."""
    while len(group := list(islice(singles, size))) == size:
        yield Pairs(
            [p.pair_id[0] for p in group], [p.images[0] for p in group], [p.captions[0] for p in group],
            np.concatenate([p.label for p in group]), np.concatenate([p.photo for p in group]),
        )  # fmt: skip


def _caption_hashes(captions: Sequence[str]) -> Hashes:
    return hash_values(pa.array(captions, pa.string()))


def _generator(seed: int, epoch: int) -> np.random.Generator:
    return np.random.default_rng([seed % 2**63, epoch])

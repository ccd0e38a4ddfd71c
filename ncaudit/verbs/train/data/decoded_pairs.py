"""The pairs that `train` learns from: decoded, split by photo, in seeded batches.

Knows labelled shards and decoding; nothing of models' insides or of the training loop. Pixels are held in memory where
all of them fit; otherwise every epoch reads the shards again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice, repeat

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ncaudit.counts import counted
from ncaudit.encoders.decode_pool import DecodePool, Pending
from ncaudit.encoders.images import Decoded, Preprocess
from ncaudit.encoders.open_clip import Encoder
from ncaudit.errors import BadTable
from ncaudit.hashing import hash_values
from ncaudit.matchers.steps.batch import Batch
from ncaudit.objectives import TrainsOn
from ncaudit.options import TrainOptions
from ncaudit.progress import Progress
from ncaudit.schema import OK
from ncaudit.shards.dataset.keys import REMEDY
from ncaudit.shards.files.locations import MIB
from ncaudit.verbs.train.data.classes import Packed, TrainingClasses, validation_classes
from ncaudit.verbs.train.data.labelled_shards import (
    Floats,
    Hashes,
    LabelledPairs,
    LabelledShard,
    expected_pairs,
    open_labelled,
    open_unlabelled,
)
from ncaudit.verbs.train.data.split import (
    Mask,
    Sides,
    check_split,
    epoch_generator,
    held_out,
    order_of_epoch,
    require_batch,
    val_share,
)
from ncaudit.verbs.train.data.training_set import EVERY_ROW, READ, READ_VAL, TrainingSet, vanished

HELD_BYTES = 1024 * MIB  # decoded pixels of a training set that stay in memory between epochs
SAMPLED_BYTES = HELD_BYTES // 4  # of a sample, which is in memory up to three times
BUFFER_PAIRS = 2_048  # encoded images that a streamed epoch shuffles among
DECODED_AHEAD = 2  # batches in the decoders' hands while the model learns

Tokenize = Callable[[Sequence[str]], Tensor]
Pixels = npt.NDArray[np.uint8]  # (height, width, 3)
Among = Callable[[Sequence[str]], Mask]  # which of the pairs of these names, in the order of the shards


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
        self._pair_id: list[str] = []

    def add(self, pixels: Sequence[Pixels], pairs: LabelledPairs, tokenize: Tokenize) -> None:
        """Append pairs with their pixels, in their order."""
        if not len(pairs):
            return
        self._grow(self._count + len(pairs))
        np.stack(pixels, out=self._pixels[self._count : self._count + len(pairs)])
        self._count += len(pairs)
        self._tokens.append(tokenize(pairs.captions).int())
        self._pair_id += pairs.pair_id
        self._rest.append((pairs.label, pairs.photo, _caption_hashes(pairs.captions)))

    def __len__(self) -> int:
        return self._count

    @cached_property
    def all(self) -> Batch:
        """Every pair, in the order of the shards; at least one. From here on no more can be added."""
        label, photo, caption = (np.concatenate(column) for column in zip(*self._rest, strict=True))
        return Batch(
            torch.from_numpy(self._pixels[: self._count]), torch.cat(self._tokens), torch.from_numpy(label),
            torch.from_numpy(photo), torch.from_numpy(caption), self._pair_id,
        )  # fmt: skip

    def batches(
        self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW, among: Among | None = None
    ) -> Iterator[Batch]:
        """The `rows` of all whole batches of one epoch, which are a pure function of (seed, epoch).

        The remainder waits for another epoch. among: the only pairs, where not all are to be learnt; batches are no
        fewer, so that these pairs come again within an epoch.
        """
        some = None if among is None else among(self.all.pair_id)
        order = torch.from_numpy(order_of_epoch(epoch_generator(seed, epoch), len(self), some))
        for batch in islice(torch.split(order, batch_pairs), len(self) // batch_pairs):
            yield self.all.take(batch[rows])

    def in_order(self, pairs: int, *, part: int = 0, parts: int = 1) -> Iterator[Batch]:
        """Every pair once, at most `pairs` at a time, in the shards' order; every `parts`-th batch from `part`."""
        for rows in torch.split(torch.arange(len(self)), pairs)[part::parts]:
            yield self.all.take(rows)

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
    keep: Callable[[LabelledPairs], npt.NDArray[np.bool_]]
    pairs: int

    def __len__(self) -> int:
        return self.pairs

    def batches(
        self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW, among: Among | None = None
    ) -> Iterator[Batch]:
        """As of `HeldPairs`. Only these rows are decoded, a little ahead."""
        generator = epoch_generator(seed, epoch)
        order = generator.permutation(len(self.shards)).tolist()
        passes = repeat(order, 1) if among is None else repeat(order)
        singles = chain.from_iterable(_shuffled(self._stream(shards, among), generator) for shards in passes)
        groups = _grouped(singles, batch_pairs, rows)
        yield from self._decoded(islice(groups, len(self) // batch_pairs))

    def in_order(self, pairs: int, *, part: int = 0, parts: int = 1) -> Iterator[Batch]:
        """As of `HeldPairs`; only the pairs of these batches are decoded, and none that cannot be any more is there."""
        windows = self._stream(range(len(self.shards)))
        pieces = (window.part(slice(at, at + pairs)) for window in windows for at in range(0, len(window), pairs))
        yield from self._decoded(islice(pieces, part, None, parts))

    def _stream(self, order: Iterable[int], among: Among | None = None) -> Iterator[LabelledPairs]:
        for index in order:
            for pairs, _ in self.shards[index].windows():
                kept = pairs.select(self.keep(pairs))
                yield kept if among is None else kept.select(among(kept.pair_id))

    def _decoded(self, groups: Iterable[LabelledPairs]) -> Iterator[Batch]:
        """Each group as a batch, the decoders some groups ahead."""
        ahead: list[tuple[LabelledPairs, Pending]] = []
        for pairs in groups:
            ahead.append((pairs, self.decoding.submit(pairs)))
            if len(ahead) > DECODED_AHEAD:
                yield self._batch(*ahead.pop(0))
        for pairs, pending in ahead:
            yield self._batch(pairs, pending)

    def _batch(self, pairs: LabelledPairs, pending: Pending) -> Batch:
        decoded, pixels = self.decoding.collect(pairs, pending)
        if not pixels:
            raise vanished(len(pairs))
        return Batch(
            torch.from_numpy(np.stack(pixels)), self.tokenize(decoded.captions), torch.from_numpy(decoded.label),
            torch.from_numpy(decoded.photo), torch.from_numpy(_caption_hashes(decoded.captions)), decoded.pair_id,
        )  # fmt: skip


@dataclass(frozen=True)
class Decoding:
    """How this run's images become pixels."""

    pool: DecodePool
    preprocess: Preprocess
    max_pixels: int

    def submit(self, pairs: LabelledPairs) -> Pending:
        """Begin to decode the pairs' images."""
        return self.pool.submit(pairs.images, self.preprocess, self.max_pixels)

    def collect(self, pairs: LabelledPairs, pending: Pending) -> tuple[LabelledPairs, list[Pixels]]:
        """The pairs whose image could be decoded, and their pixels."""
        outcomes = list(pending.results())
        sound = np.array([isinstance(outcome, Decoded) for outcome in outcomes], dtype=bool)
        return pairs.select(sound), [outcome.pixels for outcome in outcomes if isinstance(outcome, Decoded)]

    def pairs_that_fit(self, size_bytes: int) -> int:
        """How many pairs' pixels `size_bytes` can hold."""
        return size_bytes // (self.preprocess.size[0] * self.preprocess.size[1] * 3)


def read_all(
    shards: Sequence[LabelledShard],
    decoding: Decoding,
    take: Callable[[LabelledPairs, list[Pixels]], None],
    progress: Progress,
) -> Found:
    """Read and decode every usable pair once, in order, the decoders one window ahead; hand each window to `take`."""
    found = Found()
    waiting: list[tuple[LabelledPairs, Pending, Counter[str]]] = []

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


@dataclass(frozen=True)
class Roll:
    """Who the n training pairs are, in the order of the shards: 28 bytes for each, and a bit per class."""

    pair: Hashes  # (n,) of the pair_id, each once
    photo: Hashes  # (n,)
    caption: Hashes  # (n,)
    label: Floats  # (n,)
    carried: Packed  # (n, bytes), see `training_classes`
    classes: int = 0  # that there are

    def places(self, pair_id: Sequence[str]) -> Hashes:
        """Where these pairs stand, (m,) int64 in [0, n)."""
        found = np.searchsorted(self.pair, hash_values(pa.array(pair_id, pa.string())), sorter=self._order)
        return self._order[found]

    @cached_property
    def _order(self) -> Hashes:
        return np.argsort(self.pair)


@dataclass(frozen=True)
class DecodedSet(TrainingSet):
    """A training set of images and captions."""

    train: HeldPairs | StreamedPairs
    roll: Roll | None = None  # where lessons ask who the pairs are


def open_training_set(
    options: TrainOptions,
    encoder: Encoder,
    pool: DecodePool,
    trains_on: TrainsOn,
    progress: Progress,
    *,
    called: bool = False,
) -> DecodedSet:
    """Read every row once: count, decode, split by photo, and hold in memory what fits.

    trains_on: of the labels; what it refuses can validate, but is not learnt from. called: whether lessons ask who the
    pairs are; they do where there are classes.

    Raises NcauditError as `open_labelled` does, and when there are fewer training pairs than a batch holds or fewer
    than two validation photos.
    """
    shards = open_labelled(options)
    decoding = Decoding(pool, encoder.preprocess, options.max_image_pixels)
    val, val_carried = _read_val_data(options, encoder, decoding, progress) if options.val_data else (None, None)
    sides = Sides(share=val_share(options.held_share, expected_pairs(shards)), seed=options.seed, trains_on=trains_on)
    known = shards[0].classes.known if shards and shards[0].classes is not None else None
    taken = _Taken(sides, shards, encoder.tokenize, decoding, called=called or known is not None)
    progress.stage(READ, sum(shard.rows for shard in shards))
    found = read_all(shards, decoding, taken.take, progress)
    train = taken.training_pairs(found)
    require_batch(len(train), options)
    if options.held_share:
        val = taken.val
    photos = set(val.all.photo.tolist()) if val is not None and len(val) else set[int]()
    check_split(options, sides.share, photos, len(photos & taken.photos) if options.val_data else 0, progress)
    roll = taken.roll(known) if called or known is not None else None
    return DecodedSet(
        train, None if val is None else val.all, val_photos=len(photos), dropped=sides.dropped,
        mean_label=sides.label_sum / len(train), statuses=found.statuses, shards=len(shards),
        unlabelled=0 if roll is None or known is None else int((~roll.carried.any(axis=1)).sum()),
        val_carried=val_carried, roll=roll,
    )  # fmt: skip


def sampled_pairs(options: TrainOptions, encoder: Encoder, pool: DecodePool, most: int) -> Batch:
    """About `most` of the training pairs, with all of their photos' captions, in random order; no validation photo.

    Fewer where their pixels would take more than SAMPLED_BYTES. Only their images are decoded.
    Raises NcauditError as `open_labelled` does, and where all of them are fewer than a batch holds.
    """
    shards = open_labelled(options)
    decoding, chosen = Decoding(pool, encoder.preprocess, options.max_image_pixels), HeldPairs(encoder.preprocess)
    expected = expected_pairs(shards)
    kept_out, most = val_share(options.held_share, expected), min(most, decoding.pairs_that_fit(SAMPLED_BYTES))
    share = min(1.0, kept_out + most / max(1, expected))
    for window in (pairs for shard in shards for pairs, _ in shard.windows()):
        wanted = held_out(window.photo, share=share, seed=options.seed)
        part = window.select(wanted & ~held_out(window.photo, share=kept_out, seed=options.seed))
        sound, pixels = decoding.collect(part, decoding.submit(part))
        chosen.add(pixels, sound, encoder.tokenize)
    if share == 1 or not len(chosen):  # else the run will see how many there are
        require_batch(len(chosen), options)
    return chosen.all.take(torch.from_numpy(epoch_generator(options.seed, 0).permutation(len(chosen))))


class _Taken:
    """Windows of decoded pairs, each pair on its side."""

    def __init__(
        self,
        sides: Sides,
        shards: Sequence[LabelledShard],
        tokenize: Tokenize,
        decoding: "Decoding",
        *,
        called: bool = False,
    ) -> None:
        """called: whether they are to be kept account of in a roll."""
        self._called = called
        self._sides, self._shards, self._decoding, self._tokenize = sides, shards, decoding, tokenize
        self.val, self.photos = HeldPairs(decoding.preprocess), set[int]()
        fits = expected_pairs(shards) <= decoding.pairs_that_fit(HELD_BYTES)
        self._held = HeldPairs(decoding.preprocess) if fits else None
        self._count = 0
        self._roll: list[tuple[Hashes, Hashes, Hashes, Floats, Packed]] = []

    def take(self, pairs: LabelledPairs, pixels: list[Pixels]) -> None:
        """One window, in order."""
        to_val, learnt = self._sides.of(pairs.photo, pairs.label)
        _add(self.val, pairs, pixels, to_val, self._tokenize)
        if self._held is not None:
            _add(self._held, pairs, pixels, learnt, self._tokenize)
        self._count += int(learnt.sum())
        self.photos.update(pairs.photo[learnt].tolist())
        if self._called:
            kept = pairs.select(learnt)
            pair, caption = hash_values(pa.array(kept.pair_id, pa.string())), _caption_hashes(kept.captions)
            self._roll.append((pair, kept.photo, caption, kept.label, kept.classes))

    def roll(self, classes: TrainingClasses | None) -> Roll:
        """Of the training pairs. Raises BadTable where two of them have the same name."""
        pair, photo, caption, label, carried = (np.concatenate(column) for column in zip(*self._roll, strict=True))
        if repeats := len(pair) - len(np.unique(pair)):
            pairs = counted(repeats, "training pair has", "training pairs have")
            raise BadTable(f"{pairs} the pair_id of another", fix=REMEDY)
        return Roll(pair, photo, caption, label, carried, 0 if classes is None else len(classes))

    def training_pairs(self, found: "Found") -> HeldPairs | StreamedPairs:
        """All that was taken and is not held out."""
        if self._held is not None:
            return self._held
        sides, undecodable = self._sides, frozenset(found.undecodable)

        def keep(pairs: LabelledPairs) -> npt.NDArray[np.bool_]:
            sound = np.array([pair_id not in undecodable for pair_id in pairs.pair_id], dtype=bool)
            return sound & sides.learnt(pairs.photo, pairs.label)

        return StreamedPairs(self._shards, self._decoding, self._tokenize, keep, self._count)


def _add(
    held: "HeldPairs", pairs: LabelledPairs, pixels: Sequence[Pixels], wanted: npt.NDArray[np.bool_], tokenize: Tokenize
) -> None:
    held.add([pixels[i] for i in np.flatnonzero(wanted).tolist()], pairs.select(wanted), tokenize)


def _read_val_data(
    options: TrainOptions, encoder: Encoder, decoding: "Decoding", progress: Progress
) -> tuple["HeldPairs", Tensor | None]:
    """The user's own validation pairs: all of them, or a seeded choice of photos where they are too many.

    Beside them, where the objective asks for classes, the (n, C) bool table of those that they carry.
    """
    shards = open_unlabelled(options.val_data or (), options)
    share = val_share(1.0, expected_pairs(shards))
    val, carried = HeldPairs(decoding.preprocess), list[Packed]()

    def take(pairs: LabelledPairs, pixels: list[Pixels]) -> None:
        wanted = held_out(pairs.photo, share=share, seed=options.seed)
        _add(val, pairs, pixels, wanted, encoder.tokenize)
        carried.append(pairs.classes[wanted])

    progress.stage(READ_VAL, sum(shard.rows for shard in shards))
    found = read_all(shards, decoding, take, progress)
    if failed := found.statuses.total() - found.statuses[OK]:
        progress.note(f"{failed:,} of {counted(found.statuses.total(), 'validation row')} cannot be used")
    classes = shards[0].classes if shards else None
    return val, None if classes is None else validation_classes(np.concatenate(carried), classes.known)


def _shuffled(stream: Iterable[LabelledPairs], generator: np.random.Generator) -> Iterator[LabelledPairs]:
    """Single pairs, each drawn at random from a buffer of the next BUFFER_PAIRS."""
    buffer: list[LabelledPairs] = []
    for pairs in stream:
        for i in range(len(pairs)):
            buffer.append(pairs.part(slice(i, i + 1)))
            if len(buffer) >= BUFFER_PAIRS:
                yield _drawn(buffer, generator)
    while buffer:
        yield _drawn(buffer, generator)


def _drawn(buffer: list[LabelledPairs], generator: np.random.Generator) -> LabelledPairs:
    i = int(generator.integers(len(buffer)))
    buffer[i], buffer[-1] = buffer[-1], buffer[i]
    return buffer.pop()


def _grouped(singles: Iterator[LabelledPairs], size: int, rows: slice) -> Iterator[LabelledPairs]:
    """The `rows` of groups of `size` pairs; an incomplete last one is left out."""
    while len(whole := list(islice(singles, size))) == size:
        group = whole[rows]
        yield LabelledPairs(
            [p.pair_id[0] for p in group], [p.images[0] for p in group], [p.captions[0] for p in group],
            np.concatenate([p.label for p in group]), np.concatenate([p.photo for p in group]),
            np.concatenate([p.classes for p in group]),
        )  # fmt: skip


def _caption_hashes(captions: Sequence[str]) -> Hashes:
    return hash_values(pa.array(captions, pa.string()))

"""Training pairs by class, as towers see them: what class lessons ask, answered by encoding every image and caption.

Knows encoders, decoded pairs and ranks that share the work; nothing of losses, barycentres or how pairs are split. An
epoch costs one forward pass over all training pairs, and where their pixels are not in memory, one more decoding.
Memory: 8 bytes per pair and dimension while an epoch begins, and where the pairs are split, 4 more for the whole run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ncaudit.core.gathering import rank, rank_count, sum_over_ranks
from ncaudit.counts import counted
from ncaudit.encoders.open_clip import Encoder
from ncaudit.matchers.steps.batch import Batch
from ncaudit.progress import Progress
from ncaudit.verbs.train.data.classes import unpacked
from ncaudit.verbs.train.data.decoded_pairs import HeldPairs, Roll, StreamedPairs
from ncaudit.verbs.train.data.training_set import EVERY_ROW, vanished
from ncaudit.verbs.train.lessons.by_class import Seen

ENCODE_PAIRS = 256  # at once


@dataclass(frozen=True)
class Rows:
    """All n pairs on the CPU: (n, d) unit rows; a row that no number came out for is 0."""

    image: Tensor
    text: Tensor


class SeenByTowers:
    """The `ClassPairs` of towers."""

    def __init__(
        self,
        encoder: Encoder,
        pairs: HeldPairs | StreamedPairs,
        roll: Roll,
        start: Callable[[], Encoder] | None,
        progress: Progress,
    ) -> None:
        """encoder: whose weights learn, at their start now. roll: of the pairs.

        start: loads the start model anew, for a run that goes on; None where nobody asks for what was before.
        """
        self._encoder, self._pairs, self._roll = encoder, pairs, roll
        self._start, self._progress = start, progress
        self._before: Rows | None = None
        self.precision = encoder.dtype  # what the towers compute in; may be set before the first question
        self.carried = torch.from_numpy(unpacked(roll.carried, roll.classes))

    def now(self, epoch: int) -> Seen:
        """All pairs in the towers' space, by one forward pass; every rank makes its part of it."""
        rows = self._rows(self._encoder)
        if epoch == 1 and self._start is not None:
            self._before = _halved(rows)
        device = self._encoder.device
        photo = torch.from_numpy(self._roll.photo)
        return Seen(rows.image.to(device), rows.text.to(device), photo.to(device))

    def before(self, side: str, at: Tensor) -> Tensor:
        """The start model's embeddings; a run that goes on makes them once more, which gives the same ones."""
        if self._before is None:
            assert self._start is not None, "nobody was to ask for the embeddings before training"
            self._before = _halved(self._rows(self._start()))
        rows: Tensor = getattr(self._before, side)
        return rows[at.cpu()].to(at.device).float()

    def batches(
        self, epoch: int, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW
    ) -> Iterator[tuple[Tensor, Batch]]:
        """In the order that the pairs have, held or streamed."""
        for batch in self._pairs.batches(epoch, batch_pairs=batch_pairs, seed=seed, rows=rows):
            yield torch.from_numpy(self._roll.places(batch.pair_id)), batch

    def _rows(self, encoder: Encoder) -> Rows:
        return rows_of_all(encoder.frozen(self.precision), self._pairs, self._roll, self._progress)


def rows_of_all(encoder: Encoder, pairs: HeldPairs | StreamedPairs, roll: Roll, progress: Progress) -> Rows:
    """What a frozen encoder makes of every pair; every rank encodes its part and has all of them."""
    count = len(pairs)
    image, text = torch.zeros(count, encoder.identity.image_dims), torch.zeros(count, encoder.identity.text_dims)
    there, looked = torch.zeros(count), 0
    for batch in pairs.in_order(ENCODE_PAIRS, part=rank(), parts=rank_count()):
        places = torch.from_numpy(roll.places(batch.pair_id))
        image[places] = encoder.encode_images(batch.image).nan_to_num(0)
        text[places] = encoder.encode_tokens(batch.text.long()).nan_to_num(0)
        there[places] = 1
        looked += len(batch)
        progress.status(f"looked at {min(count, looked * rank_count()):,} of {counted(count, 'pair')}")
        progress.advance(0)  # where no terminal is, only this tells the status
    if missing := count - int(sum_over_ranks(there).sum()):
        raise vanished(missing)
    return Rows(sum_over_ranks(image), sum_over_ranks(text))


def _halved(rows: Rows) -> Rows:
    return Rows(rows.image.half(), rows.text.half())

"""Training pairs as towers see them, for recipes that judge them: by one forward pass over all of them.

Knows encoders and decoded pairs. Memory: 8 bytes per pair and dimension while the pairs are looked at; where they are
streamed, 4 per token of every caption, from the first replaced one on.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from ncaudit.encoders.open_clip import Encoder
from ncaudit.matchers.steps.batch import Batch
from ncaudit.progress import Progress
from ncaudit.scoring.pairs import Pairs
from ncaudit.verbs.train.data.decoded_pairs import Among, HeldPairs, Roll, StreamedPairs
from ncaudit.verbs.train.data.split import Mask
from ncaudit.verbs.train.data.training_set import EVERY_ROW
from ncaudit.verbs.train.lessons.judged.judged_pairs import Labels, Taught, labelled, with_captions
from ncaudit.verbs.train.lessons.view_of_towers import ENCODE_PAIRS, rows_of_all


class JudgedByTowers:
    """The `JudgedPairs` of towers."""

    def __init__(self, encoder: Encoder, pairs: HeldPairs | StreamedPairs, roll: Roll, progress: Progress) -> None:
        """encoder: whose weights learn. roll: of the pairs."""
        self._encoder, self._pairs, self._roll, self._progress = encoder, pairs, roll, progress
        self._captions = torch.from_numpy(roll.caption)
        self._tokens: Tensor | None = None
        self.precision = encoder.dtype  # what the towers compute in; may be set before the first question
        self.label: Labels = roll.label

    @property
    def network(self) -> nn.Module:
        """Both towers."""
        module: nn.Module = self._encoder.model
        return module

    def seen(self) -> Pairs:
        """All pairs in the towers' space; a pair that no number came out for is a row of 0, near to nobody."""
        rows = rows_of_all(self._encoder.frozen(self.precision), self._pairs, self._roll, self._progress)
        photo = torch.from_numpy(self._roll.photo)
        pairs = Pairs(rows.image, rows.text, photo, self._captions, [""] * len(photo))
        return pairs.to(self._encoder.device)

    def batches(
        self, epoch: int, taught: Taught, *, batch_pairs: int, seed: int, rows: slice = EVERY_ROW
    ) -> Iterator[Batch]:
        """In the order that the pairs have, held or streamed."""
        among = None if taught.learnt is None else self._among(taught.learnt)
        for batch in self._pairs.batches(epoch, batch_pairs=batch_pairs, seed=seed, rows=rows, among=among):
            places = self._roll.places(batch.pair_id)
            whose = taught.caption[places]
            other = np.flatnonzero(whose != places)
            if len(other):
                theirs = torch.from_numpy(whose[other])
                text, caption = self._all_tokens()[theirs], self._captions[theirs]
                batch = with_captions(batch, torch.from_numpy(other), text, caption)
            yield labelled(batch, taught.label[places])

    def _among(self, learnt: Mask) -> Among:
        def among(pair_id: Sequence[str]) -> Mask:
            return learnt[self._roll.places(pair_id)]

        return among

    def _all_tokens(self) -> Tensor:
        """(n, context) of all captions, in the order of the roll."""
        if isinstance(self._pairs, HeldPairs):
            return self._pairs.all.text
        if self._tokens is None:
            self._tokens = self._read_tokens(self._pairs)
        return self._tokens

    def _read_tokens(self, pairs: StreamedPairs) -> Tensor:
        tokens: Tensor | None = None
        for batch in pairs.in_order(ENCODE_PAIRS):
            if tokens is None:
                tokens = torch.zeros(len(pairs), batch.text.shape[1], dtype=torch.int32)
            tokens[torch.from_numpy(self._roll.places(batch.pair_id))] = batch.text.int()
        assert tokens is not None, "there are pairs"
        return tokens

"""`train` for heads: where they start, on which embeddings they learn, and the folder they are kept in.

Knows heads, their options and embedding tables; nothing of epochs.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ncaudit.core.bank import Bank
from ncaudit.core.device import pick_device
from ncaudit.errors import NcauditError
from ncaudit.matchers.batch import Batch
from ncaudit.matchers.head_starts import CCA_DIMS, begin_at_likeliest_scale, cca_start, identity_start
from ncaudit.matchers.head_tuning import HeadTuner
from ncaudit.matchers.heads import Heads, save_head_description, save_head_weights
from ncaudit.matchers.optimisation import Learner, Recipe
from ncaudit.objectives import Objective
from ncaudit.options import Align, HeadKind, HeadStart, TrainOptions
from ncaudit.progress import Progress
from ncaudit.scorers.pairs import Pairs
from ncaudit.scorers.shared_space import shares_space
from ncaudit.verbs.embedded_pairs import as_batch
from ncaudit.verbs.head_origins import origins
from ncaudit.verbs.trained import Opened
from ncaudit.verbs.training_embeddings import EmbeddedSet, open_training_embeddings

START_PAIRS = 32_768  # that the start is computed from: 80 MB of 640 + 640 dimensions
HIDDEN = 1_024


class HeadsOnEmbeddings:
    """What `--tune heads` trains."""

    def __init__(self, options: TrainOptions) -> None:
        self._options = options

    def identity(self) -> None:
        """Nothing: the start is computed from the embeddings."""

    def save_weights(self, tensors: Mapping[str, Tensor], out: str) -> None:
        """Whole or not at all."""
        save_head_weights(tensors, out)

    @contextmanager
    def opened(self, objective: Objective, progress: Progress) -> Iterator[Opened]:
        """The embeddings, read and checked, and the heads at their start."""
        options, device = self._options, pick_device(self._options.device)
        with open_training_embeddings(options, objective.trains_on, progress) as embedded:
            progress.stage("where the heads start", None)
            start, heads = begin(embedded, options, device)
            widths = {"image_width": heads.image_width, "text_width": heads.text_width}
            description = {"model": embedded.model, "start": start.value, **widths}

            def learner(recipe: Recipe, precision: torch.dtype) -> Learner:
                chunk = options.chunk_pairs
                return HeadTuner(heads, objective.batch_loss, recipe, device, precision, chunk_pairs=chunk)

            def describe(out: str) -> None:
                save_head_description(heads, out, {**description, **origins(embedded.tables)})

            yield Opened(embedded.pairs, description, learner, describe)


def begin(embedded: EmbeddedSet, options: TrainOptions, device: torch.device) -> tuple[HeadStart, Heads]:
    """Heads at their start, on the CPU, a pure function of the training pairs and the options."""
    sample = _sample(embedded, options.seed).to(device)
    start = _start(embedded, sample, options)
    hidden = (options.hidden or HIDDEN) if options.head is HeadKind.mlp else None
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        heads = _heads(start, sample, options.dims, hidden).to(device)
    pairs = Bank(sample.image, sample.text, sample.photo, sample.caption)
    begin_at_likeliest_scale(heads, pairs, sample.label)
    return start, heads.cpu()


def _sample(embedded: EmbeddedSet, seed: int) -> Batch:
    """Some of the training pairs, in random order, in float32."""
    train = embedded.train
    places = np.random.default_rng([seed % 2**63, 0]).permutation(len(train))[:START_PAIRS]
    order = np.argsort(np.argsort(places))  # they are read in the order of the tables
    found = as_batch(train.take(np.sort(places))).take(torch.from_numpy(order))
    return Batch(found.image.float(), found.text.float(), found.label, found.photo, found.caption)


def _start(embedded: EmbeddedSet, sample: Batch, options: TrainOptions) -> HeadStart:
    if options.head_start is HeadStart.cca:
        return HeadStart.cca
    image_width, text_width = sample.image.shape[1], sample.text.shape[1]
    if options.head_start is HeadStart.identity and image_width != text_width:
        raise NcauditError(
            f"--head-start identity on image embeddings {image_width} wide and text embeddings {text_width} wide",
            fix="give --head-start cca, which needs no shared space",
        )
    if options.head_start is HeadStart.identity:
        return HeadStart.identity
    if image_width != text_width:
        return HeadStart.cca
    return HeadStart.identity if embedded.model or _looks_shared(sample) else HeadStart.cca


def _looks_shared(sample: Batch) -> bool:
    unit = torch.nn.functional.normalize
    pairs = Pairs(unit(sample.image, dim=1), unit(sample.text, dim=1), sample.photo, sample.caption, [])
    return shares_space(pairs, Align.auto)


def _heads(start: HeadStart, sample: Batch, dims: int | None, hidden: int | None) -> Heads:
    width = sample.image.shape[1]
    if start is HeadStart.identity:
        _require_dims(dims, width, dims in (None, width), "the identity keeps their width", "--head-start cca")
        return identity_start(width, hidden=hidden)
    heads = cca_start(sample.image, sample.text, sample.label, dims=dims or CCA_DIMS, hidden=hidden)
    _require_dims(dims, heads.dims, dims in (None, heads.dims), "they have no more in common", "a smaller --dims")
    return heads


def _require_dims(dims: int | None, found: int, fits: bool, why: str, instead: str) -> None:
    if not fits:
        raise NcauditError(
            f"--dims is {dims}, but these embeddings give {found}: {why}", fix=f"leave out --dims, or give {instead}"
        )

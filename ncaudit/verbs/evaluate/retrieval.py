"""`eval retrieval`: how good a matcher retrieves captions by images and images by captions, by pair and by class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ncaudit.core.device import pick_device
from ncaudit.core.metrics.retrieval import RetrievalMetrics, retrieval_metrics
from ncaudit.engines.local import Accounting
from ncaudit.engines.pace import computing
from ncaudit.errors import BadTable
from ncaudit.matchers.heads.projected_tables import projected, training_notes
from ncaudit.options import EvalRetrievalOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.shards.dataset.class_labels import require_class_column
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.readers import open_shard
from ncaudit.shards.tables.embeddings import EmbeddingTable, check_tables_agree, open_embeddings
from ncaudit.verbs.evaluate.class_retrieval import ClassRetrievals, class_retrievals


@dataclass(frozen=True, kw_only=True, repr=False)
class RetrievalResult(
    Readable, first=("metrics.i2t_r1", "metrics.t2i_r1", "metrics.rsum", "metrics.images", "metrics.captions")
):
    """Recalls in percent, and which rows they are about. Failed rows are left out and counted."""

    metrics: RetrievalMetrics
    accounting: Accounting
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, repr=False)
class LabelledRetrievalResult(RetrievalResult):
    """The recalls, and how far up the items of a query's own classes stand."""

    by_class: ClassRetrievals


def eval_retrieval(options: EvalRetrievalOptions, progress: Progress = SILENT) -> RetrievalResult:
    """Recall of captions by images and of images by captions, over all ok rows of the embedding tables.

    Rows with the same image_hash are one image with several captions, each of which is right. With a label column the
    result is a `LabelledRetrievalResult`: mean average precision too, over the rows that have a class, whatever pair
    they are of; the query's own pair stays in the gallery, as it is of the other modality (`class_retrievals`).
    Raises BadTable when the tables do not belong together, do not fit the heads, share no space or hold no ok row, or
    when the label column is missing, holds no class, or is of a type that holds none.
    """
    with computing(options.threads):
        return _eval_retrieval(options, progress)


def _eval_retrieval(options: EvalRetrievalOptions, progress: Progress) -> RetrievalResult:
    device = pick_device(options.device)
    shards = find_shards(options.embeddings, options.features, options.max_row_bytes)
    opened = [_open(shard, options.label_column) for shard in shards]
    check_tables_agree(opened)
    tables = projected(opened, options.model, device)
    _require_shared_space(tables)
    progress.job("eval retrieval", {"read the embeddings": 1.0, "rank": 0.0})
    progress.stage("read the embeddings", sum(table.rows for table in tables))
    photos = _Photos()
    for table in tables:
        photos.add(table, progress)
    if not photos.captions:
        raise BadTable("no row has a usable pair of embeddings", fix="see the status column of the embedding tables")
    progress.stage("rank", None)
    image, text, photo = (part.to(device) for part in photos.tensors())
    result = RetrievalResult(
        metrics=retrieval_metrics(image, text, photo),
        accounting=Accounting(len(tables), 0, (), dict(photos.statuses)),
        notes=tuple(training_notes(tables)),
    )
    if options.label_column is None:
        return result
    found = class_retrievals(image, text, photo, photos.classes, column=options.label_column, k=options.map_at)
    return LabelledRetrievalResult(**vars(result), by_class=found)


def _open(shard: Shard, label_column: str | None) -> EmbeddingTable:
    if label_column is None:
        return open_embeddings(shard, columns=[])
    require_class_column(shard.path, open_shard(shard).schema, label_column)
    table = open_embeddings(shard, columns=[label_column])
    if not table.carried_from:
        raise BadTable(
            f"{shard.path}: column {label_column} names the pairs, and no classes", fix="give another --label-column"
        )
    return table


class _Photos:
    """Every caption, and every photo once."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.captions: list[npt.NDArray[np.float32]] = []
        self.classes: list[tuple[str, pa.Array]] = []  # of the captions, where a label column is carried
        self._images: list[npt.NDArray[np.float32]] = []
        self._photo_of_caption: list[npt.NDArray[np.int64]] = []
        self._number: dict[int, int] = {}  # of each photo, in the order they are met

    def add(self, table: EmbeddingTable, progress: Progress) -> None:
        for batch in table.batches():
            self.statuses.update(batch.status)
            progress.advance(len(batch), len(batch) - int(batch.ok.sum()))
            if not batch.ok.any():
                continue
            known = len(self._number)
            numbers = np.array([self._number.setdefault(i, len(self._number)) for i in batch.image_id.tolist()])
            new, first = np.unique(numbers, return_index=True)
            self._images.append(batch.image[first[new >= known]])
            self._photo_of_caption.append(numbers)
            self.captions.append(batch.text)
            of_ok = (column.filter(pa.array(batch.ok)) for column in batch.carried.columns)
            self.classes += [(table.shard.path, column) for column in of_ok]

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        parts = (self._images, self.captions, self._photo_of_caption)
        image, text, photo = (torch.from_numpy(np.concatenate(part)) for part in parts)
        return image, text, photo


def _require_shared_space(tables: Sequence[EmbeddingTable]) -> None:
    for table in tables:
        if table.image_dims and table.text_dims and table.image_dims != table.text_dims:
            raise BadTable(
                f"{table.shard.path} has images of {table.image_dims} and captions of {table.text_dims} dimensions: "
                "they share no space, so neither can retrieve the other",
                fix="embed with a model whose two encoders are aligned, such as any open_clip model",
            )

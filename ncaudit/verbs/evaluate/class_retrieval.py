"""Classes of the photos and captions that `eval retrieval` ranks, and the mean average precision of both directions.

Knows class columns, photo numbers and the metric; nothing of tables' embeddings or of Typer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from ncaudit.core.metrics.mean_average_precision import NO_CLASS, ClassRetrieval, mean_average_precision
from ncaudit.errors import BadTable
from ncaudit.shards.dataset.class_labels import Classes, ClassLabels, classes_among

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassRetrievals:
    """Mean average precision both ways, and which rows it is about. An item is relevant when it shares any class."""

    label_column: str
    classes: int
    unlabelled: int  # ok rows without a class: neither asked about nor ranked
    image_to_text: ClassRetrieval
    text_to_image: ClassRetrieval


def class_retrievals(
    image: Tensor, text: Tensor, photo: Tensor, columns: Sequence[tuple[str, pa.Array]], *, column: str, k: int
) -> ClassRetrievals:
    """Every photo with a class ranks all captions with one, and every such caption ranks all such photos.

    image: (photos, d), text: (captions, d) float32 unit rows; photo: (captions,) the photo of each caption. columns:
    the classes of the captions in order, in any number of parts, each with the path of the table that it is from. A
    photo in several rows is one query and one item, and has the classes of all of them. The query's own pair stays in
    the gallery: it is of the other modality.
    Raises BadTable when no row has a class, or text and numbers are mixed.
    """
    classes = Classes(classes_among(columns, column))
    if not len(classes):
        where = columns[0][0]
        raise BadTable(f"{where}: no ok row has a class in column {column}", fix="give another --label-column")
    row, code = _pairs([classes.read(part) for _, part in columns])
    labelled = np.unique(row)
    owner = photo.cpu().numpy()
    photos = np.unique(owner[labelled])
    text_classes = _padded(row, code, labelled)
    image_classes = _padded(owner[row], code, photos)
    asked, kept = (torch.from_numpy(rows).to(image.device) for rows in (photos, labelled))
    shown, told = image[asked], text[kept]
    of_image, of_text = image_classes.to(image.device), text_classes.to(image.device)
    return ClassRetrievals(
        label_column=column,
        classes=len(classes),
        unlabelled=len(text) - len(labelled),
        image_to_text=mean_average_precision(shown, told, of_image, of_text, k=k),
        text_to_image=mean_average_precision(told, shown, of_text, of_image, k=k),
    )


def _pairs(parts: Sequence[ClassLabels]) -> tuple[Ints, Ints]:
    """Every (row, class) over all parts, rows counted through: (m,) both."""
    firsts = np.cumsum([0, *(len(part) for part in parts)])
    rows = [
        first + np.repeat(np.arange(len(part)), np.diff(part.starts))
        for first, part in zip(firsts[:-1], parts, strict=True)
    ]
    return np.concatenate(rows), np.concatenate([part.codes for part in parts]).astype(np.int64)


def _padded(item: Ints, code: Ints, items: Ints) -> Tensor:
    """The distinct classes of each of `items`, ascending, filled up with NO_CLASS: (items, most classes of one)."""
    pair = np.unique(np.stack([item, code]), axis=1)
    start = np.searchsorted(pair[0], items)
    place = np.arange(pair.shape[1]) - np.repeat(start, np.diff(np.append(start, pair.shape[1])))
    table = np.full((len(items), int(place.max()) + 1), NO_CLASS, dtype=np.int64)
    table[np.searchsorted(items, pair[0]), place] = pair[1]
    return torch.from_numpy(table)

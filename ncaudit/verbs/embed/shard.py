"""One shard to one embedding table: windows of rows, each image and caption encoded once, everything overlapping.

Knows rows, decoding, the encoder and the table's schema; nothing of other shards, of resuming or of options.
While the model runs on one window, a thread reads the next, worker processes decode it, and a thread writes the last.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import islice

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncaudit.core.parallel import in_order
from ncaudit.core.transfers import Fetched, one_behind, staged
from ncaudit.encoders.decode_pool import DecodePool, Pending
from ncaudit.encoders.images import Decoded
from ncaudit.encoders.open_clip import Encoder
from ncaudit.schema import IMAGE_HASH_BYTES, OK, embedding_schema
from ncaudit.shards.columns import Columns
from ncaudit.shards.dataset.rows import Rows, carried_fields, read_rows
from ncaudit.shards.files.locations import MIB
from ncaudit.shards.files.shard import Shard
from ncaudit.shards.overlap import ahead, behind
from ncaudit.shards.readers import ShardFile
from ncaudit.verbs.embed.files import Sink

WINDOW_ROWS = 1024
WINDOW_PIXEL_BYTES = 128 * MIB  # decoded images of one window; two windows are in memory at a time
BATCHES_AT_ONCE = 8  # on a CPU whose threads have time for so many
REMEMBERED = 16_384  # images, and captions, that are not encoded again when they return: some 20 to 40 MiB


@dataclass
class Content:
    """What one distinct image or caption came to. Made when it is first met, filled in when it is encoded."""

    row: NDArray[np.float16] | None = None  # unit row
    status: str | None = None  # None while nothing is wrong
    detail: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Window:
    """Pairs that were read, with their distinct images on the way through the decoder and their captions as tokens."""

    rows: Rows
    image_hashes: list[bytes | None]
    images: list[Content | None]  # one per pair; None where it has failed already
    texts: list[Content | None]
    new_images: list[Content]
    decoding: Pending
    new_texts: list[Content]
    tokens: Tensor


@dataclass
class Memory:
    """The contents met last, by the hash of their bytes; the least recently met one goes first.

    It lives as long as one shard, and only the reading thread touches it, in the order of the rows: what is encoded,
    and in which batch, is a function of the shard.
    """

    contents: OrderedDict[bytes, Content] = field(default_factory=OrderedDict)

    def meet(self, key: bytes) -> tuple[Content, bool]:
        """The content of that hash, and whether it is new."""
        known = self.contents.pop(key, None)
        content = known or Content()
        self.contents[key] = content
        if len(self.contents) > REMEMBERED:
            self.contents.popitem(last=False)
        return content, known is None


@dataclass(frozen=True)
class ShardEmbedder:
    """Everything that stays the same from shard to shard."""

    encoder: Encoder
    pool: DecodePool
    image_root: str | None
    max_pixels: int

    def run(
        self,
        shard: Shard,
        file: ShardFile,
        columns: Columns,
        table: Callable[[pa.Schema], AbstractContextManager[Sink]],
        batch_pairs: int,
        told: Callable[[int, int], None],
    ) -> Counter[str]:
        """Embed one shard. Returns how many pairs have which status.

        file: the shard, opened. table: where the rows go, opened with their schema. told: called with the rows and the
        failed pairs of every window.
        """
        identity = self.encoder.identity
        carried = carried_fields(file.schema, columns)
        schema = embedding_schema(identity.image_dims, identity.text_dims, carried)
        statuses: Counter[str] = Counter()
        windows = ahead(self._windows(shard, file, columns, batch_pairs))
        with closing(windows), table(schema) as sink, behind(sink.write) as write:
            for window in windows:
                self._encode(window, batch_pairs)
                status, detail = _verdicts(window)
                write(_batch(window, status, detail, shard.name, schema))
                statuses.update(status)
                told(len(np.unique(window.rows.row)), sum(s != OK for s in status))
        return statuses

    def window_rows(self, batch_pairs: int) -> int:
        """Rows of a window: whole batches, as many as keep the decoded images within bounds; at least one."""
        height, width = self.encoder.preprocess.size
        rows = min(WINDOW_ROWS, WINDOW_PIXEL_BYTES // (height * width * 3))
        return max(1, rows // batch_pairs) * batch_pairs

    def _windows(self, shard: Shard, file: ShardFile, columns: Columns, batch_pairs: int) -> Iterator[Window]:
        images, texts = Memory(), Memory()
        size = self.window_rows(batch_pairs)
        for rows in read_rows(shard, columns, rows=size, image_root=self.image_root, file=file):
            yield self._prepare(rows, images, texts)

    def _prepare(self, rows: Rows, images: Memory, texts: Memory) -> Window:
        hashes = [None if image is None else _hash(image) for image in rows.images]
        image_of, new_images = _meet_all(
            images, [h if s is None else None for h, s in zip(hashes, rows.status, strict=True)]
        )
        text_of, new_texts = _meet_all(texts, _caption_hashes(rows))
        encoded = [rows.images[i] or b"" for i in new_images]
        return Window(
            rows=replace(rows, images=[]),  # on their way to the decoder; not needed here any more
            image_hashes=hashes,
            images=image_of,
            texts=text_of,
            new_images=[content for i in new_images if (content := image_of[i])],
            decoding=self.pool.submit(encoded, self.encoder.preprocess, self.max_pixels),
            new_texts=[content for i in new_texts if (content := text_of[i])],
            tokens=self.encoder.tokenize([rows.captions[i] or "" for i in new_texts])
            if new_texts
            else torch.zeros(0, 1),
        )

    def _encode(self, window: Window, batch_pairs: int) -> None:
        for contents, rows in one_behind(self._begun(window, batch_pairs)):
            _fill(contents, rows.wait())

    def _begun(self, window: Window, batch_pairs: int) -> Iterator[tuple[list[Content], Fetched]]:
        """Batch by batch what is to be filled in, and the rows that it is filled with once they are there."""
        images = _decoded(window)
        batches = iter(lambda: list(islice(images, batch_pairs)), [])
        # a GPU has work enough with one batch, and memory for that
        most = BATCHES_AT_ONCE if self.encoder.device.type == "cpu" else 1
        yield from in_order(self._begin_images, batches, most)
        captions = self._caption_batches(window.tokens, batch_pairs)
        yield from in_order(lambda chosen: self._begin_captions(window, chosen), captions, most)

    def _begin_images(self, batch: Sequence[tuple[Content, Decoded]]) -> tuple[list[Content], Fetched]:
        pixels = staged([decoded.pixels for _, decoded in batch], self.encoder.device)
        return [content for content, _ in batch], self.encoder.begin_images(pixels)

    def _begin_captions(self, window: Window, chosen: Sequence[int]) -> tuple[list[Content], Fetched]:
        rows = self.encoder.begin_tokens(window.tokens[torch.tensor(chosen)])
        return [window.new_texts[i] for i in chosen], rows

    def _caption_batches(self, tokens: Tensor, batch_pairs: int) -> list[list[int]]:
        """Captions of like length together: a batch costs what its longest one costs."""
        if not len(tokens):
            return []
        order = torch.sort(self.encoder.lengths(tokens), stable=True).indices.tolist()
        return [order[i : i + batch_pairs] for i in range(0, len(order), batch_pairs)]


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=IMAGE_HASH_BYTES).digest()


def _caption_hashes(rows: Rows) -> list[bytes | None]:
    return [
        _hash(caption.encode("utf-8", "surrogatepass")) if status is None and caption is not None else None
        for caption, status in zip(rows.captions, rows.status, strict=True)
    ]


def _meet_all(memory: Memory, keys: Sequence[bytes | None]) -> tuple[list[Content | None], list[int]]:
    """The content of every pair, and the positions where one is met for the first time."""
    met = [None if key is None else memory.meet(key) for key in keys]
    return [m and m[0] for m in met], [i for i, m in enumerate(met) if m and m[1]]


def _decoded(window: Window) -> Iterator[tuple[Content, Decoded]]:
    """The new images that could be decoded; the others' contents learn why not."""
    for content, outcome in zip(window.new_images, window.decoding.results(), strict=True):
        if isinstance(outcome, Decoded):
            content.width, content.height = outcome.width, outcome.height
            yield content, outcome
        else:
            content.status, content.detail = outcome.status, outcome.detail


def _fill(contents: list[Content], rows: Tensor) -> None:
    halves = rows.numpy().astype(np.float16)
    for content, row in zip(contents, halves, strict=True):
        if np.isfinite(row).all():
            content.row = row.copy()  # a view would keep its whole batch in memory
        else:
            content.status, content.detail = "embedding_invalid", "the encoder gave a row that is zero or not finite"


def _verdicts(window: Window) -> tuple[list[str], list[str | None]]:
    """Status and detail of every pair: what was wrong with the row, else with its image, else with its caption."""
    status: list[str] = []
    detail: list[str | None] = []
    sources = zip(window.rows.status, window.rows.detail, window.images, window.texts, strict=True)
    for own, own_detail, image, text in sources:
        blamed = None if own else next((c for c in (image, text) if c and c.status), None)
        status.append(own or (blamed.status if blamed else None) or OK)
        detail.append(own_detail if own or not blamed else blamed.detail)
    return status, detail


def _batch(
    window: Window, status: list[str], detail: list[str | None], shard: str, schema: pa.Schema
) -> pa.RecordBatch:
    rows, images = window.rows, window.images
    fine = [s == OK for s in status]
    columns = {
        "pair_id": rows.pair_id,
        "shard": [shard] * len(rows),
        "row": rows.row,
        "caption_index": rows.caption_index,
        "status": status,
        "detail": detail,
        "image_embedding": _embeddings(images, fine, schema.field("image_embedding").type),
        "text_embedding": _embeddings(window.texts, fine, schema.field("text_embedding").type),
        "image_hash": window.image_hashes,
        "width": [content and content.width for content in images],
        "height": [content and content.height for content in images],
        "caption": rows.captions,
        **dict(zip(rows.carried.schema.names, rows.carried.columns, strict=True)),
    }
    arrays = [c if isinstance(c, pa.Array) else pa.array(c, schema.field(name).type) for name, c in columns.items()]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _embeddings(contents: Sequence[Content | None], fine: Sequence[bool], kind: pa.DataType) -> pa.Array:
    values = np.zeros((len(contents), kind.list_size), np.float16)  # zeros below the nulls: the same bytes every time
    for i, (content, ok) in enumerate(zip(contents, fine, strict=True)):
        if ok and content is not None and content.row is not None:
            values[i] = content.row
    missing = pa.array([not ok for ok in fine], pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=kind, mask=missing)

"""Embedding tables as heads see them: the same rows, their embeddings projected into the heads' space batch by batch.

Knows embedding tables and heads; nothing of what is done with the rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ncaudit.errors import BadTable, NcauditError
from ncaudit.matchers.heads.behind import difference, learnt_from_note, model_behind
from ncaudit.matchers.heads.projection import HEAD_DESCRIPTION, SavedHeads, load_heads
from ncaudit.shards.files.locations import is_file, join
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.tables.contents import Matrix
from ncaudit.shards.tables.embeddings import BATCH_ROWS, IMAGE, EmbeddingBatch, EmbeddingTable, Identities

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ProjectedTable(EmbeddingTable):
    """An embedding table behind heads: both sides in one space, unit rows, and a model that names the heads."""

    source: EmbeddingTable
    saved: SavedHeads
    device: torch.device
    learnt_from: bool  # whether the heads were trained on this very table

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[EmbeddingBatch]:
        """As those of the table, `rows` of them in memory; what the heads map to no direction is `embedding_invalid`.

        Photos and captions keep the numbers that they have without heads.
        """
        for batch in self.source.batches(rows):
            yield self._projected(batch)

    def side(self, name: str, ok: Mask, rows: int = BATCH_ROWS) -> Iterator[Matrix]:
        """Those of `batches`: what the heads make of some rows may depend on which others they come with."""
        for batch in self.batches(rows):
            yield batch.image if name == IMAGE else batch.text

    def identities(self, rows: int = 65_536) -> Iterator[tuple[Identities, Identities]]:
        """Those of the table: heads make no photo another one."""
        return self.source.identities(rows)

    def _projected(self, batch: EmbeddingBatch) -> EmbeddingBatch:
        heads = self.saved.heads
        if not batch.ok.any():
            empty = np.empty((0, heads.dims), dtype=np.float32)
            return replace(batch, image=empty, text=empty)
        with torch.inference_mode():
            image = heads.image(torch.from_numpy(batch.image).to(self.device))
            text = heads.text(torch.from_numpy(batch.text).to(self.device))
            usable = _has_direction(image) & _has_direction(text)
        projected = replace(batch, image=image.cpu().numpy(), text=text.cpu().numpy())
        return projected if bool(usable.all()) else _without(projected, ~usable.numpy())


def open_heads(folder: str, device: torch.device) -> SavedHeads:
    """The heads that `--model` names where embeddings are read. Raises NcauditError when it names anything else."""
    if not is_file(join(folder, HEAD_DESCRIPTION)):
        raise NcauditError(
            f"--model {folder} is no folder of heads, and nothing else applies to embeddings that are there already",
            fix="give what `ncaudit train --tune heads` wrote; with any other model, run `ncaudit embed` again",
        )
    return load_heads(folder, device)


def projected(tables: Sequence[EmbeddingTable], folder: str | None, device: torch.device) -> list[EmbeddingTable]:
    """The tables, which agree with each other, behind the heads in `folder`; as they are where it is None.

    Raises NcauditError when the folder holds no heads, and BadTable naming the difference when they were trained on
    embeddings of another model or of other widths.
    """
    if folder is None:
        return list(tables)
    saved = open_heads(folder, device)
    for table in tables:
        _check_fits(saved, folder, table)
    learnt_from = set(saved.description.get("tables", {}).values())
    return [_behind(saved, table, device, fingerprint(table.shard) in learnt_from) for table in tables]


def training_notes(tables: Sequence[EmbeddingTable]) -> list[str]:
    """What must be said of tables that their heads have learnt from."""
    seen = sum(isinstance(table, ProjectedTable) and table.learnt_from for table in tables)
    return [learnt_from_note(seen, len(tables), "tables")] if seen else []


def _behind(saved: SavedHeads, table: EmbeddingTable, device: torch.device, learnt_from: bool) -> ProjectedTable:
    model = model_behind(saved, (table.provenance or {}).get("model"))
    own = {**vars(table), "provenance": {**(table.provenance or {}), "model": model}}
    own |= {"image_dims": saved.heads.dims, "text_dims": saved.heads.dims}
    return ProjectedTable(**own, source=table, saved=saved, device=device, learnt_from=learnt_from)


def _check_fits(saved: SavedHeads, folder: str, table: EmbeddingTable) -> None:
    model = (table.provenance or {}).get("model") or {}
    if saved.weight_hash in str(model.get("heads")).split("+"):
        raise BadTable(f"{table.shard.path} has been through the heads in {folder} already", fix="leave out --model")
    if different := difference(saved, model):
        raise BadTable(
            f"the heads in {folder} do not know the model that {table.shard.path} was embedded with: {different}",
            fix="embed with the model of the heads, or train heads on these embeddings",
        )
    for what, taken, found in (
        ("image", saved.heads.image_width, table.image_dims),
        ("text", saved.heads.text_width, table.text_dims),
    ):
        if found not in (0, taken):
            raise BadTable(
                f"the heads in {folder} take {what} embeddings {taken} wide, and {table.shard.path} has {found}",
                fix="give the heads that were trained on such embeddings",
            )


def _has_direction(rows: Tensor) -> Tensor:
    """(n,) bool: unit rows; one that came out as zero, or not finite, has no length."""
    found: Tensor = rows.norm(dim=1) > 0.5
    return found.cpu()


def _without(batch: EmbeddingBatch, lost: Mask) -> EmbeddingBatch:
    """The batch, some of its ok rows no longer ok. lost: (n_ok,)."""
    ok = batch.ok.copy()
    ok[ok] = ~lost
    failed = batch.ok & ~ok
    status = ["embedding_invalid" if bad else told for told, bad in zip(batch.status, failed.tolist(), strict=True)]
    arrays = {name: getattr(batch, name)[~lost] for name in ("image", "text", "image_id", "caption_id")}
    host = None if batch.host_id is None else batch.host_id[~lost]
    return replace(batch, ok=ok, status=status, host_id=host, stratum=list(compress(batch.stratum, ~lost)), **arrays)

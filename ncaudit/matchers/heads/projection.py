"""Projection heads: a small map per side that takes frozen embeddings into one space, and the folder they are kept in.

Knows embeddings as tensors and two files; nothing of where the maps start, of training, or of who made the embeddings.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from ncaudit import own_json
from ncaudit.core.cca import coordinates
from ncaudit.errors import BadTable, NcauditError, lacks_memory
from ncaudit.shards.files.locations import join, open_file
from ncaudit.shards.files.writer import atomic_file
from ncaudit.version import written_by

HEAD_WEIGHTS, HEAD_DESCRIPTION = "heads.safetensors", "heads.json"
WROTE = "give a folder that `ncaudit train --tune heads` wrote"
_SIDE: own_json.Shape = {"width": int, "directions": (None, int), "root": bool}
_ONE: own_json.Shape = {"image": _SIDE, "text": _SIDE, "dims": int, "hidden": (None, int)}
_ORIGINS: own_json.Shape = {
    **{"model?": (None, {"name?": (None, str)}), "tables?": (None, {...: str}), "sources?": (None, [str])},
    **{"encoder_folder?": (None, str), "image_width?": int, "text_width?": int, "start?": str},
}
DESCRIPTION: own_json.Shape = {"shape": ({"members": [_ONE]}, _ONE), "description": _ORIGINS}
FIRST_SCALE = 1 / 0.07  # 1 / temperature that nobody has measured yet: CLIP's


@dataclass(frozen=True)
class Side:
    """What one side's head is fed with."""

    width: int  # of the embeddings
    directions: int | None = None  # principal ones that the map sees; None: the unit rows as they are
    root: bool = False  # the entries are non-negative: their roots are taken first


class Head(nn.Module):
    """One side: a fixed step (see `core.cca.coordinates`), a linear map, and with `hidden` a residual branch.

    The branch, linear, GELU, linear, begins at zero: with or without it, the head starts as the same function.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, side: Side, dims: int, hidden: int | None) -> None:
        super().__init__()
        self.side = side
        if side.directions is not None:
            self.register_buffer("mean", torch.zeros(side.width))
            self.register_buffer("basis", torch.eye(side.width, side.directions))
        seen = side.width if side.directions is None else side.directions
        self.linear = nn.Linear(seen, dims)
        nn.init.zeros_(self.linear.bias)
        self.first = None if hidden is None else nn.Linear(seen, hidden)
        self.last = None if hidden is None else nn.Linear(hidden, dims)
        if self.last is not None:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width) of any float type and length -> (n, dims) float32 unit rows."""
        seen = self._fixed(x.float())
        mapped = self.linear(seen)
        if self.first is not None and self.last is not None:
            mapped = mapped + self.last(gelu(self.first(seen)))
        return normalize(mapped.float(), dim=1)

    def _fixed(self, x: Tensor) -> Tensor:
        if self.side.directions is None:
            return normalize(x, dim=1)
        return coordinates(x, root=self.side.root, mean=self.mean, basis=self.basis)


class Heads(nn.Module):
    """A matcher on frozen embeddings: the cosine of `image(x)` and `text(y)` tells how well two of them correspond."""

    def __init__(self, image: Side, text: Side, *, dims: int, hidden: int | None = None) -> None:
        """dims: of the common space. hidden: width of the residual branches; None: the heads are linear."""
        super().__init__()
        self.dims, self.hidden = dims, hidden
        self.image_side, self.text_side = Head(image, dims, hidden), Head(text, dims, hidden)
        self.logit_scale = nn.Parameter(torch.tensor(FIRST_SCALE).log())

    @property
    def image_width(self) -> int:
        """Dimensions of an image embedding."""
        return self.image_side.side.width

    @property
    def text_width(self) -> int:
        """Dimensions of a text embedding."""
        return self.text_side.side.width

    def image(self, x: Tensor) -> Tensor:
        """(n, image_width) float image embeddings -> (n, dims) float32 unit rows."""
        rows: Tensor = self.image_side(x)
        return rows

    def text(self, x: Tensor) -> Tensor:
        """(n, text_width) float text embeddings -> (n, dims) float32 unit rows."""
        rows: Tensor = self.text_side(x)
        return rows

    def shape(self) -> dict[str, Any]:
        """What `of_shape` makes such heads from, as plain JSON."""
        sides = {"image": asdict(self.image_side.side), "text": asdict(self.text_side.side)}
        return {**sides, "dims": self.dims, "hidden": self.hidden}

    @classmethod
    def of_shape(cls, shape: Mapping[str, Any]) -> "Heads":
        """Heads of this shape, their weights still to be loaded."""
        return cls(Side(**shape["image"]), Side(**shape["text"]), dims=shape["dims"], hidden=shape["hidden"])


class StackedHeads(nn.Module):
    """Several heads as one: its cosine is the mean of theirs, for its rows are theirs side by side, over the root of m.

    Exact: the dot product of two such rows is the sum of the m cosines over m, and every row has length 1.
    """

    def __init__(self, members: Sequence[Heads]) -> None:
        """members: for embeddings of the same widths; they are shared, not copied."""
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def heads(self) -> list[Heads]:
        """The members, in order."""
        return [member for member in self.members if isinstance(member, Heads)]

    @property
    def dims(self) -> int:
        """Of the common space: all members' together."""
        return sum(member.dims for member in self.heads)

    @property
    def image_width(self) -> int:
        """Dimensions of an image embedding."""
        return self.heads[0].image_width

    @property
    def text_width(self) -> int:
        """Dimensions of a text embedding."""
        return self.heads[0].text_width

    def image(self, x: Tensor) -> Tensor:
        """(n, image_width) float image embeddings -> (n, dims) float32 unit rows."""
        return torch.cat([member.image(x) for member in self.heads], dim=1) / math.sqrt(len(self.members))

    def text(self, x: Tensor) -> Tensor:
        """(n, text_width) float text embeddings -> (n, dims) float32 unit rows."""
        return torch.cat([member.text(x) for member in self.heads], dim=1) / math.sqrt(len(self.members))

    def shape(self) -> dict[str, Any]:
        """What `of_shape` makes such heads from, as plain JSON."""
        return {"members": [member.shape() for member in self.heads]}


AnyHeads = Heads | StackedHeads


def of_shape(shape: Mapping[str, Any]) -> AnyHeads:
    """Heads of the shape that their `shape` gave, their weights still to be loaded."""
    if "members" in shape:
        return StackedHeads([Heads.of_shape(member) for member in shape["members"]])
    return Heads.of_shape(shape)


@dataclass(frozen=True)
class SavedHeads:
    """Heads as they were found in a folder, in eval mode."""

    heads: AnyHeads
    description: Mapping[str, Any]  # what they were trained on: `model` of the embedding tables (or None), the widths
    weight_hash: str  # SHA-256 over shape and state: heads with the same hash give the same rows


def save_head_description(heads: AnyHeads, folder: str, description: Mapping[str, Any]) -> None:
    """Everything but the weights. description: plain JSON, as `SavedHeads` gives it back."""
    told = {**written_by("train"), "shape": heads.shape(), "description": dict(description)}
    with atomic_file(join(folder, HEAD_DESCRIPTION)) as file:
        file.write((json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def save_head_weights(tensors: Mapping[str, Tensor], folder: str) -> None:
    """The state of heads, whole or not at all: a full disk or a kill leaves the file that was there."""
    with atomic_file(join(folder, HEAD_WEIGHTS)) as file:
        file.write(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def load_heads(folder: str, device: torch.device) -> SavedHeads:
    """Read what `ncaudit train --tune heads` wrote.

    Raises NcauditError when it is not there, damaged, or of two different heads.
    """
    try:
        told = own_json.read(join(folder, HEAD_DESCRIPTION), DESCRIPTION, fix=WROTE)
        with open_file(join(folder, HEAD_WEIGHTS)) as file:
            weights = {name: tensor.float() for name, tensor in load(file.read()).items()}
        heads = _filled(told["shape"], weights)
    except (BadTable, OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        if lacks_memory(error):
            raise
        kind = "" if isinstance(error, NcauditError) else f"{type(error).__name__}: "
        why = f"{kind}{(str(error).splitlines() or [''])[0]}"
        raise NcauditError(f"{folder} holds no whole heads ({why})", fix=WROTE) from error
    return SavedHeads(heads.eval().requires_grad_(False).to(device), told["description"], _hash(heads))


def _filled(shape: Mapping[str, Any], weights: Mapping[str, Tensor]) -> AnyHeads:
    """Heads with these weights. A shape takes no memory, however large it says they are; the weights must have it."""
    with torch.device("meta"):
        heads = of_shape(shape)
    heads.load_state_dict(weights, assign=True)
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise ValueError("a weight is not finite")
    return heads


def _hash(heads: AnyHeads) -> str:
    digest = hashlib.sha256(json.dumps(heads.shape(), sort_keys=True).encode())
    for name, tensor in sorted(heads.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()

"""Which weights learn when only the last blocks of both towers do: `--tune last:N`.

Knows where open_clip's towers keep their blocks; nothing of optimisers or batches. What is frozen has no gradient, and
what lies before the first learning block no graph either: memory and time of the backward pass go with N.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ncaudit.errors import NcauditError

# open_clip's own ViT and text towers; ViTs of timm; ConvNeXt, FastViT and other towers of timm that come in stages
CONTAINERS = ("transformer.resblocks", "blocks", "trunk.blocks", "stages", "trunk.stages", "trunk.layers")
STAGES = ("layer1", "layer2", "layer3", "layer4")  # ResNets of open_clip and of timm
PROJECTIONS = ("proj", "text_projection")  # bare weights of a tower, used after its blocks


def learn_last_blocks(model: nn.Module, count: int) -> None:
    """Freeze all but the last `count` blocks of each tower, what follows them, and the temperature.

    model: an open_clip model. count: 1 or more; a ResNet or ConvNeXt counts in stages, and a tower that has fewer
    learns in all of its blocks. What follows: norms, pooling and projections; token and position embeddings stay.
    Raises NcauditError for a tower whose blocks cannot be found, naming its class, and when no tower has `count`.
    """
    towers = _towers(model)
    found = {name: _blocks(name, tower) for name, tower in towers.items()}
    if count > (most := max(len(blocks) for _, blocks in found.values())):
        raise NcauditError(
            f"last:{count} asks for more blocks than any tower has ({_counts(found)})",
            fix=f"give last:1 to last:{most}, or leave --tune out: then everything learns",
        )
    model.requires_grad_(False)
    for name, tower in towers.items():
        path, blocks = found[name]
        for part in (*blocks[-count:], *_following(tower, path)):
            part.requires_grad_(True)
        for weight in _projections(tower):
            weight.requires_grad_(True)
    scale: Any = model.logit_scale
    scale.requires_grad_(True)


def _towers(model: Any) -> dict[str, nn.Module]:
    return {"image": model.visual, "text": getattr(model, "text", model)}  # CLIP spreads its text tower over itself


Found = tuple[tuple[str, ...], list[nn.Module]]


def _blocks(name: str, tower: nn.Module) -> Found:
    """Where the last block is held, as a path of child names, and the blocks in order."""
    for path in CONTAINERS:
        container = _at(tower, path)
        if isinstance(container, (nn.ModuleList, nn.Sequential)) and len(container):
            return tuple(path.split(".")), list(container)
    for holder in ("", "trunk."):
        stages = [_at(tower, holder + stage) for stage in STAGES]
        if all(isinstance(stage, nn.Module) for stage in stages):
            return tuple((holder + STAGES[-1]).split(".")), [stage for stage in stages if stage is not None]
    raise NcauditError(
        f"the blocks of the {name} tower cannot be found: {_class(tower)} keeps them where last:N does not look",
        fix="leave --tune out: then everything learns; or give another --model",
    )


def _at(tower: nn.Module, path: str) -> nn.Module | None:
    part: Any = tower
    for name in path.split("."):
        part = getattr(part, name, None)
    return part if isinstance(part, nn.Module) else None


def _following(tower: nn.Module, path: Sequence[str]) -> list[nn.Module]:
    """Modules that come after the blocks, on every level of their path.

    Towers register their parts in the order in which they are used; CLIP alone names its token embedding late.
    """
    following: list[nn.Module] = []
    for name in path:
        children = dict(tower.named_children())
        later = list(children)[list(children).index(name) + 1 :]
        following += [children[at] for at in later if not isinstance(children[at], nn.Embedding)]
        tower = children[name]
    return following


def _projections(tower: nn.Module) -> list[Tensor]:
    return [value for name, value in tower.named_parameters(recurse=False) if name in PROJECTIONS]


def _class(tower: nn.Module) -> str:
    trunk = getattr(tower, "trunk", None)
    return type(tower).__name__ + (f" around {type(trunk).__name__}" if trunk is not None else "")


def _counts(found: dict[str, Found]) -> str:
    return ", ".join(f"{name}: {len(blocks)}" for name, (_, blocks) in found.items())

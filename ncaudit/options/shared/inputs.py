"""Options that commands share: which model, which dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from ncaudit.options.shared.checks import choose, require_at_least
from ncaudit.options.shared.effect import Unread
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes

OWN_WEIGHTS = ("hf-hub:", "local-dir:")
USUAL_WEIGHTS = "laion2b_s34b_b79k"


class Precision(StrEnum):
    """What the encoders compute in: `auto` takes bfloat16 where the hardware is faster with it."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which encoder, and how it computes: shared by every command that loads one."""

    model: str = "ViT-B-32"  # an open_clip name, hf-hub:NAME, local-dir:PATH, or a matcher folder that `train` wrote
    # open_clip's tag, or a weights file; None: USUAL_WEIGHTS, and for hf-hub: and model folders their own
    pretrained: str | None = None
    device: str = "auto"
    precision: Precision = Precision.auto

    def __post_init__(self) -> None:
        choose(self, precision=Precision)

    def unread_of_model(self) -> Iterator[Unread]:
        """What the kind of model makes needless."""
        if self.model.startswith(OWN_WEIGHTS):
            yield Unread(("pretrained",), f"names weights, and --model {self.model} has its own")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the pairs are in the user's dataset: columns are found by themselves unless named."""

    image_column: str | None = None
    caption_column: str | None = None
    caption_lines: bool = False  # each line of a caption is a caption of its own
    key: str | None = None
    # folder that relative image paths start from; default: the shard's own, for standard input the working folder
    image_root: str | None = None
    max_image_pixels: int = 100_000_000  # refused before decoding: a bomb of a few KiB can ask for GiBs
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked

    def __post_init__(self) -> None:
        require_at_least("--max-image-pixels", self.max_image_pixels, 1)
        require_row_bytes(self.max_row_bytes)

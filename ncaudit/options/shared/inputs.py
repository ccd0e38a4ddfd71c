"""Options that commands share: which model, which dataset."""

from collections.abc import Iterator
from dataclasses import dataclass

from ncaudit.options.shared import common
from ncaudit.options.shared.about import Options
from ncaudit.options.shared.checks import choose, require_at_least
from ncaudit.options.shared.common import Precision
from ncaudit.options.shared.effect import Unread
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes

OWN_WEIGHTS = ("hf-hub:", "local-dir:")


@dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Which encoder, and how it computes: shared by every command that loads one."""

    model: common.Model = "ViT-B-32"
    pretrained: common.Pretrained = None
    device: common.Device = "auto"
    precision: common.PrecisionOfModel = Precision.auto

    def __post_init__(self) -> None:
        choose(self, precision=Precision)

    def unread_of_model(self) -> Iterator[Unread]:
        """What the kind of model makes needless."""
        if self.model.startswith(OWN_WEIGHTS):
            yield Unread(("pretrained",), f"names weights, and --model {self.model} has its own")


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Where the pairs are in the user's dataset: columns are found by themselves unless named."""

    image_column: common.ImageColumn = None
    caption_column: common.CaptionColumn = None
    caption_lines: common.CaptionLines = False
    key: common.Key = None
    image_root: common.ImageRoot = None
    max_image_pixels: common.MaxImagePixels = 100_000_000  # a bomb of a few KiB can ask for GiBs
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES

    def __post_init__(self) -> None:
        require_at_least("--max-image-pixels", self.max_image_pixels, 1)
        require_row_bytes(self.max_row_bytes)

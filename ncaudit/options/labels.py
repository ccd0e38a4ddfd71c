"""Options of `labels`."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.checks import choose, require_at_least, require_share, settle_places
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.streams import STREAM, StreamFormat, is_folder, streams_csv


@dataclass(frozen=True, kw_only=True)
class LabelsOptions(EngineOptions):
    """`ncaudit labels`: embedding tables with a class column to label tables."""

    LACKS: ClassVar[Mapping[str, tuple[str, str]]] = {
        "--slice": ("it judges all pairs against each other, a part alone otherwise", "leave it out; see --engine ray")
    }

    embeddings: Annotated[
        Sequence[str],
        About(
            "Embedding tables, from `ncaudit embed` or any with both embeddings; or - for a stream on standard input.",
            Panel.input, metavar="EMBEDDINGS", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    out: common.OutFolderFileStream
    label_column: Annotated[
        str,
        About(
            "Column with the classes: text, whole numbers, or lists of them. A null is no label.",
            Panel.classes, metavar="COLUMN",
        ),
    ]  # fmt: skip
    features: common.Features = None
    k: Annotated[
        int | None,
        About(
            "Neighbours that vote in each modality, 1 or more. By default 10, 20, 30 or 50, chosen from the data.",
            Panel.classes, metavar="COUNT",
        ),
    ] = None  # fmt: skip
    model: common.Heads = None
    seed: common.Seed = 0
    device: common.Device = "auto"
    threads: common.Threads = None
    redo: Annotated[bool, About("Judge and write every shard again that labels itself has written.", Panel.output)] = (
        False
    )
    format: common.Format = StreamFormat.arrow
    csv_safe: common.CsvSafe = False
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    max_failed: common.MaxFailed = 1.0
    overwrite: common.Overwrite = False
    prune: common.Prune = False

    def __post_init__(self) -> None:
        choose(self, format=StreamFormat)
        settle_places(self, "out")
        require_at_least("--k", self.k, 1)
        require_at_least("--threads", self.threads, 1)
        require_share("--max-failed", self.max_failed, zero=True)
        require_row_bytes(self.max_row_bytes)
        self.check_engine()
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out)
        yield from self.unread_of_engine(self.out)
        yield from of_streams(self.out, stream=self.out == STREAM, csv=streams_csv(self.out, self.format))
        if not is_folder(self.out):
            yield Unread(("redo",), f"redoes what is finished in a folder, and --out {self.out} is written anew anyway")

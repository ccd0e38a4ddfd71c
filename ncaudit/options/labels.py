"""Options of `labels`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ncaudit.options.shared.checks import choose, require_at_least, require_local, require_share
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.streams import STREAM, StreamFormat, is_folder, streams_csv


@dataclass(frozen=True, kw_only=True)
class LabelsOptions:
    """`ncaudit labels`: embedding tables with a class column to label tables."""

    embeddings: Sequence[str]
    out: str  # a folder, a NAME.parquet, or - for standard output
    label_column: str  # classes as text, whole numbers, or lists of them; null: unlabelled
    features: str | None = None  # as in ScoreOptions
    k: int | None = None  # neighbours that vote in each modality; None: 10, 20, 30 or 50, by the data
    model: str | None = None  # a folder of heads, that all embeddings go through first
    seed: int = 0
    device: str = "auto"
    redo: bool = False
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked
    max_failed: float = 1.0
    overwrite: bool = False  # replace files of others that are in the way, too; never an input
    prune: bool = False  # remove tables that this command wrote and whose input is gone

    def __post_init__(self) -> None:
        choose(self, format=StreamFormat)
        require_local("--out", self.out)
        require_at_least("--k", self.k, 1)
        require_share("--max-failed", self.max_failed, zero=True)
        require_row_bytes(self.max_row_bytes)
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out)
        yield from of_streams(self.out, stream=self.out == STREAM, csv=streams_csv(self.out, self.format))
        if not is_folder(self.out):
            yield Unread(("redo",), f"redoes what is finished in a folder, and --out {self.out} is written anew anyway")

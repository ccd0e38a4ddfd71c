"""Options of `embed`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncaudit.options.shared.checks import choose, require, require_at_least, require_local, require_share
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.inputs import DataOptions, ModelOptions
from ncaudit.options.shared.streams import STREAM, StreamFormat, streams_csv


class Layout(StrEnum):
    """How `embed` writes embeddings to a folder."""

    parquet = "parquet"  # a table per shard, with every row
    clip_retrieval = "clip-retrieval"  # img_emb/, text_emb/ and metadata/: the rows that have embeddings


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(ModelOptions, DataOptions):
    """`ncaudit embed`: raw shards to embedding tables."""

    sources: Sequence[str]  # or - for a stream on standard input
    out: str  # a folder, or - for standard output
    layout: Layout = Layout.parquet
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula
    devices: Sequence[str] | None = None  # names or "A,B": one process each; "all": every GPU; None: here, on `device`
    columns: Sequence[str] | None = None  # light columns to carry; None: all that are not images or nested data
    batch_pairs: int | None = None  # None: found once from the model and the device, and recorded in _run.json
    workers: int | None = None  # decoding processes; None: one per core, at most 16; 0: decode in this process
    max_failed: float = 1.0  # share of rows
    overwrite: bool = False  # replace files of others that are in the way, too; never an input
    prune: bool = False  # remove tables that this command wrote and whose input is gone

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        DataOptions.__post_init__(self)
        require_local("--out", self.out)
        require_at_least("--batch-pairs", self.batch_pairs, 1)
        require_at_least("--workers", self.workers, 0)
        require_share("--max-failed", self.max_failed, zero=True)
        choose(self, format=StreamFormat, layout=Layout)
        if isinstance(self.devices, str):
            object.__setattr__(self, "devices", tuple(self.devices.split(",")))
        refuse_changed(self)
        _check_devices(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out)
        yield from self.unread_of_model()
        yield from of_streams(self.out, stream=self.out == STREAM, csv=streams_csv(self.out, self.format))
        if self.out == STREAM:
            yield Unread(("layout",), f"{self.layout} is of files, and --out - is one stream", "give a folder")
            yield Unread(
                ("devices",), "writes a table per shard, and --out - is one stream",
                "give --device, or a folder with --out",
            )  # fmt: skip
        if self.devices is not None:
            yield Unread(("device",), "and --devices both say where to compute", "give one of them")


def _check_devices(options: EmbedOptions) -> None:
    if options.devices is None:
        return
    wanted = "give names with commas between, such as cuda:0,cuda:1, or all"
    require(bool(options.devices) and all(options.devices), "--devices has an empty name", wanted)
    alone = "all" not in options.devices or len(options.devices) == 1
    require(alone, "--devices names all and others", wanted)

"""Options of `embed`."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.checks import choose, require, require_at_least, require_share, settle_places
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.engines import EngineKind, EngineOptions
from ncaudit.options.shared.inputs import DataOptions, ModelOptions
from ncaudit.options.shared.slices import SliceOptions
from ncaudit.options.shared.streams import STREAM, StreamFormat, streams_csv


class Layout(StrEnum):
    """How `embed` writes embeddings to a folder."""

    parquet = "parquet"  # a table per shard, with every row
    clip_retrieval = "clip-retrieval"  # img_emb/, text_emb/ and metadata/: the rows that have embeddings


@dataclass(frozen=True, kw_only=True)
class EmbedOptions(ModelOptions, DataOptions, SliceOptions, EngineOptions):
    """`ncaudit embed`: raw shards to embedding tables."""

    sources: common.Dataset
    out: Annotated[
        str,
        About(
            "A folder, here or in a store (s3://…): one table per shard, under the shard's own path (see --layout). Or "
            "- for standard output.",
            Panel.output, metavar="PATH", is_path=True,
        ),
    ]  # fmt: skip
    layout: Annotated[
        Layout,
        About(
            "parquet: a table per shard with every row in it. clip-retrieval: img_emb/, text_emb/ and metadata/ with a "
            "partition per shard, for autofaiss, embedding-reader and clip-back; rows without embedding go to failed/.",
            Panel.output, rare=True, metavar="NAME",
        ),
    ] = Layout.parquet  # fmt: skip
    format: common.Format = StreamFormat.arrow
    csv_safe: common.CsvSafe = False
    devices: common.Devices = None
    columns: common.Columns = None
    batch_pairs: common.BatchPairs = None
    workers: common.Workers = None
    threads: common.Threads = None
    max_failed: common.MaxFailed = 1.0
    overwrite: common.Overwrite = False
    prune: common.Prune = False

    def __post_init__(self) -> None:
        ModelOptions.__post_init__(self)
        DataOptions.__post_init__(self)
        settle_places(self, "out")
        require_at_least("--batch-pairs", self.batch_pairs, 1)
        require_at_least("--workers", self.workers, 0)
        require_at_least("--threads", self.threads, 1)
        require_share("--max-failed", self.max_failed, zero=True)
        choose(self, format=StreamFormat, layout=Layout)
        if isinstance(self.devices, str):
            object.__setattr__(self, "devices", tuple(self.devices.split(",")))
        self.check_engine()
        refuse_changed(self)
        _ = self.part
        _check_devices(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out)
        yield from self.unread_of_slices(self.out)
        yield from self.unread_of_engine(self.out)
        if self.engine is EngineKind.ray:
            yield Unread(("devices",), "is of one machine, and --engine is ray", "give --actors and --gpus-per-actor")
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

"""Options of `filter`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from ncaudit.nearest import one_of
from ncaudit.options.shared import common
from ncaudit.options.shared.about import About, Panel
from ncaudit.options.shared.checks import choose, compatible, require, require_at_least, require_share, settle_places
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
from ncaudit.options.shared.slices import SliceOptions
from ncaudit.options.shared.streams import STREAM, TABLE_SUFFIX, StreamFormat, streams_csv


class FilterForm(StrEnum):
    """What `filter` writes: the rows themselves, or only which ones they are."""

    rows = "rows"
    datacomp_uids = "datacomp-uids"
    ids = "ids"
    weights = "weights"


class Verdict(StrEnum):
    """What `score` calls a pair."""

    clean = "clean"
    unsure = "unsure"
    noisy = "noisy"


ROW_RULES = ("min_soft_label", "verdict", "where")
RANKING_RULES = ("keep_share", "kept_precision")


@dataclass(frozen=True, kw_only=True)
class FilterOptions(SliceOptions, EngineOptions):
    """`ncaudit filter`: the pairs worth keeping. A row is kept when every rule says so; ranking rules come last."""

    UNASKED = ("gpus_per_actor",)

    scores: Annotated[
        Sequence[str],
        About(
            "Score tables, from `ncaudit score`; or - for a stream on standard input.",
            Panel.input, metavar="SCORES", is_path=True, positional=True,
        ),
    ]  # fmt: skip
    out: Annotated[
        str,
        About(
            "Where the kept rows go: a folder (one file per shard), NAME.parquet (one table), or - for standard "
            "output.",
            Panel.output, metavar="PATH", is_path=True,
        ),
    ]  # fmt: skip
    data: Annotated[
        Sequence[str] | None,
        About(
            "The dataset that was scored: its rows are written, as they are, instead of the score tables'.",
            Panel.input, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    min_soft_label: Annotated[
        float | None, About("Keep pairs with at least this soft label, 0 to 1.", Panel.judged, metavar="SHARE")
    ] = None
    verdict: Annotated[
        Sequence[str] | None,
        About(
            "Keep pairs with this verdict: clean, unsure or noisy. Several: any of them.",
            Panel.judged, metavar="NAME", of_words=Verdict,
        ),
    ] = None  # fmt: skip
    where: Annotated[
        str | None,
        About(
            "Keep pairs for which this holds, e.g. \"width >= 200 and lang in ('en', 'de') and url is not null\".",
            Panel.judged, metavar="RULE",
        ),
    ] = None  # fmt: skip
    keep_share: Annotated[
        float | None,
        About(
            "Keep this share of the ok pairs that pass the rules above, the best scores first; above 0 to 1.",
            Panel.judged, metavar="SHARE",
        ),
    ] = None  # fmt: skip
    keep_share_by: Annotated[
        str | None,
        About(
            "Keep that share of each value of this column, rounded down, so that rare values do not lose to common "
            "ones.",
            Panel.judged, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    kept_precision: Annotated[
        float | None,
        About(
            "Keep the most pairs whose mean soft label is at least this, above 0 to 1: their expected precision, as "
            "good as the labels are. Instead of --keep-share.",
            Panel.judged, metavar="SHARE",
        ),
    ] = None  # fmt: skip
    write_as: Annotated[
        FilterForm,
        About(
            "What is written: rows; datacomp-uids, a sorted NAME.npy of uids; ids, a text file with one per line; or "
            "weights, a NAME.parquet with key and soft label.",
            Panel.output, metavar="NAME",
        ),
    ] = FilterForm.rows  # fmt: skip
    key: Annotated[
        str | None,
        About(
            "With --data: its column that holds the pair_ids, where it is not the file that was scored. With --as: the "
            "column that is written; by default pair_id, for datacomp-uids uid.",
            Panel.input, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    repeat_by_weight: Annotated[
        str | None,
        About(
            "Column of whole numbers, for --as datacomp-uids: each uid is written that many times.",
            Panel.output, rare=True, metavar="COLUMN",
        ),
    ] = None  # fmt: skip
    dropped: Annotated[
        str | None,
        About(
            "Write what is dropped here, with the reason: a folder, or NAME.parquet if --out is one file.",
            Panel.output, metavar="PATH", is_path=True,
        ),
    ] = None  # fmt: skip
    format: common.Format = StreamFormat.arrow
    csv_safe: common.CsvSafe = False
    max_row_bytes: common.MaxRowBytes = MAX_ROW_BYTES
    threads: common.Threads = None
    overwrite: common.Overwrite = False

    def __post_init__(self) -> None:
        choose(self, write_as=FilterForm, format=StreamFormat)
        settle_places(self, "out", "dropped")
        require_row_bytes(self.max_row_bytes)
        require_at_least("--threads", self.threads, 1)
        for name in ("min_soft_label", "keep_share", "kept_precision"):
            if getattr(self, name) is not None:
                require_share(f"--{name.replace('_', '-')}", getattr(self, name), zero=name == "min_soft_label")
        for word in self.verdict or ():
            require(
                word in list(Verdict),
                f"--verdict is {word}",
                one_of(word, Verdict),
            )
        _check_rules(self)
        _check_filter_places(self)
        self.check_engine()
        refuse_changed(self)
        _ = self.part

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out if self.dropped is None else self.dropped)
        yield from self.unread_of_engine("" if not self.one_output else "-")
        if self.one_output:
            yield Unread(("slice",), f"writes a file per shard, and --out {self.out} is one for all", "give a folder")
        rows = self.write_as is FilterForm.rows
        yield from of_streams(
            self.out, stream=rows and self.out == STREAM, csv=rows and streams_csv(self.out, self.format)
        )
        if self.keep_share is None:
            yield Unread(
                ("keep_share_by",), "says of what a share is kept, but not which share", "give --keep-share too"
            )
        if self.write_as is not FilterForm.datacomp_uids:
            yield Unread(("repeat_by_weight",), "is for --as datacomp-uids")
        if not self.data and rows:
            yield Unread(("key",), "joins --data to the scores, and there is no --data")

    @property
    def by_label(self) -> bool:
        """Whether a rule asks for soft labels or verdicts."""
        return any(asked is not None for asked in (self.min_soft_label, self.verdict, self.kept_precision))

    @property
    def one_output(self) -> bool:
        """Whether all rows go to one file or stream, not to one file per shard."""
        return self.write_as is not FilterForm.rows or self.out == STREAM or self.out.endswith(TABLE_SUFFIX)


def _check_rules(options: FilterOptions) -> None:
    asked = any(getattr(options, name) not in (None, ()) for name in ROW_RULES + RANKING_RULES)
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in ROW_RULES + RANKING_RULES)
    compatible(asked, "no rule says which rows to keep", f"give one of {flags}")
    compatible(
        options.keep_share is None or options.kept_precision is None,
        "--keep-share and --kept-precision both say how many rows are kept", "give one of them",
    )  # fmt: skip


def _check_filter_places(options: FilterOptions) -> None:
    form, streams = options.write_as, STREAM in options.scores
    compatible(not streams or len(options.scores) == 1, "- is one of several inputs", "give it alone")
    if options.data:
        compatible(not streams, "--data is joined to score tables in files", "give their folder instead of -")
        compatible(form is FilterForm.rows, f"--as {form} is made from the score tables", "leave out --data")
        compatible(not options.one_output, "--data writes one file per shard", "give a folder with --out")
    suffix = {FilterForm.weights: TABLE_SUFFIX, FilterForm.datacomp_uids: ".npy"}.get(form, "")
    require(options.out.endswith(suffix), f"--as {form} with --out {options.out}", f"give a NAME{suffix}")
    compatible(
        not streams or options.one_output, "one stream has one output", f"give NAME{TABLE_SUFFIX} or - with --out"
    )
    _check_dropped(options)


def _check_dropped(options: FilterOptions) -> None:
    if options.dropped is None:
        return
    compatible(options.dropped != STREAM, "--dropped - is not offered", f"give a folder or NAME{TABLE_SUFFIX}")
    one_file = options.dropped.endswith(TABLE_SUFFIX)
    wanted = f"NAME{TABLE_SUFFIX}, as --out is one file" if options.one_output else "a folder, as --out is one"
    compatible(one_file == options.one_output, f"--dropped is {options.dropped}", f"give {wanted}")

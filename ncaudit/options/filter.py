"""Options of `filter`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ncaudit.options.shared.checks import choose, compatible, require, require_local, require_share
from ncaudit.options.shared.effect import Unread, of_files, of_streams, refuse_changed
from ncaudit.options.shared.limits import MAX_ROW_BYTES, require_row_bytes
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
class FilterOptions:
    """`ncaudit filter`: the pairs worth keeping. A row is kept when every rule says so; ranking rules come last."""

    scores: Sequence[str]  # score tables, or - for a stream on standard input
    out: str  # a folder, a NAME.parquet, or - for standard output; with write_as the file's name
    data: Sequence[str] | None = None  # write this dataset's rows instead of the score tables'
    min_soft_label: float | None = None
    verdict: Sequence[str] | None = None
    where: str | None = None
    keep_share: float | None = None  # of the ok rows that pass the rules above, best score first
    keep_share_by: str | None = None  # the share of each value of this column
    kept_precision: float | None = None  # smallest mean soft label of the rows kept, best label first
    write_as: FilterForm = FilterForm.rows
    key: str | None = None  # with data: the column that joins them; with write_as: the column that is written
    repeat_by_weight: str | None = None  # datacomp-uids: a column of whole numbers, how often each uid is written
    dropped: str | None = None  # a folder, or NAME.parquet where `out` is one file
    format: StreamFormat = StreamFormat.arrow
    csv_safe: bool = False  # an apostrophe before text cells that a spreadsheet program would run as a formula
    max_row_bytes: int = MAX_ROW_BYTES  # of one line, cell or file of an archive, unpacked
    overwrite: bool = False  # replace files of others that are in the way, too; never an input

    def __post_init__(self) -> None:
        choose(self, write_as=FilterForm, format=StreamFormat)
        require_local("--out", self.out)
        require_local("--dropped", self.dropped)
        require_row_bytes(self.max_row_bytes)
        for name in ("min_soft_label", "keep_share", "kept_precision"):
            if getattr(self, name) is not None:
                require_share(f"--{name.replace('_', '-')}", getattr(self, name), zero=name == "min_soft_label")
        for word in self.verdict or ():
            require(word in list(Verdict), f"--verdict is {word}", f"give one of: {', '.join(Verdict)}")
        _check_rules(self)
        _check_filter_places(self)
        refuse_changed(self)

    def unread(self) -> Iterator[Unread]:
        """What this mode does not look at."""
        yield from of_files(self.out if self.dropped is None else self.dropped)
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

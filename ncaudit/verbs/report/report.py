"""`report`: score tables or label tables to one page that shows the pairs, with the evidence.

Knows options, tables and the page's parts; nothing of Typer or of HTML.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from ncaudit.engines.jobs import Site
from ncaudit.engines.local import Accounting
from ncaudit.engines.on_ray.chosen import require_engine, site_of
from ncaudit.errors import BadTable, UsageError
from ncaudit.judging.galleries.named import WITNESSES, in_data
from ncaudit.options import STREAM, ReportOptions
from ncaudit.options.report import NAMED
from ncaudit.options.shared.as_command import command_of
from ncaudit.options.shared.engines import EngineOptions
from ncaudit.progress import SILENT, Progress
from ncaudit.readable import Readable
from ncaudit.shards.claims.claims import Claim, Place, asked
from ncaudit.shards.claims.commands import made_by
from ncaudit.shards.files.provenance import fingerprint
from ncaudit.shards.files.sources import find_shards
from ncaudit.shards.files.writer import atomic_file
from ncaudit.shards.tables.pairs_in_data import Dataset
from ncaudit.shards.tables.scores import ScoreTable, open_scores
from ncaudit.shards.tables.told_rates import rank_notes
from ncaudit.verbs.outputs import inputs_of
from ncaudit.verbs.report.found.seen import READ
from ncaudit.verbs.report.of_labels import LabelReport
from ncaudit.verbs.report.of_scores import ScoreReport
from ncaudit.verbs.report.page.render import is_report, render
from ncaudit.verbs.report.shown.cards import Asked
from ncaudit.verbs.report.shown.pictures import PICTURES, Pictures, take_pictures
from ncaudit.verbs.report.shown.views import Page
from ncaudit.verbs.report.to_judge import told

MIB = 1 << 20
CLASSES = {"given_label", "label_quality"}  # what a label table has, and no score table


@dataclass(frozen=True, kw_only=True, repr=False)
class ReportResult(Readable, first=("noise_rate", "pairs_shown", "pictures", "accounting", "out")):
    """What is on the page."""

    out: str
    page_bytes: int
    pairs_shown: int  # in all galleries
    pictures: int  # pairs with a picture on the page
    pictures_failed: int  # pairs whose picture is missing or cannot be decoded
    galleries: dict[str, int]  # by name: rows that qualify
    judge_pairs: int
    of_labels: bool  # whether the tables hold judged classes; False: scores of pairs
    noise_rate: float | None  # as the tables tell it: of mismatched pairs, or of wrong classes
    noise_rate_low: float | None
    noise_rate_high: float | None
    noise_rate_told: bool  # False: there is none, or, of classes, it is only a usual one
    accounting: Accounting
    notes: tuple[str, ...]


STAGES_WITHOUT_DATA = {READ: 1.0, WITNESSES: 0.2, "write the page": 0.0}
STAGES = {READ: 1.0, WITNESSES: 0.2, PICTURES: 0.0, "write the page": 0.0}


def report(options: ReportOptions, progress: Progress = SILENT) -> ReportResult:
    """Write one page of the tables: answer, charts, galleries, pairs to judge, provenance.

    Raises NcauditError when OUT is a file of somebody else's, the tables are none of ours or of two kinds, or the
    dataset is not what was scored.
    """
    ready = made_ready(options)
    with made_by(told(options)), ready.claim.held(_deciding(options)), site_of(options, None) as site:
        return _report(options, ready, site, progress)


@dataclass(frozen=True)
class Ready:
    """All that is settled before anything is touched: what is read, and that the page may be written."""

    tables: Sequence[ScoreTable]
    of_labels: bool  # whether they hold judged classes
    dataset: Dataset | None
    claim: Claim


def made_ready(options: ReportOptions) -> Ready:
    """Raises NcauditError for whatever is wrong with inputs and output, as far as looks can tell."""
    require_engine(options)
    shards = find_shards(options.scores)
    place = replace(Place.of_file("--out", options.out), proven=is_report)
    claim = asked("report", [place], inputs_of(shards), overwrite=options.overwrite)
    tables = [open_scores(shard) for shard in shards]
    return Ready(tables, _hold_classes(tables), _dataset(options), claim)


def _deciding(options: ReportOptions) -> dict[str, Any]:
    names = {field.name for field in fields(options)} - {field.name for field in fields(EngineOptions)}
    return {"options": {name: str(getattr(options, name)) for name in sorted(names)}}


def _report(options: ReportOptions, ready: Ready, site: Site, progress: Progress) -> ReportResult:
    tables, dataset = ready.tables, ready.dataset
    progress.job("report", STAGES if options.data else STAGES_WITHOUT_DATA)
    # one pass over the tables, of whichever kind they are
    found = (LabelReport if ready.of_labels else ScoreReport)(options, tables, site, progress)
    asked = Asked()
    found.want(asked)
    wanted = {} if dataset is None else {place: in_data(tables, row) for place, row in asked.rows.items()}
    pictures = take_pictures(dataset, wanted, asked.sizes, options, progress)
    notes = rank_notes((table.shard.path, table.provenance) for table in tables)
    progress.stage("write the page", None)
    page, html, notes = _fitting(options, found, pictures, _provenance(options, tables), notes)
    with atomic_file(options.out) as file:
        file.write(html)
    return ReportResult(
        out=options.out,
        page_bytes=len(html),
        pairs_shown=sum(len(gallery.cards) for gallery in page.galleries),
        pictures=pictures.count,
        pictures_failed=pictures.failed,
        galleries={gallery.name: gallery.count for gallery in page.galleries},
        judge_pairs=len(page.judge.pairs) if page.judge else 0,
        of_labels=isinstance(found, LabelReport),
        **found.rate,
        noise_rate_told=found.rate_told,
        accounting=Accounting(len(tables), 0, (), found.statuses),
        notes=tuple(note for note in (*notes, page.pictures_note, page.judge_note) if note),
    )


def _dataset(options: ReportOptions) -> Dataset | None:
    """A wrong name is told before any work."""
    if not options.data:
        return None
    if STREAM in options.data:
        raise UsageError(f"--data is {STREAM}: pictures are looked for in it, and a stream passes once", fix=NAMED)
    return Dataset(options.data, options.of_data)


def _hold_classes(tables: Sequence[ScoreTable]) -> bool:
    """Whether they are label tables. Raises BadTable where some are and some are not."""
    of_labels = [set(table.schema.names) >= CLASSES for table in tables]
    if any(of_labels) and not all(of_labels):
        paths = [tables[of_labels.index(kind)].shard.path for kind in (True, False)]
        what = f"{paths[0]} holds judged classes, and {paths[1]} scores of pairs"
        raise BadTable(what, fix="make a report of each")
    return all(of_labels)


def _fitting(
    options: ReportOptions,
    found: ScoreReport | LabelReport,
    pictures: Pictures,
    provenance: Sequence[tuple[str, str]],
    notes: Sequence[str],
) -> tuple[Page, bytes, list[str]]:
    """The page, its pictures as large as they may be."""
    while True:
        page = replace(found.page(pictures), provenance=provenance, notes=notes)
        html = render(page).encode("utf-8")
        if len(html) <= options.max_mib * MIB:
            return page, html, [*notes]
        if pictures.smallest:
            told_size = f"the page has {len(html) / MIB:.1f} MiB although its pictures are as small as they get"
            return page, html, [*notes, f"{told_size}: fewer --cards or --judge make it smaller"]
        pictures = pictures.shrunk()


def _provenance(options: ReportOptions, tables: Sequence[ScoreTable]) -> list[tuple[str, str]]:
    said = next((table.provenance for table in tables if table.provenance), None) or {}
    model, names = said.get("model") or {}, [table.shard.name for table in tables]
    files = f"{len(names):,} tables, the first {names[0]}" if len(names) > 1 else names[0]
    options_told = sorted((said.get("options") or {}).items())
    listed = {
        "model": ", ".join(
            str(model[name]) for name in ("name", "pretrained", "precision", "activation") if model.get(name)
        ),
        "weights": str(model.get("weight_hash") or ""),
        "tables": f"{files} (fingerprint {fingerprint(tables[0].shard)})",
        "made by": f"ncaudit {said['ncaudit']} {said.get('verb', '')}" if said.get("ncaudit") else "another tool",
        "fit": str(said.get("fit") or ""),
        "options": ", ".join(f"{name} {value}" for name, value in options_told if value is not None),
        "labels mean": str(said.get("label_means") or ""),
        "command": command_of(told(options)),
    }
    return [(name, value) for name, value in listed.items() if value]

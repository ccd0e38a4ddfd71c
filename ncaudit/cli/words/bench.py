"""What `bench` tells at its end: a table of settings, and how to read it. Knows its result only."""

from ncaudit.cli.layout.vocabulary import Column, Kind, Table, Words
from ncaudit.cli.shared.accounts import noted
from ncaudit.counts import counted
from ncaudit.verbs.bench import BenchResult, Setting, Spread

COLUMNS = {
    "auroc": "AUROC",
    "auroc_corrected": "AUROC*",
    "average_precision": "av. precision",
    "precision_at_injected_count": "prec. at count",
    "calibration_error": "calib. error",
    "calibration_error_corrected": "calib. error*",
    "noise_rate": "noise rate",
    "noise_rate_expected": "expected",
    "injected_called_noisy": "caught",
    "untouched_called_noisy": "others caught",
}
IN_DETAIL = ("average_precision", "precision_at_injected_count", "calibration_error", "calibration_error_corrected")


def lines(result: BenchResult, seeds: int) -> Words:
    """The table, and what to know when reading its numbers. seeds: that were asked for."""
    written = [f"{counted(len(result.runs), 'run')} in {result.out}"] if result.out else []
    return [
        _settings(result, seeds),
        *written,
        "injected mismatches against all other pairs; mismatches that the data hold already count as errors",
        "*corrected for those, for random mismatches; expected: noise rate were all mismatches like random ones",
        *noted(result.notes),
    ]


def _settings(result: BenchResult, seeds: int) -> Table:
    title = f"Finding injected mismatches among {counted(result.pairs, 'pair')}"
    title += f", mean ± standard deviation of {seeds} seeds" if seeds > 1 else ""
    header = [Column("scorer", Kind.name), Column("kind", Kind.name), Column("rate")]
    header += [Column(told, detail=name in IN_DETAIL) for name, told in COLUMNS.items()]
    rows = [_row(each) for each in result.settings]
    return Table(title, header, rows, keys=3, hint="more measures: -v, or --json")


def _row(setting: Setting) -> list[str]:
    return [setting.scorer, setting.kind, f"{setting.rate:g}", *(_cell(setting.measures[name]) for name in COLUMNS)]


def _cell(spread: Spread) -> str:
    if spread.mean is None:
        return "-"
    return f"{spread.mean:.3f}" if spread.sd is None else f"{spread.mean:.3f} ± {spread.sd:.3f}"

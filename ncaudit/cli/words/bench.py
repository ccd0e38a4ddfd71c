"""What `bench` tells at its end: a table of settings, and how to read it. Knows its result only."""

from ncaudit.cli.shared.accounts import noted
from ncaudit.cli.shared.tables import Table, Words
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


def lines(result: BenchResult, seeds: int) -> Words:
    """The table, and what to know when reading its numbers. seeds: that were asked for."""
    written = [f"{len(result.runs):,} runs in {result.out}"] if result.out else []
    return [
        _settings(result, seeds),
        "injected mismatches against all other pairs; mismatches that the data hold already count as errors",
        "*corrected for those, for random mismatches; expected: noise rate were all mismatches like random ones",
        *noted(result.notes),
        *written,
    ]


def _settings(result: BenchResult, seeds: int) -> Table:
    title = f"Finding injected mismatches among {counted(result.pairs, 'pair')}"
    title += f", mean ± standard deviation of {seeds} seeds" if seeds > 1 else ""
    return Table(title, ["scorer", "kind", "rate", *COLUMNS.values()], [_row(each) for each in result.settings])


def _row(setting: Setting) -> list[str]:
    return [setting.scorer, setting.kind, f"{setting.rate:g}", *(_cell(setting.measures[name]) for name in COLUMNS)]


def _cell(spread: Spread) -> str:
    if spread.mean is None:
        return "-"
    return f"{spread.mean:.3f}" if spread.sd is None else f"{spread.mean:.3f} ± {spread.sd:.3f}"

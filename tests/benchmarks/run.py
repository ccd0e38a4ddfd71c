#!/usr/bin/env python3
"""Every figure of speed beside its limit or peer, measured in the same run, on this code.

usage: python tests/benchmarks/run.py [--light] [--repeats 3] [--only NAME …] [--json [FILE]]

A share of 1 is as fast as the limit; `asked` is the share that is aimed at. --light takes sizes for which three minutes
on two cores are enough, each once: too small for a verdict, enough to see what fell by half. It never fails: a figure
that cannot be measured is told with the reason.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from figures import ROOT, Figure, machine, told
from rows import FULL, LIGHT, Measured, Place, Row, rows_of


def main() -> None:
    options = _options()
    sizes = LIGHT if options.light else FULL
    every, begun = rows_of(sizes), time.monotonic()
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        place = Place(Path(folder), sizes)
        for name in options.only or every:
            if options.seconds and time.monotonic() - begun > options.seconds:
                failed[name] = f"{options.seconds} seconds were over"
                continue
            _measure(every[name], place, 1 if options.light else options.repeats, figures, failed)
    report = {"machine": machine(), "figures": [one.as_dict() for one in figures], "failed": failed}
    if options.json is not None and options.json != "-":
        Path(options.json).write_text(json.dumps(report, indent=1))
    print(json.dumps(report, indent=1) if options.json == "-" else "\n".join(_lines(figures, failed)))


def _measure(row: Row, place: Place, repeats: int, figures: list[Figure], failed: dict[str, str]) -> None:
    try:
        measured = [row.measure(place, ROOT) for _ in range(repeats)]
    except (SystemExit, Exception) as error:  # the others are measured all the same
        failed[row.words] = str(error).strip()[-300:] or type(error).__name__
        return
    figures.append(figure_of(row, measured))
    print(told(figures[-1:])[-1], file=sys.stderr, flush=True)  # whatever ends the run, this was measured


def figure_of(row: Row, measured: list[Measured]) -> Figure:
    """Medians of several measurements."""
    limits = [one.limit for one in measured if one.limit is not None]
    limit = statistics.median(limits) if limits else None
    value = statistics.median(one.value for one in measured)
    return Figure(
        what=row.words, value=value, unit=measured[0].unit, limit=limit, beside=row.beside, target=row.target
    )


def _lines(figures: list[Figure], failed: dict[str, str]) -> list[str]:
    head = ", ".join(f"{name} {value}" for name, value in machine().items())
    return [head, *told(figures), *(f"not measured: {name}: {why}" for name, why in failed.items())]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--light", action="store_true", help="small sizes, each figure once")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each; medians are shown")
    parser.add_argument("--only", nargs="+", choices=list(rows_of(FULL) | rows_of(LIGHT)), help="some of the figures")
    parser.add_argument("--seconds", type=int, help="no figure is begun later than that")
    parser.add_argument("--work", help="folder for what is measured on (1 M rows of 512 dims take 2 GiB)")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help="print JSON, or write it beside the lines")
    return parser.parse_args()


if __name__ == "__main__":
    main()

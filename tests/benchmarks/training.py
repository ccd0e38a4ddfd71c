#!/usr/bin/env python3
"""What a matcher learns under noise, by every way to train: tables with paired differences.

usage: python tests/benchmarks/training.py --state training.jsonl [--short] [--jobs 2] [--worlds rendered photos]
       [--phases first confirm grid] [--only ROW …] [--seconds N] [--again] [--work FOLDER]
       python tests/benchmarks/training.py --state training.jsonl --show       # what is there, nothing measured

Rendered: the sample's own generator draws 4,000 pairs to learn from for every seed, and 4,000 clean ones to be tested
on; the sample's small model is fine-tuned. Photos: heads on features of $NCAUDIT_BENCH; photos take turns, so that
each is tested once for every seed. A share of the captions is moved: to any other photo (random), to one on the same
topic, or to one whose own caption is near.

Rows: the start, plain training, an oracle that knows which pairs match, full (the same pairs before there was noise),
and every objective and recipe that this checkout has. The first phase measures all of them on 40 % random mismatches
and some seeds, and finds the best; the second takes the best and what stands beside it to five fresh seeds, the third
to every kind and rate: only these are to be quoted. Figures are told after the last epoch, as for users without clean
pairs, and after the epoch that is best on clean validation pairs, for every row alike. How the error of a difference
is reckoned stands in `learnt/paired.py`.

One line of the state file for each cell: whatever ends a run, the next one goes on there, and rows that other code
brings are measured beside those that are there. On two cores the long form takes some three hours, --short ten minutes.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the package of this checkout, whatever is installed

from learnt.cells import LONG, PHASES, SHORT, WORLDS
from learnt.measure import Asked, measure, one_thread
from learnt.methods import METHODS
from learnt.state import State
from learnt.tables import tables


def main() -> None:
    options = _options()
    form = SHORT if options.short else LONG
    if not options.show:
        one_thread()
        measure(_asked(options))
    lines = State(options.state, form.sizes).lines()
    print("\n".join(tables(lines, form, options.worlds)) if lines else "nothing was measured yet")


def _asked(options: argparse.Namespace) -> Asked:
    return Asked(
        form=SHORT if options.short else LONG, state=options.state, worlds=tuple(options.worlds),
        phases=tuple(options.phases), only=tuple(options.only), again=options.again, jobs=options.jobs,
        seconds=options.seconds, work=options.work,
    )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True, help="file with a line per cell; goes on where it stopped")
    parser.add_argument("--short", action="store_true", help="few rows, seeds and pairs: to see that all works")
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=list(PHASES))
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="some of the rows")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes, of one thread each")
    parser.add_argument("--seconds", type=float, help="no cell is begun later than that")
    parser.add_argument("--again", action="store_true", help="try once more what this code could not measure")
    parser.add_argument("--show", action="store_true", help="measure nothing, print the tables of what is there")
    parser.add_argument("--work", help="folder for what is measured on (else the system's own)")
    options = parser.parse_args()
    if unknown := [name for name in options.only if name not in METHODS]:
        sys.exit(f"no row is called {unknown[0]} (known: {', '.join(METHODS)})")
    return options


if __name__ == "__main__":
    main()

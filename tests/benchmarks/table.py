#!/usr/bin/env python3
"""The table of speed, older code beside this one: every figure of both measured in one run, in turn.

usage: python tests/benchmarks/table.py --state speed.jsonl [--before COMMIT] [--only embed,score-10000,…] [--repeats 3]
       python tests/benchmarks/table.py --state speed.jsonl --show            # what is there, nothing measured

The older code is a git worktree that this script makes of --before, and removes; by default the commit before the work
on speed began. Rounds alternate which of the two begins, and medians are shown, with the CPU seconds beside, which tell
more where others use the machine, and the load that was met.

One line of the state file for each measurement: whatever ends a run, the next one goes on there. Lines of a package
that has changed since, or of other sizes, count no more. All of it takes hours, most of them for `labels`;
--light does it in a quarter of one, with sizes that are too small for a verdict.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from figures import ROOT, machine, short
from rows import FULL, LIGHT, Measured, Place, Row, Sizes, rows_of

BEFORE = "ced79657"  # the last commit before the search was rewritten
CODES = ("before", "after")


@dataclass(frozen=True)
class Line:
    """One measurement, as the state file keeps it."""

    figure: str
    which: str  # before or after
    code: str  # a hash of the package
    sizes: str
    round: int
    load: float  # as it began
    measured: dict[str, Any] | None  # None: it could not be done
    why: str = ""


def main() -> None:
    options = _options()
    sizes = LIGHT if options.light else FULL
    rows, state = rows_of(sizes), Path(options.state)
    names = [name for name in rows if options.only is None or name in options.only]
    codes = {"before": _package(options.before), "after": _package("HEAD") + _changes()}
    told = f"before: {_commit(options.before)}, after: {_commit('HEAD')}{' with changes' if _changes() else ''}"
    if not options.show:
        _measure(rows, names, codes, sizes, options)
    lines = _usable(state, codes, sizes)
    if options.json:
        print(json.dumps({"machine": machine(), "codes": told, "lines": [asdict(line) for line in lines]}, indent=1))
    else:
        print("\n".join([told, *table(rows, names, lines)]))


def _measure(
    rows: dict[str, Row], names: Sequence[str], codes: dict[str, str], sizes: Sizes, options: argparse.Namespace
) -> None:
    state = Path(options.state)
    with _worktree(options.before) as older, tempfile.TemporaryDirectory(dir=options.work) as folder:
        place, trees = Place(Path(folder), sizes), {"before": older, "after": ROOT}
        for name, number, which in _to_do(names, options.repeats, _usable(state, codes, sizes)):
            line = _one(rows[name], name, number, which, place, trees[which], codes[which], sizes)
            cut = state.exists() and not state.read_text().endswith("\n")  # a run was ended as it wrote
            with state.open("a") as file:
                file.write("\n" * cut + json.dumps(asdict(line)) + "\n")
            print(f"{name}, {which}, round {number + 1}: {_told(line)}", flush=True)


def _to_do(names: Sequence[str], repeats: int, lines: Sequence[Line]) -> Iterator[tuple[str, int, str]]:
    """Figure by figure and round by round, in turn; what a usable line tells is done."""
    done = {(line.figure, line.round, line.which) for line in lines}
    for name in names:
        for number in range(repeats):
            for which in CODES[:: 1 if number % 2 == 0 else -1]:
                if (name, number, which) not in done:
                    yield name, number, which


def _one(
    row: Row, name: str, number: int, which: str, place: Place, tree: Path, code: str, sizes: Sizes
) -> Line:
    load = round(os.getloadavg()[0], 1)
    try:
        measured, why = asdict(row.measure(place, tree)), ""
    except (SystemExit, Exception) as error:  # older code may lack what is measured; the others go on
        measured, why = None, str(error).strip()[-500:] or type(error).__name__
    return Line(name, which, code, _named(sizes), number, load, measured, why)


def _usable(state: Path, codes: dict[str, str], sizes: Sizes) -> list[Line]:
    """The lines of these codes and sizes; a last line that was cut is none."""
    lines = []
    for text in state.read_text().splitlines() if state.exists() else []:
        try:
            line = Line(**json.loads(text))
        except (json.JSONDecodeError, TypeError):
            continue
        if line.code == codes.get(line.which) and line.sizes == _named(sizes):
            lines.append(line)
    return lines


def table(rows: dict[str, Row], names: Sequence[str], lines: Sequence[Line]) -> list[str]:
    """The table for docs/: each figure of both codes, with its share of the limit and the CPU seconds it took."""
    told = [", ".join(f"{name} {value}" for name, value in machine().items()), ""]
    titles = ("what", "before", "after", "limit or peer in the same run", "share, before → after", "CPU s", "load")
    told += [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for name in names:
        found = {which: [line for line in lines if (line.figure, line.which) == (name, which)] for which in CODES}
        if any(found.values()):
            told.append(f"| {' | '.join(_cells(rows[name], found))} |")
    return told


def _cells(row: Row, found: dict[str, list[Line]]) -> list[str]:
    known = {which: [Measured(**one.measured) for one in lines if one.measured] for which, lines in found.items()}
    values = [_values(known[which]) for which in CODES]
    shares = " → ".join(_share(known[which]) for which in CODES) if row.beside else ""
    cpu = " → ".join(_median(one.cpu for one in known[which]) for which in CODES)
    loads = [line.load for lines in found.values() for line in lines]
    asked = "" if row.target is None else f" (asked {row.target:g})"
    return [row.words, *values, _limits(row, known), shares + asked, cpu, f"{min(loads):g} to {max(loads):g}"]


def _values(measured: Sequence[Measured]) -> str:
    if not measured:
        return "–"
    peaks = [one.peak_gib for one in measured if one.peak_gib]
    memory = f", {statistics.median(peaks):.1f} GiB" if peaks else ""
    return f"{_median(one.value for one in measured)} {measured[0].unit}{memory}"


def _limits(row: Row, known: dict[str, list[Measured]]) -> str:
    limits = [_median(one.limit for one in known[which] if one.limit is not None) for which in CODES]
    return "" if not row.beside else f"{row.beside}: {' / '.join(limits)}"


def _share(measured: Sequence[Measured]) -> str:
    """The median of each round's own share: both numbers of a round were measured in the same minutes."""
    pairs = [(one.value, one.limit, one.unit) for one in measured if one.limit]
    return _median(limit / value if unit == "s" else value / limit for value, limit, unit in pairs)


def _median(numbers: Any) -> str:
    every = list(numbers)
    return short(statistics.median(every)) if every else "–"


def _told(line: Line) -> str:
    if line.measured is None:
        return f"could not be measured: {line.why.splitlines()[-1]}"
    one = Measured(**line.measured)
    beside = "" if one.limit is None else f", limit {short(one.limit)}"
    return f"{short(one.value)} {one.unit}{beside}; {short(one.wall)} s, CPU {short(one.cpu)} s, load {line.load:g}"


@contextmanager
def _worktree(commit: str) -> Iterator[Path]:
    """The checkout of that commit, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder) / "before"
        _git("worktree", "add", "--detach", "--quiet", str(there), commit)
        try:
            yield there
        finally:
            _git("worktree", "remove", "--force", str(there))


def _commit(name: str) -> str:
    return _git("rev-parse", "--short=8", f"{name}^{{commit}}")


def _package(commit: str) -> str:
    """The package as of that commit: what else changes, such as a page of docs, ends no measurement."""
    return _git("rev-parse", "--short=8", f"{commit}:ncaudit")


def _changes() -> str:
    """A hash of what was changed in the package of this checkout since; "" for nothing."""
    changed = _git("diff", "HEAD", "--", "ncaudit")
    return f"+{blake2b(changed.encode(), digest_size=3).hexdigest()}" if changed else ""


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _named(sizes: Sizes) -> str:
    return blake2b(json.dumps(asdict(sizes)).encode(), digest_size=4).hexdigest()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", required=True, help="file with a line per measurement; goes on where it stopped")
    parser.add_argument("--before", default=BEFORE, help="commit of the older code (default %(default)s)")
    parser.add_argument("--only", type=lambda words: words.split(","), help="names of figures, with commas between")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; medians are shown")
    parser.add_argument("--light", action="store_true", help="small sizes")
    parser.add_argument("--show", action="store_true", help="measure nothing, print the table of what is there")
    parser.add_argument("--work", help="folder for what is measured on (1 M rows of 512 dims take 2 GiB)")
    parser.add_argument("--json", action="store_true", help="print the measurements as JSON instead of the table")
    options = parser.parse_args()
    known = list(rows_of(LIGHT if options.light else FULL))
    if unknown := [name for name in options.only or () if name not in known]:
        parser.error(f"no figure is called {unknown[0]} (known: {', '.join(known)})")
    return options


if __name__ == "__main__":
    main()

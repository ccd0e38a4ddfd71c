"""What rests on all rows (the fit's sample, repeats of photos and captions, verdicts, kept rows): what a command holds.

    python tests/benchmarks/all_rows.py                          # 10, 40 and 160 shards of 10,000 rows
    python tests/benchmarks/all_rows.py --shards 100 1000 --rows 10000
    python tests/benchmarks/all_rows.py --verdicts               # what 200 verdicts without strata stand for
    python tests/benchmarks/all_rows.py --kept                   # where rows end that have a mean label

Shards are done by two processes beside this one, as on a cluster, but without any: what is measured is what comes back
to the command, and what it holds. Each size is measured in a process of its own: its memory before the first shard, and
at its most; and the most that any of the two took. Half of the photos occur twice. With `--here` the same work is done
by the command's own process, as without an engine.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from ncaudit.engines.jobs import Here, Job, Site, Task, ThisProcess  # noqa: E402
from ncaudit.engines.local import Outcome  # noqa: E402
from ncaudit.judging import choice, fit_sample  # noqa: E402
from ncaudit.judging.saved_fits import SavedFit  # noqa: E402
from ncaudit.options import FilterForm, FilterOptions, ScorerOptions  # noqa: E402
from ncaudit.progress import SILENT, Progress  # noqa: E402
from ncaudit.shards.files.shard import Shard  # noqa: E402
from ncaudit.shards.files.sources import find_shards  # noqa: E402
from ncaudit.shards.tables.embeddings import open_embeddings  # noqa: E402
from ncaudit.shards.tables.repeats.kept import REPEATS  # noqa: E402
from ncaudit.shards.tables.score_input import FileScores  # noqa: E402
from ncaudit.verbs.filter import selected  # noqa: E402
from ncaudit.verbs.filter.keep_rules import Chooser  # noqa: E402
from ncaudit.verbs.score.counted import count_repeats  # noqa: E402
from ncaudit.verbs.score.drawn import draw  # noqa: E402
from ncaudit.verbs.score.judged.heard import Heard  # noqa: E402
from ncaudit.verbs.score.judged.judged_scores import read_judges  # noqa: E402

DIMS, PAIRS, PROCESSES = 32, 20_000, 2


@dataclass
class Beside:
    """Processes of this machine that do one task after the other."""

    pool: ProcessPoolExecutor
    elsewhere: bool = True

    def ready(self, shard: Shard, progress: Progress) -> None:
        pass

    def engine(self, job: Job) -> "_Beside":
        return _Beside(self.pool, job)


@dataclass
class _Beside:
    pool: ProcessPoolExecutor
    job: Job

    def run(self, tasks: Sequence[Task], progress: Progress) -> list[tuple[Task, Outcome]]:
        return list(self.each(tasks, progress))

    def each(self, tasks: Sequence[Task], progress: Progress) -> Iterator[tuple[Task, Outcome]]:
        left, under_way = list(tasks), {}
        while left or under_way:
            while left and len(under_way) < 2 * PROCESSES:
                task = left.pop(0)
                under_way[self.pool.submit(_one, self.job, task)] = task
            done: Future[Outcome] = next(as_completed(under_way))
            yield under_way.pop(done), done.result()


def _one(job: Job, task: Task) -> Outcome:
    ((_, outcome),) = Here(job).run([task], SILENT)
    return outcome


def _peak_mib(of: int = resource.RUSAGE_SELF) -> float:
    return resource.getrusage(of).ru_maxrss / 1024


def write(folder: Path, shards: int, rows: int) -> None:
    """Embedding tables; every second photo is that of a row in another shard, too."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    values = pa.array(chance.normal(size=rows * DIMS).astype(np.float16))
    column = pa.FixedSizeListArray.from_arrays(values, DIMS)
    for shard in range(shards):
        number = np.arange(rows) + rows * shard
        photo = np.where(number % 2, number, chance.permutation(number) + rows * (shard % 2) // 2)
        table = {
            "pair_id": [f"{shard:06}/{row}" for row in range(rows)],
            "image_hash": pa.array([int(one).to_bytes(16, "little") for one in photo], pa.binary(16)),
            "caption": [f"caption {one // 3}" for one in number],
            **{"image_embedding": column, "text_embedding": column},
        }
        pq.write_table(pa.table(table), folder / f"{shard:06}.parquet", compression="none")


def measure(folder: str, *, here: bool) -> dict[str, Any]:
    """Draw and count, and tell what it took."""
    tables = [open_embeddings(shard) for shard in find_shards([f"{folder}/e"])]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        site: Site = ThisProcess() if here else Beside(pool)
        before, begun = _peak_mib(), time.monotonic()
        sample = draw(site, tables, pairs=PAIRS, seed=0, progress=SILENT)
        drawn, between = time.monotonic() - begun, _peak_mib()
        count_repeats(site, tables, "these", f"{folder}/_fit", f"{folder}/_fit/{REPEATS}", SILENT)
        took = {"draw_s": drawn, "count_s": time.monotonic() - begun - drawn}
    return {
        "shards": len(tables),
        "rows": sum(table.rows for table in tables),
        "sample": len(sample.pairs),
        "counts_mib": os.path.getsize(f"{folder}/_fit/{REPEATS}") / 2**20,
        "before_mib": before,
        "sample_mib": between,
        "most_mib": _peak_mib(),
        "others_mib": _peak_mib(resource.RUSAGE_CHILDREN),
        **took,
    }


def hear(folder: str, *, here: bool) -> dict[str, Any]:
    """Find what verdicts on some pairs of any scores stand for: every row is scored, and strata are cut."""
    tables = [open_embeddings(shard) for shard in find_shards([f"{folder}/e"])]
    names = [f"{number % len(tables):06}/{number * 7}" for number in range(200)]
    rows = "".join(f"{name},{'yes' if number % 4 else 'no'}\n" for number, name in enumerate(names))
    Path(folder, "v.csv").write_text(f"pair_id,is_match\n{rows}")
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        site: Site = ThisProcess() if here else Beside(pool)
        sample = fit_sample.draw(tables[:1], pairs=2_000, seed=0)
        saved = SavedFit(choice.learn(sample.pairs, ScorerOptions(scorer="clip-score")), None, {})
        before, begun = _peak_mib(), time.monotonic()
        heard = Heard.of(site, read_judges([f"{folder}/v.csv"], 1 << 26), tables, SILENT)
        found = heard.scored(site, saved, "cpu", f"{folder}/_fit/judging", SILENT)
        took = time.monotonic() - begun
    return _held(tables, before, {"pairs": len(found.score), "s": took})


def rank(folder: str, *, here: bool) -> dict[str, Any]:
    """Find the rows with a mean label of .9."""
    Path(folder, "s").mkdir()
    chance = np.random.default_rng(0)
    for shard in find_shards([f"{folder}/e"]):
        rows = pq.ParquetFile(shard.path).metadata.num_rows
        label, names = chance.beta(4, 1, size=rows), pa.array([f"{shard.stem}/{row}" for row in range(rows)])
        columns = {"score": label + chance.normal(size=rows), "soft_label": label.astype(np.float32)}
        pq.write_table(pa.table({"pair_id": names, "status": ["ok"] * rows, **columns}), f"{folder}/s/{shard.name}")
    tables = [FileScores(shard) for shard in find_shards([f"{folder}/s"])]
    options = FilterOptions(scores=[f"{folder}/s"], out="-", kept_precision=0.9, write_as=FilterForm.ids)
    chooser = Chooser(options)
    for table in tables:
        chooser.require(table)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        before, begun = _peak_mib(), time.monotonic()
        if here:
            chooser.prepare(tables)
        else:
            selected.prepare(Beside(pool), chooser, tables, SILENT)
        took = time.monotonic() - begun
    return _held(tables, before, {"kept": next(iter(chooser.cuts.values())).kept, "s": took})


def _held(tables: Sequence[Any], before: float, more: dict[str, Any]) -> dict[str, Any]:
    mib = {"before_mib": before, "most_mib": _peak_mib(), "others_mib": _peak_mib(resource.RUSAGE_CHILDREN)}
    return {"shards": len(tables), "rows": sum(table.rows or 0 for table in tables), **mib, **more}


MEASURES = {"sample": measure, "verdicts": hear, "kept": rank}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 40, 160])
    parser.add_argument("--rows", type=int, default=10_000, help="of each shard")
    parser.add_argument("--here", action="store_true", help="by the command's own process")
    parser.add_argument("--verdicts", dest="what", action="store_const", const="verdicts", default="sample")
    parser.add_argument("--kept", dest="what", action="store_const", const="kept")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        print(json.dumps(MEASURES[asked.what](asked.measure, here=asked.here)))
        return
    found = []
    for shards in asked.shards:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "e", shards, asked.rows)
            words = [sys.executable, __file__, "--measure", folder, *(["--here"] if asked.here else [])]
            words += [] if asked.what == "sample" else [f"--{asked.what}"]
            found.append(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))
            if not asked.json:
                (tell if asked.what == "sample" else tell_of_others)(found[-1], first=len(found) == 1)
    if asked.json:
        print(json.dumps(found, indent=1))


def tell(one: dict[str, Any], *, first: bool) -> None:
    """A line of the table."""
    if first:
        print(f"{'shards':>8}{'rows':>12}{'counts':>10}{'before':>9}{'sample':>9}{'most':>9}{'others':>9}{'s':>8}")
    mib = "".join(f"{one[name]:9.0f}" for name in ("before_mib", "sample_mib", "most_mib", "others_mib"))
    seconds = one["draw_s"] + one["count_s"]
    print(f"{one['shards']:8,}{one['rows']:12,}{one['counts_mib']:7.1f}MiB{mib}{seconds:8.1f}", flush=True)


def tell_of_others(one: dict[str, Any], *, first: bool) -> None:
    """The same of what is not drawn and counted."""
    if first:
        print("".join(f"{name:>13}" for name in one))
    words = (f"{value:13,.1f}" if isinstance(value, float) else f"{value:13,}" for value in one.values())
    print("".join(words), flush=True)


if __name__ == "__main__":
    main()

"""embed, score and filter from and to a store, on a Ray of two machines, one of which is killed: a local run's bytes?

    python tests/benchmarks/cluster.py [--shards 64] [--rows 2000] [--many 10000] [--place FOLDER] [--engine-alone]

Starts a server that speaks S3, and a Ray of a head and two machines of one CPU each, all on this one; cuts the sample
into shards; embeds, scores and filters them with the local engine in a folder, and on Ray from and to the store. While
that embeds, a machine is taken away. Each table that Ray has left must have the bytes of the local one. Then what an
engine costs: `--many` tasks that do nothing (0: none of this), and embedding in one process that is ready, here and
behind Ray (starting is told apart); --engine-alone measures that and nothing else. Nothing is left but what it prints.
--place: write there in place of the store: to a folder, or to another store, whose address stands in the environment
(AWS_ENDPOINT_URL). Exits with 1 where a byte differs.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
from fsspec.core import url_to_fs
from store import BUCKET, Server  # beside this file

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from ncaudit import EmbedOptions  # noqa: E402
from ncaudit.engines.jobs import Here, Task  # noqa: E402
from ncaudit.engines.local import ShardRows  # noqa: E402
from ncaudit.engines.on_ray.cluster import joined  # noqa: E402
from ncaudit.engines.on_ray.pool import Asked, pool_of  # noqa: E402
from ncaudit.progress import SILENT  # noqa: E402
from ncaudit.shards.files.shard import Shard  # noqa: E402
from ncaudit.shards.files.sources import find_shards  # noqa: E402
from ncaudit.verbs.embed.model_here import ModelHere  # noqa: E402
from tests.worlds.clusters import of_two_machines  # noqa: E402

SAMPLE = ROOT / "sample_data"
MODEL = f"local-dir:{SAMPLE / 'tiny-clip'}"
EMBED = ("--model", MODEL, "--device", "cpu", "--workers", "0", "--batch-pairs", "64", "--precision", "float32")
SCORE = ("--scorer", "clip-score", "--no-check", "--device", "cpu")
FILTER = ("--keep-share", "0.5")
STEPS = (
    ("embed", "data", "emb", EMBED),
    ("score", "emb", "scores", SCORE),
    ("filter", "scores", "kept", FILTER),
)
TABLES = "*.parquet"
DONE_BEFORE_KILL = 4


def main() -> int:
    asked = _arguments()
    with ExitStack() as stack:
        here = stack.enter_context(tempfile.TemporaryDirectory())
        if asked.place is None and not asked.engine_alone:
            stack.enter_context(closing(Server()))
        place = (asked.place or f"s3://{BUCKET}/cluster").rstrip("/")
        for folder in (here,) if asked.engine_alone else (here, place):
            _cut(f"{folder}/data", asked.shards, asked.rows)
        cluster = stack.enter_context(of_two_machines())  # which has the store's address, too
        alike = asked.engine_alone or _compared(here, place, cluster)
        if asked.many:
            _overhead(here, cluster.address, asked.many)
    return 0 if alike else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", help="a folder, or s3://bucket/there; by default a store of its own")
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--rows", type=int, default=2000, help="of the sample, 2000 at most")
    parser.add_argument("--many", type=int, default=10_000, help="tasks that do nothing; 0: measure no engine")
    parser.add_argument("--engine-alone", action="store_true", help="measure what an engine costs, and nothing else")
    return parser.parse_args()


def _cut(folder: str, shards: int, rows: int) -> None:
    files, root = url_to_fs(folder)
    files.makedirs(root, exist_ok=True)
    table = pq.read_table(SAMPLE / "train.parquet").slice(0, rows)
    each = -(-len(table) // shards)
    for number in range(shards):
        with files.open(f"{root}/{number:05}.parquet", "wb") as file:
            pq.write_table(table.slice(number * each, each), file)


def _compared(here: str, place: str, cluster: object) -> bool:
    alike = True
    for verb, source, made, words in STEPS:
        with _timed(f"{verb}, local engine, in a folder"):
            _ran(_begun(verb, f"{here}/{source}", *words, "--out", f"{here}/{made}"))
        to, at = f"{place}/{made}", ("--engine", "ray", "--ray-address", cluster.address)
        killed = verb == "embed"
        with _timed(f"{verb}, Ray, in {place}" + (", a machine killed in the middle" if killed else "")):
            running = _begun(verb, f"{place}/{source}", *words, "--out", to, *at)
            if killed:
                _kill_a_machine(cluster, to, running)
            _ran(running)
        alike = _is_same(verb, _bytes(f"{here}/{made}"), _bytes(to)) and alike
    return alike


def _is_same(verb: str, here: dict[str, bytes], there: dict[str, bytes]) -> bool:
    same = here == there and len(here) > 0
    print(f"  {verb}: {len(there)} tables, {'all bytes as of the local run' if same else 'BYTES DIFFER'}", flush=True)
    return same


def _begun(*words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ncaudit", "-q", *map(str, words)], stdout=subprocess.DEVNULL, cwd=ROOT
    )


def _ran(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise SystemExit(f"a command ended with {process.returncode}")


def _kill_a_machine(cluster: object, out: str, running: subprocess.Popen[bytes]) -> None:
    while len(_tables(out)) < DONE_BEFORE_KILL and running.poll() is None:
        time.sleep(0.05)
    done = len(_tables(out))
    cluster.remove_node(cluster.machines.pop(), allow_graceful=False)
    print(f"  a machine was killed after {done} tables" + ("" if running.poll() is None else ", TOO LATE"))


def _tables(folder: str) -> list[str]:
    files, root = url_to_fs(folder)
    files.invalidate_cache()
    return sorted(files.glob(f"{root}/{TABLES}"))


def _bytes(folder: str) -> dict[str, bytes]:
    files, _ = url_to_fs(folder)
    return {path.rpartition("/")[2]: files.cat_file(path) for path in _tables(folder)}


def _nothing_each(name: object) -> ShardRows:
    return ShardRows({})


@contextmanager
def _nothing(progress: object):
    yield None, _nothing_each


@contextmanager
def _embedding(options: EmbedOptions, progress: object):
    model = ModelHere.load(options, None, {}, {})
    try:
        yield None, lambda shard: model.embed(shard, SILENT)
    finally:
        model.close()


def _overhead(folder: str, address: str, many: int) -> None:
    with joined(address, [], folder, SILENT) as cluster:
        with pool_of(cluster, Asked(1, 1.0), SILENT) as pool:
            pool.set_up_first(_nothing)
            tasks, before = [Task(Shard(f"/{n}", f"{n}"), n) for n in range(many)], _peak_gib()
            with _timed(f"{many:,} tasks that do nothing, one process on Ray") as spent:
                pool.run(tasks, _nothing)
            grown = f"{before:.2f} GiB before (torch is loaded), {_peak_gib():.2f} at its most"
            print(f"  {1000 * spent[0] / many:.2f} ms each; memory of the driver: {grown}")
        shards = find_shards([f"{folder}/data"])
        tasks = [Task(shard, shard) for shard in shards]
        for name in ("here", "Ray"):
            options = EmbedOptions(
                sources=[f"{folder}/data"], out=f"{folder}/again-{name}", model=MODEL, device="cpu", workers=0,
                batch_pairs=64, precision="float32",
            )  # fmt: skip
            job = partial(_embedding, options)
            if name == "here":
                ready = Ready(job)
                with ready.timed(f"{len(tasks)} shards, one process here"):
                    Here(ready.job).run(tasks, SILENT)
                continue
            with pool_of(cluster, Asked(1, 1.0), SILENT) as pool:
                with _timed("  starting a process on Ray and its model"):
                    pool.set_up_first(job)
                with _timed(f"{len(tasks)} shards, one process on Ray that is ready") as there:
                    pool.run(tasks, job)
        print(f"  ratio of wall time {there[0] / ready.seconds:.2f}")


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class Ready:
    """A job of this process whose time begins when it is set up."""

    def __init__(self, job: object) -> None:
        self._job, self.seconds = job, 0.0

    @contextmanager
    def job(self, progress: object):
        with self._job(progress) as found:
            begun = time.monotonic()
            yield found
            self.seconds = time.monotonic() - begun

    @contextmanager
    def timed(self, what: str):
        yield
        print(f"{what}: {self.seconds:.1f} s")


@contextmanager
def _timed(what: str):
    spent: list[float] = []
    begun = time.monotonic()
    yield spent
    spent.append(time.monotonic() - begun)
    print(f"{what}: {spent[0]:.1f} s", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
